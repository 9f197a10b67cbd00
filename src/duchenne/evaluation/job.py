"""What every protocol of `evaluate` is given and gives back.

A protocol (`protocols/base.py`) takes a source and a `Job` and gives an `Outcome`: it trains on the training rows of
every fold of every seed and scores the tested rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.folds import Fold
from duchenne.data.prepared import Prepared
from duchenne.evaluation.arguments import MapKind
from duchenne.evaluation.report.maps import map_features
from duchenne.evaluation.state import State, array_hash, kept_features
from duchenne.evaluation.tasks import Task
from duchenne.features.source import Context, FeatureKind, Features, FeatureSource


@dataclass(frozen=True, kw_only=True)
class Job:
    """One evaluation, the same for every model.

    Attributes:
        data: the prepared faces.
        task: which of them take part, and their labels.
        plans: seed -> folds; a seed draws the folds and the held-out subjects.
        repeats: how many seeds in a row differ in their folds and held-out subjects alone.
        device: where encoders run and heads are fitted.
        feature: which features of an encoder are taken.
        maps: the kind of two-dimensional map of the features that is drawn.
        map_places: (P,) places among the task's rows of the faces on it.
        state: finished parts, for going on after an interruption.
        quiet: show no progress.
    """

    data: Prepared
    task: Task
    plans: Mapping[int, list[Fold]]
    device: torch.device
    feature: FeatureKind
    maps: MapKind
    state: State
    quiet: bool
    repeats: int = 1
    map_places: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def weights_seed(self, seed: int) -> int:
        """The seed of all that is drawn besides folds and held-out subjects, for a seed of the plans.

        Untrained weights, those of classifiers on top, the order of training and its augmentations: repeats share
        them, so that what they spread over is the split alone.
        """
        return seed // self.repeats

    def model_seed(self, source: FeatureSource, seed: int) -> int:
        """The seed of a model's own weights; 0 where they are not drawn, so that they are built once."""
        return self.weights_seed(seed) if source.seeded else 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a protocol found for one model.

    Attributes:
        scores: seed -> (N, A) float32 log odds of the tested rows; NaN where a row is not tested or an item could not
            be trained.
        width: number of features.
        facts: per model, as plain values for `summary.json`.
        points: (P, 2) places of evenly spaced rows on a map of the features, where one is drawn.
        adapted: what the protocol trained of the encoder in the first fold of the first seed, with the units, by name;
            empty where the encoder stays as it was, or is trained further as a whole.
    """

    scores: Mapping[int, NDArray[np.float32]]
    width: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    points: NDArray[np.float64] | None = None
    adapted: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


class FrozenFeatures:
    """The features of one model, computed when they are first needed: once, or once per seed where weights are drawn.

    Args:
        source: the model.
        job: the evaluation.
        advance: called with the number of faces done.
    """

    def __init__(self, source: FeatureSource, job: Job, advance: Callable[[int], None]) -> None:
        self._source, self._job, self._advance = source, job, advance
        self._values: tuple[int, Features] | None = None

    def of(self, seed: int) -> Features:
        """(N, D) features of the task's rows under this seed."""
        seed = self._job.model_seed(self._source, seed)
        if self._values is None or self._values[0] != seed:
            self._values = None  # two sets of features need not lie in memory together
            job = self._job
            context = Context(device=job.device, feature=job.feature, seed=seed, advance=self._advance)
            self._values = seed, kept_features(self._source, job.data, job.task.rows, context, job.state)
        return self._values[1]

    def name(self, seed: int) -> Any:
        """What the features depend on, for keys of the state."""
        return [self._job.feature, self._source.fingerprint(self._job.model_seed(self._source, seed))]

    def points(self) -> NDArray[np.float64] | None:
        """The map of the last seed's features, stored once drawn; None where no map is wanted."""
        kind, seed = self._job.maps, max(self._job.plans)
        if kind == "none":
            return None
        places = self._job.map_places
        key = {"map": kind, "features": self.name(seed), "places": array_hash(places)}
        stored = self._job.state.get(**key)
        if stored is None:
            stored = {"points": map_features(self.of(seed)[places], kind)}
            self._job.state.put(stored, **key)
        return stored["points"]
