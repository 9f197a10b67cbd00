"""Configuration that the methods on flow fields share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Count, Range, Share, check_ranges


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

    layers: Annotated[int, Range(4, 9)] = 8
    """Convolutions of stride 2; the pictures' side must be 2^layers (both codes: 8 for 256 px)."""
    crop_min: Annotated[float, Range(0.01, 1)]
    """Smallest side of the random crop, as a share of the input's."""
    crop_max: Annotated[float, Range(0.01, 1)]
    """Largest side of the random crop."""
    augment_per: Literal["frame", "clip"] = "frame"
    """Whether each frame has its own crop (both codes) or all frames of a clip share one."""
    curriculum: bool = True
    """Train on a window of the sorted losses of a batch, from easy to hard (both codes); off: on all of them."""
    window_share: Annotated[float, Range(0, 1, above=True)] = 0.5
    """Of the batch that is in the window (both codes: 0.5)."""
    window_shift: Annotated[float, Range(0, 1, above=True)] = 0.1
    """What the window moves by (both codes: 0.1)."""
    window_until: Share = 0.85
    """The window moves while its upper end lies below (both codes: 0.85; so the last is 0.4 to 0.9)."""
    window_patience: Count = 15
    """Validations that must pass without a better one before the window moves (both codes: more than 15 epochs)."""
    window_steps: Count | None = None
    """Move the window every this many steps instead, whatever validations say; null: as `window_patience` says."""
    bn_splits: Annotated[int, Range(1, 65_536)] = 1
    """Parts of a batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        check_ranges(self)
        if self.crop_min > self.crop_max:
            raise ValueError("crop_min must be at most crop_max")
