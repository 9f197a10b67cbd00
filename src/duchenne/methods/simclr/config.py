"""Configuration of SimCLR. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from duchenne.config import Range
from duchenne.methods.families.view_config import ViewsConfig


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig(ViewsConfig):
    """SimCLR (Chen, Kornblith, Norouzi & Hinton, ICML 2020)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **ViewsConfig.TRAINING_DEFAULTS,
        "lr": 0.03,  # ours, as MoCo's for the same batch: the paper's 0.3 is for LARS
        "batch_size": 256,  # the smallest batch of the paper
    }

    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.1
    """Of the softmax over the batch (paper: 0.1)."""
