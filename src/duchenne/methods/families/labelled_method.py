"""What the methods on frames with action unit labels share: which frames and labels, weights, crops, validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne.augment.colour import draw_colour, jitter_colour
from duchenne.augment.geometry import draw_geometry, warp
from duchenne.data.labels import LabelSpec
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameSampler
from duchenne.data.stored.spilled import parts_of
from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.losses.weighted_bce import class_weights, prior_shift, selective_weights, weighted_bce
from duchenne.losses.weightings import Weighting
from duchenne.methods.base import Method, RunFacts
from duchenne.methods.families.labelled_config import LabelledConfig
from duchenne.modules.gather import gather_rows, world
from duchenne.types import ClipBatch


class LabelledMethod(Method):
    """Learns from the action units of single frames, and predicts them in others."""

    config: LabelledConfig

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """Log odds of every action unit, as trained, of pictures as they are.

        (B, 3, H, W) in [0, 1] -> (B, C) float32.
        """

    def judge(self, faces: Tensor) -> Tensor:
        """`scores` of whole faces, of which the centre is seen, as large as in the random crops of the training."""
        return self.scores(self.encoder.look(faces))

    def probability(self, faces: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, C) probabilities: what the weighting of the classes added is taken back."""
        scores = self.judge(faces)
        shift = prior_shift(self.config.positive_shares, self.config.weighting)
        return torch.sigmoid(scores + shift.to(scores))

    @classmethod
    def sampler(cls, config: LabelledConfig) -> FrameSampler:
        """Single frames with at least one known label."""
        return FrameSampler(cls.labels(config))

    @classmethod
    def labels(cls, config: LabelledConfig) -> LabelSpec:
        """The action units."""
        return LabelSpec(aus=config.aus)

    @classmethod
    def complete(cls, config: Any, data: Prepared, rows: NDArray[np.int64], run: RunFacts) -> Any:
        """Fills in the action units and how often each is present.

        Raises:
            InputError: when nothing is coded, or an action unit that was asked for cannot be learned.
        """
        asked = tuple(config.aus) or data.aus
        if not asked:
            raise InputError(f"{data.paths[0]}: codes no action units; prepare it with labels.")
        shares = _shares(data, asked, rows)
        usable = (shares > 0) & (shares < 1)  # NaN, where nothing is known, is neither
        if not usable.any() or (config.aus and not usable.all()):
            lacking = ", ".join(au_column(au) for au, fine in zip(asked, usable, strict=True) if not fine)
            raise InputError(
                f"{data.paths[0]}: the training frames do not show {lacking} both present and absent; choose other "
                "action units (--aus) or more data."
            )
        kept = np.flatnonzero(usable)
        return replace(
            config,
            aus=tuple(asked[place] for place in kept),
            positive_shares=tuple(round(float(shares[place]), 8) for place in kept),
        )

    def augment(self, batch: ClipBatch) -> ClipBatch:
        """Random crops, mirroring and colours; `labels["weights"]` (B, 1, C): the weight of each label in the loss."""
        config, count = self.config, len(batch.images)
        images = batch.images[:, 0].float() / 255
        crops = draw_geometry(
            count, images.shape[-1], crop_min=config.crop_min, crop_max=config.crop_max, device=images.device
        )
        images = warp(images, crops)
        if config.flip:
            mirrored = (torch.rand(count) < 0.5).to(images.device)
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if config.colour:
            images = jitter_colour(images, draw_colour(count, config.colour))
        weights = self._weights(batch.labels["aus"][:, 0])
        return replace(batch, images=images[:, None], labels={**batch.labels, "weights": weights[:, None]})

    def cross_entropy(self, scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """() `weighted_bce` as part of the mean over the known labels of all processes.

        Their gradients are averaged, so the share of a process that knows fewer labels has to count less.
        """
        known = (labels >= 0).sum()
        share = known * world()[1] / gather_rows(known[None]).sum().clamp_min(1)
        return weighted_bce(scores, labels, weights) * share

    def _weights(self, labels: Tensor) -> Tensor:
        config = self.config
        if config.weighting in ("selective", "selective_per_label"):
            draws = torch.rand(labels.shape).to(labels.device)
            per_label = config.weighting == "selective_per_label"
            return selective_weights(labels, draws, per_label=per_label, absent=config.absent_weight)
        return class_weights(labels, config.positive_shares, cast(Weighting, config.weighting))

    def smallest_batch(self) -> int:
        """Two frames: BatchNorm cannot work on one frame whose last map is a single cell."""
        return max(2, super().smallest_batch())

    def validation_counts(self, batch: ClipBatch) -> Tensor:
        """(4C,) true positives, false positives, false negatives (called present over 0.5) and known labels of every
        action unit."""
        labels = batch.labels["aus"][:, 0]
        said = self.judge(batch.images[:, 0].float() / 255) > 0
        there, missing = labels == 1, labels == 0
        counted = (said & there, said & missing, ~said & there, labels >= 0)
        return torch.cat([which.sum(0) for which in counted]).cpu().double()  # MPS has no float64

    def validation_of(self, counts: Tensor) -> float:
        """The mean of F1 over the action units that are coded; 0 for one that is neither there nor called."""
        hits, wrong, missed, known = counts.view(4, -1)
        return float((2 * hits / (2 * hits + wrong + missed).clamp_min(1))[known > 0].mean())


def _shares(data: Prepared, aus: Sequence[int], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(A,) the share of the rows with a known label that show an AU; NaN where none is known."""
    present, known = np.zeros(len(aus)), np.zeros(len(aus), dtype=np.int64)
    for part in parts_of(len(rows)):
        labels = data.occurrence(aus, rows[part])
        present += np.nansum(labels, axis=0, dtype=np.float64)
        known += (~np.isnan(labels)).sum(axis=0)
    return np.asarray(np.where(known > 0, present / np.maximum(known, 1), np.nan))
