"""Training something on features, or on an encoder that gives them; how that is scored belongs to `evaluation`."""
