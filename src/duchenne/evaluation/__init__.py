"""Evaluation: encoders, protocols, intervals, reports."""
