"""Parts of networks: backbones, encoders, heads, queues; nothing here knows a method, or data."""
