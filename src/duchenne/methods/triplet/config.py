"""Configuration of the triplet baseline; margin and distance are temporal ranking's. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.methods.families.sequence_config import MarginConfig


@dataclass(frozen=True, kw_only=True)
class TripletConfig(MarginConfig):
    """The triplet baseline of temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020, ablation)."""
