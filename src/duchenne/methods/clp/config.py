"""Configuration of CLP; the defaults are the paper's where it states them. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


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
    hidden_dim: int = 256
    """Width inside both heads (paper: 256)."""
    embedding_dim: int = 128
    """Width of both embeddings (paper: 128)."""
    terms: Literal["both", "tcl", "cir"] = "both"
    """Temporal contrast and cross-identity reconstruction, or one of them (ablation)."""

    length: int = 9
    """J: frames of a sequence (paper: 9; studied: 7 to 15)."""
    stride: int = 2
    """s: distance of its frames, in interval units (paper: 2 at 25 frames/s; studied: 1 to 3)."""
    interval_unit: float | None = None
    """Seconds per interval unit; null: 1/25 s, or a clip's own frame spacing where that is longer."""
    separate_frames: int = 2
    """L: frames of a clip for the reconstruction (paper: 2)."""

    margin: float = 0.03
    """m of the temporal contrast (paper: 0.03)."""
    weighting: Literal["inverse_sqrt", "uniform", "inverse", "exponential"] = "inverse_sqrt"
    """lambda_j of the temporal contrast (paper: 1/sqrt(j))."""
    offset: int = 0
    """Added to j in lambda_j; 0: j = 2..J-1 as printed, -1: numbered from 1."""
    distance: Literal["sqeuclidean", "euclidean"] = "euclidean"
    """Of the temporal contrast (paper: Euclidean)."""
    tcl_reduction: Literal["mean", "sum"] = "mean"
    """Over the clips of a batch; Eq. 1 prints a sum, which would make the balance depend on the batch."""

    beta: float = 0.1
    """Weight of the reconstruction (paper: 0.1)."""
    temperature: float = 0.07
    """Of the reconstruction's softmaxes (not stated; as CVC)."""
    key_momentum: float = 0.999
    """rho of the momentum encoder (paper: 0.999)."""
    memory: int = 65536
    """Keys kept for the reconstruction (paper: 65,536)."""
    support: int = 32768
    """Of these, those that a face is put together from, drawn anew in every step; the rest are negatives (paper)."""
    memory_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which keys are kept; bfloat16 halves the memory between steps."""
    mask_same: Literal["subject", "clip", "none"] = "subject"
    """Which keys a face is not put together from: those of its person, or of its clip (paper: its identity)."""
    mask_negatives: bool = False
    """Leave the same keys out of the negatives too (not stated)."""

    crop_min: float = 200 / 224
    """Smallest side of the random crop, as a share of the input's (not stated; as temporal ranking)."""
    crop_max: float = 1.0
    """Largest side of the random crop."""
    rotation: float = 10.0
    """Largest random rotation to either side, in degrees (paper: 10)."""
    colour: float = 0.4
    """Strength of brightness, contrast and saturation jitter, 0 to 1 (strength not stated)."""
    flip: bool = True
    """Mirror half of the clips (paper)."""
    key_view: Literal["full", "colour"] = "full"
    """What is changed in the second view of a separate frame: all that is in the first, or its colours alone (paper:
    "pixel-level augmentation", which can be read either way)."""
    augment_per: Literal["frame", "clip"] = "clip"
    """Whether all frames of a sequence share one draw, so that only time tells them apart, or each has its own."""
    bn_splits: int = 4
    """Parts of a process's batch with BatchNorm statistics of their own, so that these do not tell which key belongs to
    a query (paper: 4 GPUs)."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        for name in ("hidden_dim", "embedding_dim", "stride", "separate_frames", "bn_splits"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.length < 3:
            raise ValueError("length must be at least 3")
        if self.terms == "both" and self.separate_frames > self.length:
            raise ValueError("separate_frames must be at most length")
        if self.margin < 0 or self.offset < -1:
            raise ValueError("margin must be at least 0 and offset at least -1")
        if self.beta <= 0 or self.temperature <= 0:
            raise ValueError("beta and temperature must be above 0; leave the reconstruction out with terms: tcl")
        if not 0 <= self.key_momentum <= 1:
            raise ValueError("key_momentum must be between 0 and 1")
        if self.mask_negatives and self.mask_same == "none":
            raise ValueError("mask_negatives needs mask_same: subject or clip, which says whose keys are left out")
        if not 1 <= self.support < self.memory:
            raise ValueError("support must be at least 1 and below memory")
        if not 0 < self.crop_min <= self.crop_max <= 1:
            raise ValueError("crop_min and crop_max must satisfy 0 < crop_min <= crop_max <= 1")
        if self.rotation < 0 or not 0 <= self.colour <= 1:
            raise ValueError("rotation must be at least 0 and colour between 0 and 1")
        if self.key_view == "colour" and not self.colour:
            raise ValueError("key_view colour needs colour above 0, or a key would be its own query")
        if self.interval_unit is not None and self.interval_unit <= 0:
            raise ValueError("interval_unit must be above 0 seconds")
