"""Prepared data: the on-disk format, what samples clips from it, and its folds."""
