"""The twin-cycle autoencoder: a frame becomes another by moving its head and its face apart."""
