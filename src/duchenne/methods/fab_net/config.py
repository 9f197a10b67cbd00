"""Configuration of FAb-Net; the defaults are the authors' code's. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from duchenne.config import Range
from duchenne.methods.families.flow_config import FlowConfig


@dataclass(frozen=True, kw_only=True)
class FabNetConfig(FlowConfig):
    """Self-supervised learning of a facial attribute embedding from video (Wiles et al., BMVC 2018)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **FlowConfig.TRAINING_DEFAULTS,
        "lr": 1e-4,  # authors' code
        "batch_size": 128,  # authors' code
    }

    sources: Annotated[int, Range(1, 1000)] = 1
    """Source frames of a target (paper: 1, then 3). Several: first one source, as its own stage; then the decoder of
    flows is kept, and the encoder learns on with a decoder of masks that say which source to trust where."""
    crop_min: Annotated[float, Range(0.01, 1)] = 170 / 190
    """Smallest side of the random crop, as a share of the input's (authors' code: 170 of 190)."""
    crop_max: Annotated[float, Range(0.01, 1)] = 189 / 190
    """Largest side of the random crop (authors' code: 189 of 190)."""
