"""Temporal ranking: a triplet network on the order of frames (Lu, Tavabi & Soleymani, BMVC 2020)."""

from __future__ import annotations

import torch

from duchenne.methods.families.sequence_method import SequenceMethod
from duchenne.methods.temporal_ranking.config import TemporalRankingConfig
from duchenne.methods.temporal_ranking.loss import ranking_triplet_loss
from duchenne.types import ClipBatch, StepOutput


class TemporalRanking(SequenceMethod):
    """Learns an embedding in which frames further away in time lie further away (their Eq. 2)."""

    Config = TemporalRankingConfig
    config: TemporalRankingConfig

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The ranking triplet loss of (B, N+2, 3, H, W) frames.

        Logs `accuracy`, the share of triplets in the right order, and `spread`, the mean squared distance of the last
        frame from the anchor (0 where the embedding has collapsed).
        """
        rows = self.embed(batch)
        loss = ranking_triplet_loss(rows[:, 0], rows[:, 1:], margin=self.config.margin, distance=self.config.distance)
        with torch.no_grad():
            distances = (rows[:, 1:].float() - rows[:, :1].float()).square().sum(-1)
            ordered = (distances[:, :-1] < distances[:, 1:]).float().mean()
        return StepOutput(loss, {"accuracy": ordered, "spread": distances[:, -1].mean()})
