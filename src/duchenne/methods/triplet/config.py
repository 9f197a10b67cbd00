"""Configuration of the triplet baseline. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from duchenne.methods.sequence_config import SequenceConfig


@dataclass(frozen=True, kw_only=True)
class TripletConfig(SequenceConfig):
    """The triplet baseline of temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020, ablation)."""

    margin: float = 0.03
    """As temporal ranking's; the paper states no other."""
    distance: Literal["sqeuclidean", "euclidean"] = "sqeuclidean"
    """As temporal ranking's."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.margin < 0:
            raise ValueError("margin must be at least 0")
