"""Configuration of SimSiam; the defaults are the authors'. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duchenne.config import Width
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

    embedding_dim: Width = 2048
    """Width of the projector's output (paper: 2048)."""
    hidden_dim: Width = 512
    """Width inside the predictor (paper: 512)."""
