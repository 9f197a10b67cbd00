"""Commands that make and run detectors, and read their tables."""
