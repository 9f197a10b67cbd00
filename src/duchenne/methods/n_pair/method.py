"""The N-pair baseline: the next frame against all later frames of the sequence."""

from __future__ import annotations

import torch

from duchenne.methods.families.sequence_method import SequenceMethod
from duchenne.methods.n_pair.config import NPairConfig
from duchenne.methods.n_pair.loss import n_pair_mc_loss
from duchenne.types import ClipBatch, StepOutput


class NPair(SequenceMethod):
    """Makes the next frame more similar to the anchor than all later ones; embeddings are not normalised."""

    Config = NPairConfig
    config: NPairConfig
    CITATION = (
        "K. Sohn. Improved Deep Metric Learning with Multi-class N-pair Loss Objective. NeurIPS 2016. "
        "Used on faces by: " + SequenceMethod.CITATION
    )

    def __init__(self, config: NPairConfig) -> None:
        super().__init__(config, unit_rows=False)

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The N-pair loss of (B, N+2, 3, H, W) frames.

        Logs `accuracy`, the share of sequences whose sibling is the most similar, and the mean squared `norm`.
        """
        rows = self.embed(batch)
        loss = n_pair_mc_loss(rows[:, 0], rows[:, 1], rows[:, 2:], l2_weight=self.config.l2_weight)
        with torch.no_grad():
            similar = (rows[:, 1:].float() * rows[:, :1].float()).sum(-1)
            first = (similar.argmax(1) == 0).float().mean()
            norm = rows.float().square().sum(-1).mean()
        return StepOutput(loss, {"accuracy": first, "norm": norm})
