"""CLP: the order of frames within a clip, and faces put together from those of other people."""
