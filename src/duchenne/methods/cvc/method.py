"""CVC: frames of one video belong together, directly and on a cycle through other videos (Wu & Wang, ICCV 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.prepared import Prepared
from duchenne.losses.info_nce import info_nce_loss
from duchenne.losses.reconstruction import cross_identity_reconstruction_loss
from duchenne.losses.rows import spread, unit_rows
from duchenne.methods.base import RunFacts
from duchenne.methods.cvc.config import CVCConfig
from duchenne.methods.families.memory import check_memory, memory_dtype, memory_notes
from duchenne.methods.families.view_method import ViewMethod
from duchenne.modules.heads import projection_head
from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.queue import Queue
from duchenne.modules.split_memory import SplitMemory
from duchenne.types import ClipBatch, StepOutput


class TwoHeads(nn.Module):
    """Two projections of the same features side by side: (B, W) -> (B, 2D)."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.video, self.cycle = (projection_head((width, width, dim)) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        """(B, W) -> (B, 2D): for frames of one video, then for the cycle."""
        return torch.cat([self.video(features), self.cycle(features)], dim=1)


class CVC(ViewMethod):
    """A frame's positive is another frame of its clip; the cycle goes through the nearest keys of other batches.

    Differs: the other frame's key enters the memories; the authors' code embeds a second view of the first frame for
    that, a third forward pass.
    """

    FRAMES = 2
    Config = CVCConfig
    config: CVCConfig
    CITATION = (
        "H. Wu, X. Wang. Contrastive Learning of Image Representations with Cross-Video Cycle-Consistency. ICCV 2021."
    )

    def __init__(self, config: CVCConfig) -> None:
        super().__init__(config)
        self.heads = TwoHeads(self.encoder.feature_dim, config.embedding_dim)
        network = nn.Sequential(self.encoder, self.heads)
        self.key_network = MomentumCopy(network, config.key_momentum, splits=config.bn_splits)
        dtype = memory_dtype(config)
        self.queue = Queue(config.memory, config.embedding_dim, dtype=dtype)
        self.cycle_memory = SplitMemory(config.cycle_memory, config.embedding_dim, config.support, dtype=dtype)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Refuses memories smaller than a batch."""
        check_memory(config, run.batch_size)
        check_memory(config, run.batch_size, name="cycle_memory")
        return config

    @classmethod
    def notes(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> list[str]:
        """Says where a memory is large for the data."""
        return [*memory_notes(config, len(rows)), *memory_notes(config, len(rows), name="cycle_memory")]

    def start_stage(self, number: int) -> None:
        """The momentum encoder starts as a copy of the encoder, whatever weights that was given."""
        self.key_network.restart()

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The sum of both losses for (B, 2, 3, H, W) views of two frames: the first as query, the second as key.

        Logs both losses, `similarity`, the mean cosine of query and key, and `spread`, 0 where the embedding has
        collapsed.
        """
        query, cycle_query = self._parts(self.heads(self.encoder(batch.images[:, 0])))
        key, cycle_key = self._parts(self.key_network(batch.images[:, 1]))
        temperature = self.config.temperature
        video = info_nce_loss(query, key, self.queue.rows, temperature=temperature)
        cycle = cross_identity_reconstruction_loss(
            cycle_query, cycle_key, *self.cycle_memory.split(), temperature=temperature
        )
        logs = {
            "video": video.detach(),
            "cycle": cycle.detach(),
            "similarity": (query.detach() * key).sum(1).mean(),
            "spread": spread(query),
        }
        loss = video + self.config.cycle_weight * cycle
        return self.remember(StepOutput(loss, logs, {"key": key, "cycle_key": cycle_key}))

    def after_step(self) -> None:
        """The momentum encoder follows, the keys enter their memories, and the support is drawn anew."""
        kept = self.kept()
        self.key_network.update()
        self.queue.push(kept["key"])
        self.cycle_memory.push(kept["cycle_key"])
        self.cycle_memory.deal()

    def _parts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        video, cycle = rows.chunk(2, dim=1)
        return unit_rows(video), unit_rows(cycle)
