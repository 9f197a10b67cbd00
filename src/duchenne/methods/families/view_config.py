"""Configuration that the methods on views of single pictures share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from duchenne.config import Range, Share, Width, check_ranges


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Random views of single pictures, one draw per clip and epoch."""

    TRAINING_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "optimiser": "sgd",
        "momentum": 0.9,  # MoCo, SimSiam, CVC
        "weight_decay": 1e-4,  # MoCo, SimSiam, CVC
        "schedule": "cosine",  # MoCo v2, SimCLR, SimSiam, CVC
        "epochs": 200,  # MoCo v2, CVC
        "size_px": 224,
    }

    backbone: str = "resnet34"
    """Network that is kept (as in CLP, whose paper compares with these methods)."""
    views: str = "moco_v2"
    """Crops, colours and blur: as published (moco_v1, moco_v2, simclr), milder ones for small aligned faces (faces), or
    an augmentation of another package, by its name or as package.module:Name."""
    embedding_dim: Width = 128
    """Width of the embedding that the loss sees (SimCLR, MoCo, CVC: 128)."""
    bn_splits: Annotated[int, Range(1, 65_536)] = 1
    """Parts of a process's batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class MomentumConfig(ViewsConfig):
    """Views that are compared with a memory of keys from a momentum encoder (MoCo and CVC)."""

    bn_splits: Annotated[int, Range(1, 65_536)] = 8
    """Parts of a process's batch with BatchNorm statistics of their own, so that these do not tell which key belongs to
    a query (MoCo: 8 GPUs with shuffled keys)."""
    key_momentum: Share = 0.999
    """m of the momentum encoder (MoCo: 0.999)."""
    memory: Annotated[int, Range(1, 2_000_000)] = 65536
    """Keys kept as negatives (MoCo: 65,536); at most half the training frames is sensible."""
    memory_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which keys are kept; bfloat16 halves the memory between steps."""
