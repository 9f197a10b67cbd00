"""Procedural faces with exact action units, landmarks and motion."""
