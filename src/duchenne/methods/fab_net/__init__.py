"""FAb-Net: one frame of a clip is made from others by a flow that is drawn from their codes."""
