"""Configuration that the methods on frame sequences share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Share, Width, check_ranges


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
    embedding_dim: Width = 256
    """Width of the embedding (paper, section 3)."""
    interval: Annotated[int, Range(1, 100_000)] = 1
    """k: distance of neighbouring frames of the sequence, in interval units (paper: 1, 2 or 4 at 25 frames/s)."""
    triplets: Annotated[int, Range(1, 1000)] = 10
    """N: frames after anchor and sibling (paper: 10)."""
    interval_unit: Annotated[float, Range(0, 3600, above=True)] | None = None
    """Seconds per interval unit; null: 1/25 s, or a clip's own frame spacing where that is longer."""
    official_sampler: bool = False
    """As in the authors' code: the same sequence of a clip in every epoch; anchor, sibling and the rest pass the
    network separately, with BatchNorm statistics of their own."""
    crop_min: Annotated[float, Range(0.01, 1)] = 200 / 224
    """Smallest side of the random crop, as a share of the input's (authors' code: 200 of 224)."""
    crop_max: Annotated[float, Range(0.01, 1)] = 223 / 224
    """Largest side of the random crop (authors' code: 223 of 224)."""
    rotation: Annotated[float, Range(0, 180)] = 0.0
    """Largest random rotation to either side, in degrees (paper: none)."""
    colour: Share = 0.0
    """Strength of brightness, contrast and saturation jitter, 0 to 1 (paper: none)."""
    flip: bool = False
    """Mirror whole sequences at random (paper: no)."""
    augment_per: Literal["frame", "clip"] = "frame"
    """Whether each frame of a sequence has its own crop (authors' code) or all share one."""
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


@dataclass(frozen=True, kw_only=True)
class MarginConfig(SequenceConfig):
    """Sequences whose distances are compared with a margin."""

    margin: Annotated[float, Range(0, 1e4)] = 0.03
    """delta (paper: 0.03)."""
    distance: Literal["sqeuclidean", "euclidean"] = "sqeuclidean"
    """Squared as in the authors' code, or as in the paper's text."""
