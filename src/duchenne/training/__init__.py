"""Training: the loop, its configuration, checkpoints, run folders."""
