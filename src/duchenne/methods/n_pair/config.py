"""Configuration of the N-pair baseline. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.config import Weight
from duchenne.methods.families.sequence_config import SequenceConfig


@dataclass(frozen=True, kw_only=True)
class NPairConfig(SequenceConfig):
    """The N-pair-mc baseline of temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020, Eq. 1)."""

    l2_weight: Weight = 0.002
    """Of the squared length of the embeddings (Sohn 2016; the paper states none)."""
