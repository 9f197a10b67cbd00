"""Names of class weightings. Imports no torch, so that settings and command lines can use them."""

from __future__ import annotations

from typing import Literal

Weighting = Literal["balanced", "inverse_frequency", "none"]
"""Weights from how often each label is positive in the training data."""
