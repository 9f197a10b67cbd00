"""Temporal ranking: frames further away in time should lie further away in the embedding."""
