"""SimSiam: each view of a face predicts the embedding of the other (Chen & He, CVPR 2021)."""

from __future__ import annotations

from typing import Any

from duchenne.losses.rows import spread, unit_rows
from duchenne.methods.families.view_method import ViewMethod
from duchenne.methods.simsiam.config import SimSiamConfig
from duchenne.methods.simsiam.loss import prediction_similarity_loss
from duchenne.modules.heads import projection_head
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput


class SimSiam(ViewMethod):
    """Two views, one encoder, a predictor and a stopped gradient."""

    Config = SimSiamConfig
    config: SimSiamConfig
    CITATION = "X. Chen, K. He. Exploring Simple Siamese Representation Learning. CVPR 2021."

    def __init__(self, config: SimSiamConfig) -> None:
        super().__init__(config)
        width, out = self.encoder.feature_dim, config.embedding_dim
        self.head = projection_head((width, width, width, out), batchnorm=True, last="batchnorm")
        self.predictor = projection_head((out, config.hidden_dim, out), batchnorm=True)
        for network in (self.head, self.predictor):
            split_batchnorm(network, config.bn_splits)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The predictor keeps its learning rate (paper, section 4.2); all else follows the schedule."""
        rest = [*self.encoder.parameters(), *self.head.parameters()]
        return [{"params": rest}, {"params": list(self.predictor.parameters()), "scheduled": False}]

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The mean of both directions for (B, 2, 3, H, W) views, each view normalised by its own statistics.

        Logs `spread` of the projections, 0 where the embedding has collapsed.
        """
        first, second = (self.head(self.encoder(view)) for view in batch.images.unbind(1))
        forwards = prediction_similarity_loss(self.predictor(first), second)
        backwards = prediction_similarity_loss(self.predictor(second), first)
        return StepOutput((forwards + backwards) / 2, {"spread": spread(unit_rows(first))})
