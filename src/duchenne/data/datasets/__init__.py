"""Readers: one module per data set of the user's own copy. Each says what is there; the `prepare` job does the rest."""
