"""Small typed containers with their shapes, passed between data, augmentation, methods and training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        labels: what the method asks for (`Method.LABELS`), by name, per frame: `aus` (B, T, A) int8 0, 1 or -1 unknown;
            `emotion` (B, T) int64, -1 unknown; `landmarks` (B, T, 68, 2) float32 in pixels of `images`, NaN unknown.
    """

    images: Tensor
    rows: Tensor
    clips: Tensor
    subjects: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> ClipBatch:
        """The same batch with every tensor on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def select(self, chosen: slice | Tensor) -> ClipBatch:
        """The clips `chosen` (index into the first dimension) as a batch of their own."""
        return self._each(lambda tensor: tensor[chosen])

    def _each(self, change: Callable[[Tensor], Tensor]) -> ClipBatch:
        return ClipBatch(
            images=change(self.images),
            rows=change(self.rows),
            clips=change(self.clips),
            subjects=change(self.subjects),
            labels={name: change(tensor) for name, tensor in self.labels.items()},
        )


@dataclass
class StepOutput:
    """What a method's training step returns.

    Attributes:
        loss: () scalar to minimise.
        logs: name -> number or () tensor, for the log only (detached).
        kept: name -> tensor that `Method.after_step` takes up, such as the keys that enter a memory (detached); see
            `Method.remember`.
    """

    loss: Tensor
    logs: Mapping[str, Tensor | float] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)
