"""EmoCo: faces of one emotion differ in their action units, so faces are contrasted within each emotion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.labels import LabelSpec
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameSampler
from duchenne.data.stored.spilled import parts_of
from duchenne.errors import InputError
from duchenne.losses.rows import spread, unit_rows
from duchenne.methods.base import RunFacts
from duchenne.methods.emoco.config import EmoCoConfig
from duchenne.methods.emoco.loss import contrastive_rows, emotion_loss
from duchenne.methods.families.memory import check_memory, memory_dtype, memory_notes
from duchenne.methods.families.view_method import ViewMethod
from duchenne.modules.heads import projection_head
from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.queue import Queue
from duchenne.types import ClipBatch, StepOutput


class EmoCo(ViewMethod):
    """Sun et al., FG 2021, Eq. 1: lambda L_emo + L_cont on two views of each emotion-labelled frame."""

    Config = EmoCoConfig
    config: EmoCoConfig
    CITATION = "X. Sun, J. Zeng, S. Shan. Emotion-aware Contrastive Learning for Facial Action Unit Detection. FG 2021."

    def __init__(self, config: EmoCoConfig) -> None:
        super().__init__(config)
        width, classes = self.encoder.feature_dim, len(config.classes)
        self.head = projection_head((width, width, config.embedding_dim))
        self.classifier = nn.Linear(config.embedding_dim, classes, bias=False)
        self.key_network: MomentumCopy | None = None
        if config.contrast_weight:
            network = nn.Sequential(self.encoder, self.head)
            self.key_network = MomentumCopy(network, config.key_momentum, splits=config.bn_splits)
            self.queue = Queue(
                config.memory,
                config.embedding_dim,
                classes=classes if config.queues == "per_class" else None,
                ids=("image",) if config.mask_own_image else (),
                dtype=memory_dtype(config),
            )

    @classmethod
    def sampler(cls, config: EmoCoConfig) -> FrameSampler:
        """Single frames whose emotion is one of the classes."""
        return FrameSampler(cls.labels(config), "emotion" if config.balanced else None)

    @classmethod
    def labels(cls, config: EmoCoConfig) -> LabelSpec:
        """The emotion."""
        return LabelSpec(emotions=config.classes)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Fills in the emotions that are shown; checks that a single memory holds the keys of one batch.

        Raises:
            InputError: when the frames that may be used show fewer than two emotions, or not all that were asked for.
            UsageError: when a single memory is smaller than a batch.
        """
        found = _emotions(data, rows)
        shown = tuple(name for name in config.classes if name in found)
        if len(shown) < max(2, len(config.emotions)):
            lacking = ", ".join(name for name in config.classes if name not in found)
            raise InputError(
                f"{data.paths[0]}: emoco learns from emotion labels, and the column `emotion` of frames.parquet names "
                f"{lacking} nowhere in frames that may be used; prepare data with such labels, or choose --emotions."
            )
        if config.queues == "single" and config.contrast_weight:
            check_memory(config, run.batch_size)
        return replace(config, emotions=shown)

    @classmethod
    def notes(cls, config: Any, data: Prepared, rows: NDArray[np.int64]) -> list[str]:
        """Says where a memory is large for the data, of the rarest emotion where each has its own."""
        if not config.contrast_weight:
            return []
        shown = pd.Series(_emotions(data, rows)).reindex(list(config.classes), fill_value=0)
        if config.queues == "single":
            return memory_notes(config, int(shown.sum()))
        return memory_notes(config, int(shown.min()), of=f"frames of {shown.idxmin()}, the rarest emotion")

    def start_stage(self, number: int) -> None:
        """The momentum encoder starts as a copy of the encoder, whatever weights that was given."""
        if self.key_network is not None:
            self.key_network.restart()

    def training_step(self, batch: ClipBatch) -> StepOutput:
        """The weighted sum of both losses on (B, 2, 3, H, W) views: the first as query, the second as key.

        Logs `emotion` and `contrast` (the losses), `accuracy` of the emotion, `similarity`, the mean cosine of query
        and key, and `spread`, 0 where the embedding has collapsed.
        """
        config, labels = self.config, batch.labels["emotion"][:, 0]
        query = unit_rows(self.head(self.encoder(batch.images[:, 0])))
        weight = self.classifier.weight
        emotion = emotion_loss(query, weight, labels)
        right = ((query.detach() @ weight.detach().to(query).T).argmax(1) == labels).float().mean()
        loss, logs = config.emotion_weight * emotion, {"emotion": emotion.detach(), "accuracy": right}
        kept: dict[str, Tensor] = {}
        if self.key_network is not None:
            keys = unit_rows(self.key_network(batch.images[:, 1]))
            images = batch.rows[:, 0]
            contrast = self._contrast(query, keys, weight, labels, images)
            loss = loss + config.contrast_weight * contrast
            kept = {"keys": keys, "labels": labels, "images": images}
            logs |= {"contrast": contrast.detach(), "similarity": (query.detach() * keys).sum(1).mean()}
        return self.remember(StepOutput(loss, {**logs, "spread": spread(query)}, kept))

    def after_step(self) -> None:
        """The momentum encoder follows and the keys enter the memory of their emotion."""
        if self.key_network is None:
            return
        kept = self.kept()
        self.key_network.update()
        keys, labels = kept["keys"], kept["labels"]
        ids = {"image": kept["images"]} if self.config.mask_own_image else {}
        self.queue.push(keys, labels=labels if self.config.queues == "per_class" else None, **ids)

    def _contrast(self, query: Tensor, keys: Tensor, weight: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        config, single = self.config, self.config.queues == "single"
        count = len(config.classes)
        queues = [self.queue.rows] * count if single else list(self.queue.rows)
        by_class = by_query = None
        if config.mask_unfilled:
            by_class = self.queue.valid().expand(count, -1)
        if config.mask_own_image:
            stored = self.queue.ids("image")
            by_query = (stored if single else stored[labels]) != images[:, None]
        rows = contrastive_rows(
            query,
            keys,
            queues,
            weight,
            labels,
            temperature=config.temperature,
            normalisation=config.normalisation,
            by_class=by_class,
            by_query=by_query,
            detach_prototypes=config.detach_prototypes,
        )
        return torch.as_tensor(rows).mean()


def _emotions(data: Prepared, rows: NDArray[np.int64]) -> dict[str, int]:
    """Emotion -> in how many of the rows it is shown, of those that are."""
    words = data.codes("emotion", slice(0, 0))[1]
    found = np.zeros(len(words), dtype=np.int64)
    for part in parts_of(len(rows)):
        found += np.bincount(data.codes("emotion", rows[part])[0] + 1, minlength=len(words) + 1)[1:]
    return {word: int(count) for word, count in zip(words, found, strict=True) if count}
