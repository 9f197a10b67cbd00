"""What the package's own detector was given: statistics and evidence, never pictures. See `model_card.md`."""
