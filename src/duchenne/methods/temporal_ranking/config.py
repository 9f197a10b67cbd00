"""Configuration of temporal ranking; the defaults are the paper's, but that weights are random. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.methods.families.sequence_config import MarginConfig


@dataclass(frozen=True, kw_only=True)
class TemporalRankingConfig(MarginConfig):
    """Temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020)."""
