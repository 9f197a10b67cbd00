"""Configuration of the twin-cycle autoencoder; the defaults are the authors' code's. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Weight
from duchenne.methods.families.flow_config import FlowConfig


@dataclass(frozen=True, kw_only=True)
class TwinCycleConfig(FlowConfig):
    """Twin-cycle autoencoder (Li, Zeng, Shan & Chen, CVPR 2019)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **FlowConfig.TRAINING_DEFAULTS,
        "lr": 1e-3,  # authors' code
        "batch_size": 64,  # authors' code
    }

    code: Literal["au", "pose"] = "au"
    """Which code is the run's encoder (paper: au); the other is kept beside it."""
    crop_min: Annotated[float, Range(0.01, 1)] = 200 / 224
    """Smallest side of the random crop, as a share of the input's (authors' code: 200 of 224)."""
    crop_max: Annotated[float, Range(0.01, 1)] = 223 / 224
    """Largest side of the random crop (authors' code: 223 of 224)."""
    reconstruction_weight: Weight = 10.0
    """Of the reconstruction of the target (authors' code: 10)."""
    feature_weight: Weight = 1.0
    """Of each of the six feature consistencies (authors' code: 1)."""
    cycle_weight: Weight = 1.0
    """Of each of the two cycles (authors' code: 1)."""
    flow_weight: Weight = 0.1
    """Of the mean absolute AU flow (authors' code: 0.1)."""
    pose_degree: Annotated[int, Range(1, 6)] | None = None
    """Smooth the pose flow to the nearest polynomial of this degree in x and y, so that what moves in small parts of
    the face is left to the AU flow (ours); null: every pixel moves by itself (authors' code)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if not self.reconstruction_weight:
            raise ValueError("reconstruction_weight must be above 0")
        if self.layers < 5:
            raise ValueError("layers must be at least 5: three are the codes' own, and two are shared")
