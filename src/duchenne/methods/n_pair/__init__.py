"""N-pair loss on sequences; a baseline of temporal ranking."""
