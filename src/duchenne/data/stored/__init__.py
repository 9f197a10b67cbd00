"""What a prepared folder holds as it lies on the disk, read and checked."""
