"""Augmentation, batched and on the device."""
