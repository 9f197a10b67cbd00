"""Detection of action units in people's own images and videos."""
