"""The loop of training, its configuration, recipes, checkpoints, run folders; what is learned lies in `methods`."""
