"""What the methods on views of single pictures share: sampling, views, and the smallest batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from duchenne.augment.views import view_function
from duchenne.data.clip_frames import ClipFrames
from duchenne.data.loaders import ClipSampler
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
        self._draw = view_function(config.views)
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
        views = self._draw(frames.float() / 255)
        return replace(batch, images=views.reshape(clips, 2, *views.shape[1:]), rows=batch.rows.expand(-1, 2))

    def minus_loss(self, batch: ClipBatch) -> Tensor:
        """Minus the loss on clips held out, with the same views at every validation: a method's validation score."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            views = self.augment(batch)
        return -self.training_step(views).loss

    def smallest_batch(self) -> int:
        """Two clips for each part of a batch with BatchNorm statistics of its own; one clip cannot be normalised."""
        return 2 * self.config.bn_splits
