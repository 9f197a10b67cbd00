"""Configuration that the methods on frames with action unit labels share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Share, check_ranges


@dataclass(frozen=True, kw_only=True)
class LabelledConfig:
    """Single frames with action unit labels; the defaults are those of Lian et al., BMVC 2023 (on BP4D), but that
    weights are random where no recipe says imagenet."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "sgd",  # paper
        "lr": 1e-4,  # paper, for the backbone
        "momentum": 0.9,  # not stated
        "batch_size": 64,  # paper
        "epochs": 300,  # paper, for the backbone
        "epoch_of": "frame",
        "size_px": 224,  # paper
        "schedule": "plateau",  # paper: lowered where F1 no longer rises; patience, factor and smallest rate are ours
        "validation_share": 0.1,  # ours: the paper does not say on which data
        "validation_by": "subject",
        "validation_clips": None,  # F1 of rare action units needs all
    }

    backbone: str = "resnet18"
    """Network (CL-ILE: ResNet-18; the baseline of CLP: ResNet-34, of EmoCo: ResNet-50)."""
    aus: tuple[Annotated[int, Range(1, 99)], ...] = ()
    """Action units to learn; empty: all that the training frames show both present and absent."""
    positive_shares: tuple[Share, ...] = ()
    """Share of the known training labels that are positive, per action unit; filled in from the data."""
    weighting: Literal["balanced", "inverse_frequency", "none", "selective", "selective_per_label"] = "selective"
    """Of the classes: by their frequency in the training data (balanced: within each action unit; inverse_frequency:
    one weight per action unit), none, or by their frequency in each batch (paper: selective learning)."""
    absent_weight: Share = 0.0
    """Selective learning: weight of an action unit of which the batch shows one class only, 0 or 1 (not stated)."""
    crop_min: Annotated[float, Range(0.01, 1)] = 224 / 240
    """Smallest side of the random crop, as a share of the picture's (paper: 224 of 240)."""
    crop_max: Annotated[float, Range(0.01, 1)] = 224 / 240
    """Largest side of the random crop (paper: 224 of 240)."""
    flip: bool = True
    """Mirror frames at random (paper: yes)."""
    colour: Share = 0.0
    """Strength of brightness, contrast and saturation jitter, 0 to 1 (paper: none)."""
    bn_splits: Annotated[int, Range(1, 65_536)] = 1
    """Parts of a batch with BatchNorm statistics of their own."""

    @property
    def view(self) -> float:
        """Share of a face's side that is seen in scoring: as in the mean random crop."""
        return (self.crop_min + self.crop_max) / 2

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        check_ranges(self)
        if self.crop_min > self.crop_max:
            raise ValueError("crop_min must be at most crop_max")
        if len(set(self.aus)) < len(self.aus):
            raise ValueError("aus must name each action unit once")
        if self.absent_weight not in (0.0, 1.0):
            raise ValueError("absent_weight must be 0 or 1")
        if self.positive_shares and len(self.positive_shares) != len(self.aus):
            raise ValueError("positive_shares must have a value for each of aus; leave it out, it is counted")
