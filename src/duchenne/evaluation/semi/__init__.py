"""Classifiers that learn from labelled and unlabelled faces together, by what is known of how labels go together."""
