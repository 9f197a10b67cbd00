"""What the detector of the package computes: measures of a face, and networks that learned from rendered ones."""
