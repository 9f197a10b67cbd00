"""Configuration of MoCo v2; the defaults are the authors'. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duchenne.methods.families.view_config import MomentumConfig


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(MomentumConfig):
    """MoCo v2 (Chen, Fan, Girshick & He, 2020)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **MomentumConfig.TRAINING_DEFAULTS,
        "lr": 0.03,  # authors' code, for a batch of 256
        "batch_size": 256,  # authors' code
    }

    temperature: float = 0.2
    """Of the softmax over the memory (MoCo v2: 0.2; v1: 0.07)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")
