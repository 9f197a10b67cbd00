"""Configuration that the methods on flow fields share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Two frames of a clip, one made from the other by a flow (Wiles et al., BMVC 2018; Li et al., CVPR 2019)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "sgd",  # both codes
        "momentum": 0.9,  # both codes
        "epochs": 200,  # ours: the codes run until they are stopped
        "size_px": 256,  # both codes
        "validation_share": 0.15,  # ours
    }

    layers: int = 8
    """Convolutions of stride 2; the pictures' side must be 2^layers (both codes: 8 for 256 px)."""
    crop_min: float
    """Smallest side of the random crop, as a share of the input's."""
    crop_max: float
    """Largest side of the random crop."""
    augment_per: Literal["frame", "clip"] = "frame"
    """Whether each frame has its own crop (both codes) or all frames of a clip share one."""
    curriculum: bool = True
    """Train on a window of the sorted losses of a batch, from easy to hard (both codes); off: on all of them."""
    window_share: float = 0.5
    """Of the batch that is in the window (both codes: 0.5)."""
    window_shift: float = 0.1
    """What the window moves by (both codes: 0.1)."""
    window_until: float = 0.85
    """The window moves while its upper end lies below (both codes: 0.85; so the last is 0.4 to 0.9)."""
    window_patience: int = 15
    """Validations that must pass without a better one before the window moves (both codes: more than 15 epochs)."""
    window_steps: int | None = None
    """Move the window every so many steps instead, whatever validations say; null: as `window_patience` says."""
    bn_splits: int = 1
    """Parts of a batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        if not 4 <= self.layers <= 9 or self.bn_splits < 1:
            raise ValueError("layers must be 4 to 9 and bn_splits at least 1")
        if not 0 < self.crop_min <= self.crop_max <= 1:
            raise ValueError("crop_min and crop_max must satisfy 0 < crop_min <= crop_max <= 1")
        if not 0 < self.window_share <= 1 or self.window_shift <= 0 or not 0 <= self.window_until <= 1:
            raise ValueError("window_share, window_shift and window_until must lie above 0 and be at most 1")
        if self.window_patience < 1 or (self.window_steps is not None and self.window_steps < 1):
            raise ValueError("window_patience and window_steps must be at least 1")
