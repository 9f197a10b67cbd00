"""From raw scores to probabilities, intensities and decisions, and the evidence for them."""
