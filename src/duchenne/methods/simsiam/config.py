"""Configuration of SimSiam; the defaults are the authors'. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duchenne.methods.families.view_config import ViewsConfig


@dataclass(frozen=True, kw_only=True)
class SimSiamConfig(ViewsConfig):
    """SimSiam (Chen & He, CVPR 2021)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **ViewsConfig.TRAINING_DEFAULTS,
        "lr": 0.1,  # paper: 0.05 x batch / 256
        "batch_size": 512,  # paper
        "epochs": 100,  # authors' code
    }

    embedding_dim: int = 2048
    """Width of the projector's output (paper: 2048)."""
    hidden_dim: int = 512
    """Width inside the predictor (paper: 512)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.hidden_dim < 1:
            raise ValueError("hidden_dim must be at least 1")
