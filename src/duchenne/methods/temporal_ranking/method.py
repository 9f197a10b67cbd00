"""Temporal ranking: a triplet network on the order of frames (Lu, Tavabi & Soleymani, BMVC 2020)."""

from __future__ import annotations

from dataclasses import replace

import torch

from duchenne.augment.colour import draw_colour, jitter_colour
from duchenne.augment.geometry import draw_geometry, warp
from duchenne.data.clips import SequenceSampler
from duchenne.methods.base import Method
from duchenne.methods.temporal_ranking.config import TemporalRankingConfig
from duchenne.methods.temporal_ranking.loss import ranking_triplet_loss
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput


class TemporalRanking(Method):
    """Learns an embedding in which frames further away in time lie further away (their Eq. 2).

    A sequence is anchor t, sibling t + 1 and t + 1 + kn for n = 1..N, in interval units.

    Differs: one forward pass over all frames of a batch; the authors' code passes anchor, sibling and the rest
    separately, so with BatchNorm statistics of their own.
    """

    Config = TemporalRankingConfig
    CITATION = (
        "L. Lu, L. Tavabi, M. Soleymani. Self-Supervised Learning for Facial Action Unit Recognition through "
        "Temporal Consistency. BMVC 2020."
    )

    def __init__(self, config: TemporalRankingConfig) -> None:
        super().__init__(config)
        spec = EncoderSpec(backbone=config.backbone, embedding_dim=config.embedding_dim, unit_rows=True)
        self.encoder = Encoder(spec)
        split_batchnorm(self.encoder, config.bn_splits)

    @classmethod
    def sampler(cls, config: TemporalRankingConfig) -> SequenceSampler:
        """Anchor, sibling and the N frames that follow at interval k."""
        offsets = [0, 1, *(1 + config.interval * n for n in range(1, config.triplets + 1))]
        return SequenceSampler(offsets, config.interval_unit)

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Random crops (with the authors' code's sizes), by default drawn anew for every frame."""
        config = self.config
        clips, frames = batch.images.shape[:2]
        images = batch.images.flatten(0, 1).float() / 255
        each = 1 if config.augment_per == "frame" else frames
        matrices = draw_geometry(
            clips * frames // each,
            images.shape[-1],
            crop_min=config.crop_min,
            crop_max=config.crop_max,
            rotation=config.rotation,
            device=images.device,
        )
        images = warp(images, matrices.repeat_interleave(each, dim=0))
        if config.flip:
            mirrored = (torch.rand(clips) < 0.5).repeat_interleave(frames).to(images.device)
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if config.colour:
            factors = draw_colour(clips * frames // each, config.colour)
            images = jitter_colour(images, factors.repeat_interleave(each, dim=0))
        return replace(batch, images=images.reshape(batch.images.shape))

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The ranking triplet loss of (B, N+2, 3, H, W) frames.

        Logs `accuracy`, the share of triplets in the right order, and `spread`, the mean squared distance of the last
        frame from the anchor (0 where the embedding has collapsed).
        """
        clips, frames = batch.images.shape[:2]
        rows = self.encoder(batch.images.flatten(0, 1)).reshape(clips, frames, -1)
        loss = ranking_triplet_loss(rows[:, 0], rows[:, 1:], margin=self.config.margin, distance=self.config.distance)
        with torch.no_grad():
            distances = (rows[:, 1:].float() - rows[:, :1].float()).square().sum(-1)
            ordered = (distances[:, :-1] < distances[:, 1:]).float().mean()
        return StepOutput(loss, {"accuracy": ordered, "spread": distances[:, -1].mean()})
