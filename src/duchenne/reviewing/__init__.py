"""The page of `duchenne review`: recordings beside curves, codes and detectors; what they compute lies elsewhere."""
