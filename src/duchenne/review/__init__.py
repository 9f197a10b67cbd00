"""The page of `duchenne review`: recordings beside their curves, codes and detectors; what is computed there lies in the other rooms."""
