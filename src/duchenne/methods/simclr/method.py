"""SimCLR: two views of a face against all other faces of the batch (Chen et al., ICML 2020)."""

from __future__ import annotations

from torch import Tensor

from duchenne.losses.rows import spread, unit_rows
from duchenne.methods.families.view_method import ViewMethod
from duchenne.methods.simclr.config import SimCLRConfig
from duchenne.methods.simclr.loss import nt_xent_loss
from duchenne.modules.gather import gather_rows
from duchenne.modules.heads import projection_head
from duchenne.types import ClipBatch, StepOutput


class SimCLR(ViewMethod):
    """Finds the other view of a frame among all views of the batch, those of other processes included."""

    Config = SimCLRConfig
    config: SimCLRConfig
    CITATION = (
        "T. Chen, S. Kornblith, M. Norouzi, G. Hinton. A Simple Framework for Contrastive Learning of Visual "
        "Representations. ICML 2020."
    )

    def __init__(self, config: SimCLRConfig) -> None:
        super().__init__(config)
        width = self.encoder.feature_dim
        self.head = projection_head((width, width, config.embedding_dim))

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """NT-Xent of (B, 2, 3, H, W) views.

        Logs `similarity`, the mean cosine of the two views, and `spread`, 0 where the embedding has collapsed.
        """
        rows = unit_rows(self.head(self.encoder(batch.images.flatten(0, 1))))
        rows = rows.reshape(-1, 2, rows.shape[1])
        # In evaluation the processes may hold different numbers of rows, and each scores its own.
        rows = gather_rows(rows, gradient=True) if self.training else rows
        loss = nt_xent_loss(rows[:, 0], rows[:, 1], temperature=self.config.temperature)
        similarity = rows.detach().prod(1).sum(1).mean()
        return StepOutput(loss, {"similarity": similarity, "spread": spread(rows[:, 0])})

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Minus the loss within the batch."""
        return self.minus_loss(batch)
