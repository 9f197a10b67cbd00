"""The supervised baseline: a network and one linear unit per action unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from duchenne.methods.families.labelled_method import LabelledMethod
from duchenne.methods.supervised.config import SupervisedConfig
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.modules.split_batchnorm import split_batchnorm
from duchenne.types import ClipBatch, StepOutput


class Supervised(LabelledMethod):
    """Multi-label binary cross-entropy on any backbone; what is kept is the network below the linear units."""

    Config = SupervisedConfig
    config: SupervisedConfig
    CITATION = (
        "T. Lian, D. A. Adama, P. Machado, D. E. Vinkemeier. Supervised Contrastive Learning with Identity-Label "
        "Embeddings for Facial Action Unit Recognition. BMVC 2023 (its baseline)."
    )

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(EncoderSpec(backbone=config.backbone, view=config.view))
        split_batchnorm(self.encoder, config.bn_splits)
        self.classifier = nn.Linear(self.encoder.feature_dim, len(config.aus))

    def scores(self, images: Tensor) -> Tensor:
        """See `LabelledMethod`."""
        return torch.as_tensor(self.classifier(self.encoder.embed(images))).float()

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The weighted cross-entropy of (B, 1, 3, H, W) frames; logs the share of right calls among known labels."""
        labels, weights = batch.labels["aus"][:, 0], batch.labels["weights"][:, 0]
        scores = self.scores(batch.images[:, 0])
        with torch.no_grad():
            known = labels >= 0
            right = ((scores > 0) == (labels == 1)) & known
        loss = self.cross_entropy(scores, labels, weights)
        return StepOutput(loss, {"accuracy": right.sum() / known.sum().clamp_min(1)})
