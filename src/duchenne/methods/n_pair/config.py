"""Configuration of the N-pair baseline. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.methods.families.sequence_config import SequenceConfig


@dataclass(frozen=True, kw_only=True)
class NPairConfig(SequenceConfig):
    """The N-pair-mc baseline of temporal ranking (Lu, Tavabi & Soleymani, BMVC 2020, Eq. 1)."""

    l2_weight: float = 0.002
    """Of the squared length of the embeddings (Sohn 2016; the paper states none)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.l2_weight < 0:
            raise ValueError("l2_weight must be at least 0")
