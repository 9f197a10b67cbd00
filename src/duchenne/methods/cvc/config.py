"""Configuration of CVC; the defaults are the authors'. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from duchenne.config import Range, Weight
from duchenne.methods.families.view_config import MomentumConfig


@dataclass(frozen=True, kw_only=True)
class CVCConfig(MomentumConfig):
    """Cycle-contrastive learning from videos (Wu & Wang, ICCV 2021)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **MomentumConfig.TRAINING_DEFAULTS,
        "lr": 0.06,  # authors' code
        "batch_size": 512,  # authors' code
    }

    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.07
    """Of all softmaxes (authors' code: 0.07)."""
    cycle_weight: Weight = 0.1
    """Of the cycle loss (authors' code: 0.1)."""
    cycle_memory: Annotated[int, Range(1, 2_000_000)] = 81920
    """Keys kept for the cycle loss (authors' code: 81,920)."""
    support: Annotated[int, Range(1, 2_000_000)] = 16384
    """Of these, those that a frame is put together from, drawn anew in every step (authors' code: 16,384)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if not self.cycle_weight:
            raise ValueError("cycle_weight must be above 0")
        if self.support >= self.cycle_memory:
            raise ValueError("support must be at least 1 and below cycle_memory")
