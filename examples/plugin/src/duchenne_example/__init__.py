"""A method, a backbone, a data set and an augmentation for Duchenne."""
