"""Several evaluations, and the papers' rows, side by side."""
