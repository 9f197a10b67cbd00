"""Configuration that the methods on views of single pictures share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


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

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet34"
    """Network that is kept (as in CLP, whose paper compares with these methods)."""
    views: Literal["moco_v1", "moco_v2", "simclr"] = "moco_v2"
    """Published recipe of crops, colours and blur (`augment/views.py`)."""
    embedding_dim: int = 128
    """Width of the embedding that the loss sees (SimCLR, MoCo, CVC: 128)."""
    bn_splits: int = 1
    """Parts of a process's batch with BatchNorm statistics of their own."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        if self.embedding_dim < 1 or self.bn_splits < 1:
            raise ValueError("embedding_dim and bn_splits must be at least 1")


@dataclass(frozen=True, kw_only=True)
class MomentumConfig(ViewsConfig):
    """Views that are compared with a memory of keys from a momentum encoder (MoCo and CVC)."""

    bn_splits: int = 8
    """Parts of a process's batch with BatchNorm statistics of their own, so that these do not tell which key belongs to
    a query (MoCo: 8 GPUs with shuffled keys)."""
    key_momentum: float = 0.999
    """m of the momentum encoder (MoCo: 0.999)."""
    memory: int = 65536
    """Keys kept as negatives (MoCo: 65,536); at most half the training frames is sensible."""
    memory_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which keys are kept; bfloat16 halves the memory between steps."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        super().__post_init__()
        if self.memory < 1:
            raise ValueError("memory must be at least 1")
        if not 0 <= self.key_momentum <= 1:
            raise ValueError("key_momentum must be between 0 and 1")
