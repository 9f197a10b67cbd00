"""Commands that make prepared data."""
