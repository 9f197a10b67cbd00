"""Configuration of temporal ranking; the defaults are the paper's. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from duchenne.methods.sequence_config import SequenceConfig


@dataclass(frozen=True, kw_only=True)
class TemporalRankingConfig(SequenceConfig):
    """Temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020)."""

    margin: float = 0.03
    """delta (paper: 0.03)."""
    distance: Literal["sqeuclidean", "euclidean"] = "sqeuclidean"
    """Squared as in the authors' code, or as in the paper's text."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.margin < 0:
            raise ValueError("margin must be at least 0")
