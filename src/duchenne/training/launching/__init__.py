"""Which processes train together: one, several that Fabric starts on this machine, or those of torchrun or srun."""
