"""The page of an evaluation and the pictures on it; nothing here computes a score."""
