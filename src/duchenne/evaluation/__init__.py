"""Scoring under one protocol: folds, decisions, counts, intervals; what is trained on features lies in `heads`."""
