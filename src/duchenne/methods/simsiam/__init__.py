"""SimSiam: one view predicts the other; no negatives, no momentum encoder."""
