"""The supervised baseline: binary cross-entropy on action unit labels."""
