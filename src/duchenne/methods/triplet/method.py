"""The triplet baseline: anchor, the next frame, and one later frame of the sequence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.clip_samplers import Clip, SequenceSampler
from duchenne.losses.distance import row_distance
from duchenne.methods.families.sequence_method import SequenceMethod
from duchenne.methods.triplet.config import TripletConfig
from duchenne.methods.triplet.loss import triplet_loss
from duchenne.types import ClipBatch, StepOutput


class TripletSampler(SequenceSampler):
    """Draws a sequence and keeps anchor, sibling and one of the other frames, each equally likely."""

    @property
    def frames(self) -> int:
        """Frames per clip in a batch."""
        return 3

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(3,) rows of anchor, sibling and the negative."""
        rows = super().draw(clip, rng)
        return rows[[0, 1, 2 + int(rng.integers(len(rows) - 2))]]


class Triplet(SequenceMethod):
    """Pulls the next frame to the anchor and pushes one later frame away.

    Differs: which negative is taken is not stated; here one of the N, each equally likely.
    """

    Config = TripletConfig
    config: TripletConfig
    Sampler = TripletSampler

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The triplet loss of (B, 3, 3, H, W) frames; logs the share of triplets in the right order."""
        anchor, positive, negative = self.embed(batch).unbind(1)
        loss = triplet_loss(anchor, positive, negative, margin=self.config.margin, distance=self.config.distance)
        with torch.no_grad():
            near, far = (row_distance(rows.float(), anchor.float(), "sqeuclidean") for rows in (positive, negative))
        return StepOutput(loss, {"accuracy": (near < far).float().mean(), "spread": far.mean()})
