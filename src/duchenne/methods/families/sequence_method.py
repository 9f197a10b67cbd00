"""What the methods on frame sequences share: sampling, augmentation, and the embedding of a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

import torch
from torch import Tensor

from duchenne.augment.frames import change_frames
from duchenne.data.clip_samplers import SequenceSampler
from duchenne.methods.base import Method
from duchenne.methods.families.sequence_config import SequenceConfig
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch

OFFICIAL_SEED: Final = 567
"""Of the sequences that the authors' code draws."""


class SequenceMethod(Method):
    """Anchor t, sibling t + 1 and t + 1 + kn for n = 1..N in interval units, embedded by one encoder.

    Differs: one forward pass over all frames of a batch unless `official_sampler` is set; the authors' code passes
    anchor, sibling and the rest separately.

    Args:
        config: of the method.
        unit_rows: whether embeddings are scaled to length 1.
    """

    config: SequenceConfig
    Sampler: ClassVar[type[SequenceSampler]] = SequenceSampler
    CITATION = (
        "L. Lu, L. Tavabi, M. Soleymani. Self-Supervised Learning for Facial Action Unit Recognition through "
        "Temporal Consistency. BMVC 2020."
    )

    def __init__(self, config: SequenceConfig, *, unit_rows: bool = True) -> None:
        super().__init__(config)
        spec = EncoderSpec(backbone=config.backbone, embedding_dim=config.embedding_dim, unit_rows=unit_rows)
        self.encoder = Encoder(spec)
        split_batchnorm(self.encoder, config.bn_splits)

    @classmethod
    def sampler(cls, config: SequenceConfig) -> SequenceSampler:
        """Anchor, sibling and the N frames that follow at interval k."""
        offsets = [0, 1, *(1 + config.interval * n for n in range(1, config.triplets + 1))]
        fixed_seed = OFFICIAL_SEED if config.official_sampler else None
        return cls.Sampler(offsets, config.interval_unit, fixed_seed)

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Random crops (with the sizes of the authors' code), by default drawn anew for every frame."""
        config = self.config
        images = change_frames(
            batch.images.float() / 255,
            crop_min=config.crop_min,
            crop_max=config.crop_max,
            rotation=config.rotation,
            colour=config.colour,
            flip=config.flip,
            per=config.augment_per,
        )
        return replace(batch, images=images)

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Share of frames in the right order of time on whole pictures (the paper's ranking accuracy)."""
        plain = replace(batch, images=batch.images.float() / 255)
        return torch.as_tensor(self.training_step(plain).logs["accuracy"])

    def smallest_batch(self) -> int:
        """Two clips where anchors pass by themselves: BatchNorm cannot work on one whose last map is a single cell."""
        return max(2 if self.config.official_sampler else 1, super().smallest_batch())

    def embed(self, batch: ClipBatch) -> Tensor:
        """Embeds every frame of (B, T, 3, H, W): (B, T, D)."""
        clips, frames = batch.images.shape[:2]
        if self.config.official_sampler:
            parts = torch.tensor_split(batch.images, (1, 2), dim=1)
            rows = [self.encoder(part.flatten(0, 1)).reshape(clips, part.shape[1], -1) for part in parts]
            return torch.cat(rows, dim=1)
        return torch.as_tensor(self.encoder(batch.images.flatten(0, 1))).reshape(clips, frames, -1)
