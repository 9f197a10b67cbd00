"""What the methods on views of single pictures share: sampling, views, and the smallest batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.augment.views import VIEWS, draw_views
from duchenne.data.clip_frames import ClipFrames
from duchenne.data.loaders import ClipSampler
from duchenne.errors import UsageError
from duchenne.methods.base import Method
from duchenne.methods.families.view_config import ViewsConfig
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch


class ViewMethod(Method):
    """Compares two views: of one frame of a clip, or of two where `FRAMES` is 2.

    Args:
        config: of the method.
    """

    FRAMES: ClassVar[int] = 1
    config: ViewsConfig

    def __init__(self, config: ViewsConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone=config.backbone))
        split_batchnorm(self.encoder, config.bn_splits)

    @classmethod
    def sampler(cls, config: Any) -> ClipSampler:
        """Frames of a clip at random, all equally likely."""
        return ClipFrames(cls.FRAMES)

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """(B, 1 or 2, ...) frames -> (B, 2, ...) views, each drawn independently."""
        clips = len(batch.images)
        frames = batch.images.expand(-1, 2, -1, -1, -1).reshape(2 * clips, *batch.images.shape[2:])
        views = draw_views(frames.float() / 255, VIEWS[self.config.views])
        return replace(batch, images=views.reshape(clips, 2, *views.shape[1:]), rows=batch.rows.expand(-1, 2))

    def smallest_batch(self) -> int:
        """Two clips for each part of a batch with BatchNorm statistics of its own; one clip cannot be normalised."""
        return 2 * self.config.bn_splits


def unit_rows(rows: Tensor) -> Tensor:
    """(B, D) scaled to length 1, in float32 also under autocast."""
    return functional.normalize(rows.float(), dim=-1)


def spread(rows: Tensor) -> Tensor:
    """() how far unit rows (B, D) are spread: 1 where they point everywhere, 0 where the embedding has collapsed."""
    rows = rows.detach()
    return (rows - rows.mean(0)).square().sum(1).mean().sqrt()


def memory_dtype(config: Any) -> torch.dtype:
    """Of the field `memory_dtype`."""
    return torch.bfloat16 if config.memory_dtype == "bfloat16" else torch.float32


def check_memory(config: Any, keys: int, *, name: str = "memory") -> None:
    """Refuses a memory that cannot hold the keys of one step.

    Args:
        config: of the run.
        keys: of a step, over all processes.
        name: of the field.

    Raises:
        UsageError: when it is smaller.
    """
    size = getattr(config, name)
    if size < keys:
        flag = name.replace("_", "-")
        raise UsageError(
            f"--{flag} {size} is smaller than the {keys} keys of one step; give at least --{flag} {keys} or a smaller "
            "--batch-size."
        )


def memory_notes(
    config: Any, frames: int, *, name: str = "memory", of: str = "frames that are trained on"
) -> list[str]:
    """Says where a memory holds more keys than half the frames that fill it, in one sentence.

    Args:
        config: of the run.
        frames: that fill it.
        name: of the field.
        of: what the frames are, in words.
    """
    size = getattr(config, name)
    if 2 * size <= frames:
        return []
    flag = name.replace("_", "-")
    return [
        f"--{flag} {size} is more than half of the {frames} {of}: faces are compared with old keys of themselves, and "
        "with random vectors for as long as it takes to fill."
    ]
