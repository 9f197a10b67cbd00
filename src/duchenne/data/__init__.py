"""The prepared format, what samples from it, its labels and folds; making it from recordings belongs to `preparing`."""
