"""Loss functions and helpers that several methods share."""
