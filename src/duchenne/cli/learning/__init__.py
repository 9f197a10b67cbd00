"""Commands that learn and score representations."""
