"""Configuration that the methods on frame sequences share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Sequences of frames as in Lu, Tavabi & Soleymani, BMVC 2020; the defaults are the paper's, but that weights are
    random where no recipe says imagenet."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "sgd",  # paper
        "lr": 1e-3,  # paper
        "momentum": 0.9,  # paper
        "batch_size": 48,  # authors' code
        "epochs": 50,  # authors' code
        "size_px": 256,  # paper
        "epoch_of": "video",  # authors' code: one sequence of a video
        "validation_share": 0.2,  # paper
        "validation_by": "video",  # paper: "randomly split by 80/20 in video-independent fashion"
    }

    backbone: str = "resnet18"
    """Network before the embedding layer (paper: ResNet-18)."""
    embedding_dim: int = 256
    """Width of the embedding (paper, section 3)."""
    interval: int = 1
    """k: distance of neighbouring frames of the sequence, in interval units (paper: 1, 2 or 4 at 25 frames/s)."""
    triplets: int = 10
    """N: frames after anchor and sibling (paper: 10)."""
    interval_unit: float | None = None
    """Seconds per interval unit; null: 1/25 s, or a clip's own frame spacing where that is longer."""
    official_sampler: bool = False
    """As in the authors' code: the same sequence of a clip in every epoch; anchor, sibling and the rest pass the
    network separately, with BatchNorm statistics of their own."""
    crop_min: float = 200 / 224
    """Smallest side of the random crop, as a share of the input's (authors' code: 200 of 224)."""
    crop_max: float = 223 / 224
    """Largest side of the random crop (authors' code: 223 of 224)."""
    rotation: float = 0.0
    """Largest random rotation to either side, in degrees (paper: none)."""
    colour: float = 0.0
    """Strength of brightness, contrast and saturation jitter, 0 to 1 (paper: none)."""
    flip: bool = False
    """Mirror whole sequences at random (paper: no)."""
    augment_per: Literal["frame", "clip"] = "frame"
    """Whether each frame of a sequence has its own crop (authors' code) or all share one."""
    bn_splits: int = 1
    """Parts of a batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        if self.interval < 1 or self.triplets < 1 or self.embedding_dim < 1 or self.bn_splits < 1:
            raise ValueError("interval, triplets, embedding_dim and bn_splits must be at least 1")
        if not 0 < self.crop_min <= self.crop_max <= 1:
            raise ValueError("crop_min and crop_max must satisfy 0 < crop_min <= crop_max <= 1")
        if self.rotation < 0 or not 0 <= self.colour <= 1:
            raise ValueError("rotation must be at least 0 and colour between 0 and 1")
        if self.interval_unit is not None and self.interval_unit <= 0:
            raise ValueError("interval_unit must be above 0 seconds")


@dataclass(frozen=True, kw_only=True)
class MarginConfig(SequenceConfig):
    """Sequences whose distances are compared with a margin."""

    margin: float = 0.03
    """delta (paper: 0.03)."""
    distance: Literal["sqeuclidean", "euclidean"] = "sqeuclidean"
    """Squared as in the authors' code, or as in the paper's text."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.margin < 0:
            raise ValueError("margin must be at least 0")
