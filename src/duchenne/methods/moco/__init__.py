"""MoCo v2: a view against a memory of keys from a momentum encoder."""
