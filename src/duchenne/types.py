"""Small typed containers with their shapes, passed between data, augmentation, methods and training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ClipBatch:
    """A batch of clips: several frames of one video each, in the order that the method's sampler gives.

    Attributes:
        images: (B, T, 3, H, W) RGB; uint8 as loaded, float in [0, 1] after augmentation.
        rows: (B, T) int64, the rows of `frames.parquet` (of the concatenated data sets) that the images come from.
        clips: (B,) int64, a number per clip; equal numbers are the same clip.
        subjects: (B,) int64, a number per subject; -1 where the subject is unknown.
    """

    images: Tensor
    rows: Tensor
    clips: Tensor
    subjects: Tensor

    def to(self, device: torch.device | str) -> ClipBatch:
        """The same batch with every tensor on `device`."""
        return ClipBatch(*(getattr(self, name).to(device, non_blocking=True) for name in _CLIP_FIELDS))

    def select(self, chosen: slice | Tensor) -> ClipBatch:
        """The clips `chosen` (index into the first dimension) as a batch of their own."""
        return ClipBatch(*(getattr(self, name)[chosen] for name in _CLIP_FIELDS))


_CLIP_FIELDS = ("images", "rows", "clips", "subjects")


@dataclass
class StepOutput:
    """What a method's training step returns.

    Attributes:
        loss: () scalar to minimise.
        logs: name -> number or () tensor, for the log only (detached).
    """

    loss: Tensor
    logs: Mapping[str, Tensor | float] = field(default_factory=dict)
