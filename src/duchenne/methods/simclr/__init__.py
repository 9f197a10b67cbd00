"""SimCLR: two views of a picture against all others of the batch."""
