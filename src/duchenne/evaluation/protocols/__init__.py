"""One module per protocol: what is trained on the training rows, and which scores the tested rows get."""
