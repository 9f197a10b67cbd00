"""Running a detector over pictures, recordings or a camera; what a detector is belongs to `detectors`."""
