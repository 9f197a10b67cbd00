"""Configuration of CVC; the defaults are the authors'. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duchenne.methods.families.view_config import MomentumConfig


@dataclass(frozen=True, kw_only=True)
class CVCConfig(MomentumConfig):
    """Cycle-contrastive learning from videos (Wu & Wang, ICCV 2021)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **MomentumConfig.TRAINING_DEFAULTS,
        "lr": 0.06,  # authors' code
        "batch_size": 512,  # authors' code
    }

    temperature: float = 0.07
    """Of all softmaxes (authors' code: 0.07)."""
    cycle_weight: float = 0.1
    """Of the cycle loss (authors' code: 0.1)."""
    cycle_memory: int = 81920
    """Keys kept for the cycle loss (authors' code: 81,920)."""
    support: int = 16384
    """Of these, those that a frame is put together from, drawn anew in every step (authors' code: 16,384)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.temperature <= 0 or self.cycle_weight <= 0:
            raise ValueError("temperature and cycle_weight must be above 0")
        if not 1 <= self.support < self.cycle_memory:
            raise ValueError("support must be at least 1 and below cycle_memory")
