"""Configuration of MoCo; the defaults are those of v2. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range
from duchenne.methods.families.view_config import MomentumConfig


@dataclass(frozen=True, kw_only=True)
class MoCoConfig(MomentumConfig):
    """MoCo v2 (Chen, Fan, Girshick & He, 2020); v1 (He et al., CVPR 2020) is `views` moco_v1, `temperature` 0.07 and
    `head` linear."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **MomentumConfig.TRAINING_DEFAULTS,
        "lr": 0.03,  # authors' code, for a batch of 256
        "batch_size": 256,  # authors' code
    }

    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.2
    """Of the softmax over the memory (v2: 0.2; v1: 0.07)."""
    head: Literal["mlp", "linear"] = "mlp"
    """Between encoder and loss: one hidden layer (v2) or none (v1)."""
