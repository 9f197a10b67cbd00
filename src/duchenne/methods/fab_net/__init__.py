"""FAb-Net: one frame of a clip is reconstructed from others by a flow computed from their codes."""
