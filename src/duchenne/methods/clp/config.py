"""Configuration of CLP; the defaults are the paper's where it states them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Share, Width, check_ranges


@dataclass(frozen=True, kw_only=True)
class CLPConfig:
    """Contrastive learning of person-independent representations (Li & Shan, 2023)."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "sgd",  # not stated; the first author's earlier TCAE
        "lr": 1e-3,  # paper
        "momentum": 0.9,  # not stated; as MoCo
        "weight_decay": 1e-4,  # not stated; as MoCo
        "batch_size": 64,  # paper: 4 GPUs of 16 sequences
        "epochs": 200,  # paper
        "size_px": 224,  # paper
    }

    backbone: str = "resnet34"
    """Network that is kept (paper: ResNet-34)."""
    hidden_dim: Width = 256
    """Width inside both heads (paper: 256)."""
    embedding_dim: Width = 128
    """Width of both embeddings (paper: 128)."""
    terms: Literal["both", "tcl", "cir"] = "both"
    """Temporal contrast and cross-identity reconstruction, or one of them (ablation)."""

    length: Annotated[int, Range(3, 1000)] = 9
    """J: frames of a sequence (paper: 9; studied: 7 to 15)."""
    stride: Annotated[int, Range(1, 100_000)] = 2
    """s: distance of its frames, in interval units (paper: 2 at 25 frames/s; studied: 1 to 3)."""
    interval_unit: Annotated[float, Range(0, 3600, above=True)] | None = None
    """Seconds per interval unit; null: 1/25 s, or a clip's own frame spacing where that is longer."""
    separate_frames: Annotated[int, Range(1, 1000)] = 2
    """L: frames of a clip for the reconstruction (paper: 2)."""

    margin: Annotated[float, Range(0, 1e4)] = 0.03
    """m of the temporal contrast (paper: 0.03)."""
    weighting: Literal["inverse_sqrt", "uniform", "inverse", "exponential"] = "inverse_sqrt"
    """lambda_j of the temporal contrast (paper: 1/sqrt(j))."""
    offset: Annotated[int, Range(-1, 100_000)] = 0
    """Added to j in lambda_j; 0: j = 2..J-1 as printed, -1: numbered from 1."""
    distance: Literal["sqeuclidean", "euclidean"] = "euclidean"
    """Of the temporal contrast (paper: Euclidean)."""
    tcl_reduction: Literal["mean", "sum"] = "mean"
    """Over the clips of a batch; Eq. 1 prints a sum, which would make the balance depend on the batch."""

    beta: Annotated[float, Range(0, 1e3, above=True)] = 0.1
    """Weight of the reconstruction (paper: 0.1)."""
    temperature: Annotated[float, Range(0, 1e3, above=True)] = 0.07
    """Of the reconstruction's softmaxes (not stated; as CVC)."""
    key_momentum: Share = 0.999
    """rho of the momentum encoder (paper: 0.999)."""
    memory: Annotated[int, Range(1, 2_000_000)] = 65536
    """Keys kept for the reconstruction (paper: 65,536)."""
    support: Annotated[int, Range(1, 2_000_000)] = 32768
    """Of these, those that a face is put together from, drawn anew in every step; the rest are negatives (paper)."""
    memory_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which keys are kept; bfloat16 halves the memory between steps."""
    mask_same: Literal["subject", "clip", "none"] = "subject"
    """Which keys a face is not put together from: those of its person, or of its clip (paper: its identity)."""
    mask_negatives: bool = False
    """Leave the same keys out of the negatives too (not stated)."""

    crop_min: Annotated[float, Range(0.01, 1)] = 200 / 224
    """Smallest side of the random crop, as a share of the input's (not stated; as temporal ranking)."""
    crop_max: Annotated[float, Range(0.01, 1)] = 1.0
    """Largest side of the random crop."""
    rotation: Annotated[float, Range(0, 180)] = 10.0
    """Largest random rotation to either side, in degrees (paper: 10)."""
    colour: Share = 0.4
    """Strength of brightness, contrast and saturation jitter, 0 to 1 (strength not stated)."""
    flip: bool = True
    """Mirror half of the clips (paper)."""
    key_view: Literal["full", "colour"] = "full"
    """What is changed in the second view of a separate frame: all that is in the first, or its colours alone (paper:
    "pixel-level augmentation", which can be read either way)."""
    augment_per: Literal["frame", "clip"] = "clip"
    """Whether all frames of a sequence share one draw, so that only time tells them apart, or each has its own."""
    bn_splits: Annotated[int, Range(1, 65_536)] = 4
    """Parts of a process's batch with BatchNorm statistics of their own, so that these do not tell which key belongs to
    a query (paper: 4 GPUs)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        check_ranges(self)
        if self.terms == "both" and self.separate_frames > self.length:
            raise ValueError("separate_frames must be at most length")
        if self.mask_negatives and self.mask_same == "none":
            raise ValueError("mask_negatives needs mask_same: subject or clip, which says whose keys are left out")
        if self.support >= self.memory:
            raise ValueError("support must be at least 1 and below memory")
        if self.crop_min > self.crop_max:
            raise ValueError("crop_min must be at most crop_max")
        if self.key_view == "colour" and not self.colour:
            raise ValueError("key_view colour needs colour above 0, or a key would be its own query")
