"""MoCo: a view of a face against a memory of other faces (He et al., CVPR 2020; Chen et al., 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.prepared import Prepared
from duchenne.losses.info_nce import info_nce_loss
from duchenne.losses.rows import spread, unit_rows
from duchenne.methods.base import RunFacts
from duchenne.methods.families.memory import check_memory, memory_dtype, memory_notes
from duchenne.methods.families.view_method import ViewMethod
from duchenne.methods.moco.config import MoCoConfig
from duchenne.modules.heads import projection_head
from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.queue import Queue
from duchenne.types import ClipBatch, StepOutput


class MoCo(ViewMethod):
    """Finds the other view of a frame among the keys of earlier batches."""

    Config = MoCoConfig
    config: MoCoConfig
    CITATION = (
        "K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. Momentum Contrast for Unsupervised Visual Representation Learning. "
        "CVPR 2020. X. Chen, H. Fan, R. Girshick, K. He. Improved Baselines with Momentum Contrastive Learning. 2020."
    )

    def __init__(self, config: MoCoConfig) -> None:
        super().__init__(config)
        width = self.encoder.feature_dim
        hidden = (width,) if config.head == "mlp" else ()
        self.head = projection_head((width, *hidden, config.embedding_dim))
        network = nn.Sequential(self.encoder, self.head)
        self.key_network = MomentumCopy(network, config.key_momentum, splits=config.bn_splits)
        self.queue = Queue(config.memory, config.embedding_dim, dtype=memory_dtype(config))

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Refuses a memory smaller than a batch."""
        check_memory(config, run.batch_size)
        return config

    @classmethod
    def notes(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> list[str]:
        """Says where the memory is large for the data."""
        return memory_notes(config, len(rows))

    def start_stage(self, number: int) -> None:
        """The momentum encoder starts as a copy of the encoder, whatever weights that was given."""
        self.key_network.restart()

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """InfoNCE of (B, 2, 3, H, W) views: the first as query, the second as key.

        Logs `similarity`, the mean cosine of query and key, and `spread`, 0 where the embedding has collapsed.
        """
        query = unit_rows(self.head(self.encoder(batch.images[:, 0])))
        keys = unit_rows(self.key_network(batch.images[:, 1]))
        loss = info_nce_loss(query, keys, self.queue.rows, temperature=self.config.temperature)
        similarity = (query.detach() * keys).sum(1).mean()
        return self.remember(StepOutput(loss, {"similarity": similarity, "spread": spread(query)}, {"keys": keys}))

    def validation_score(self, batch: ClipBatch) -> Tensor:
        """Minus the loss against the memory as it is."""
        return self.minus_loss(batch)

    def after_step(self) -> None:
        """The momentum encoder follows and the keys enter the memory."""
        keys = self.kept()["keys"]
        self.key_network.update()
        self.queue.push(keys)
