"""What a detector is, making one of one's own, its files; running it belongs to `detection`."""
