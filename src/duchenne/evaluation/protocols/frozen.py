"""Protocols on frozen features: features once, then a classifier for every seed and fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.folds import Fold
from duchenne.evaluation.job import FrozenFeatures, Job, Outcome
from duchenne.evaluation.protocols.base import FeatureProtocol
from duchenne.evaluation.protocols.registry import KnnArguments, LinearArguments, RidgeArguments, SemiArguments
from duchenne.evaluation.report.gradcam import Attention, attention_of
from duchenne.evaluation.scoring import Predictions
from duchenne.evaluation.state import array_hash
from duchenne.features.source import Features, FeatureSource, NetworkSource
from duchenne.heads.linear import linear_protocol, train_heads
from duchenne.heads.quick import LARGEST_REFERENCE, NEIGHBOURS, nearest_neighbours, ridge
from duchenne.heads.settings import LinearSettings
from duchenne.progress import progress_bar

Found = Mapping[str, NDArray[Any]]
"""What a classifier gives for one seed: `score` (N, A), and whatever it wants to tell."""


P = TypeVar("P", bound=LinearArguments | RidgeArguments | SemiArguments)


class PenalisedProtocol(FeatureProtocol[P]):
    """A protocol whose linear units have an L2 penalty, chosen on held-out training subjects."""

    @property
    def settings(self) -> LinearSettings:
        """How the units are fitted."""
        return LinearSettings(l2=self.arguments.l2, weighting=self.arguments.weighting)

    def describe(self, models: Sequence[FeatureSource]) -> dict[str, Any]:
        """See `ScoredProtocol`."""
        settings = self.settings
        return super().describe(models) | {"l2": list(settings.l2), "held_out": settings.held_out}


class Linear(PenalisedProtocol[LinearArguments]):
    """The linear protocol, see `duchenne.heads.linear`."""

    name = "linear"
    text = (
        "features standardised with the training folds' statistics (BatchNorm), one linear unit per item, fitted to "
        "its optimum on frozen features"
    )

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`."""
        settings, place = self.settings, _float64_device(job)

        def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
            result = linear_protocol(values, job.task.labels, plan, job.task.people, settings, seed=seed, device=place)
            return {
                "score": result.score,
                "l2": np.array(result.l2),
                "not_converged": np.array(result.not_converged),
            }

        found, outcome = run_classifiers(source, job, {"linear": asdict(settings)}, fit)
        return outcome({
            "l2": _chosen(found),
            "not_converged": int(sum(values["not_converged"] for values in found.values())),
        })  # fmt: skip

    def attention(self, source: NetworkSource, job: Job, found: Outcome, tested: Predictions) -> list[Attention]:
        """See `ScoredProtocol`; the linear units of the first fold are fitted again."""
        train = job.plans[0][0].train
        features = FrozenFeatures(source, job, lambda faces: None).of(0)
        head = train_heads(
            features[train], job.task.labels[train], [found.facts["l2"]["0"][0]], weighting=self.arguments.weighting,
            device=_float64_device(job),
        )[0]  # fmt: skip
        module = source.build(0).eval().to(job.device)
        return attention_of(source, job, tested, module, source.forward(module, job.feature), head, head.trained)


class Knn(FeatureProtocol[KnnArguments]):
    """A vote of the nearest training faces, see `duchenne.heads.quick`."""

    name = "knn"
    text = (
        "a vote of the nearest training faces, by cosine of frozen features standardised with the training folds' "
        "statistics; a quick look"
    )

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`."""
        balanced = self.arguments.weighting == "balanced"

        def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
            return {
                "score": nearest_neighbours(values, job.task.labels, plan, balanced=balanced, device=job.device),
            }

        _, outcome = run_classifiers(
            source, job, {"knn": NEIGHBOURS, "among": LARGEST_REFERENCE, "balanced": balanced}, fit
        )
        return outcome({"neighbours": NEIGHBOURS, "among_at_most": LARGEST_REFERENCE})


class Ridge(PenalisedProtocol[RidgeArguments]):
    """Least squares in closed form, see `duchenne.heads.quick`."""

    name = "ridge"
    text = (
        "least squares with an L2 penalty on frozen features standardised with the training folds' statistics, read as "
        "log odds of Gaussian classes; a quick look"
    )

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`."""
        settings = self.settings

        def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
            found = ridge(
                values, job.task.labels, plan, job.task.people, settings.l2, balanced=settings.weighting == "balanced",
                held_out=settings.held_out, seed=seed,
            )  # fmt: skip
            return {"score": found.score, "l2": np.array(found.l2)}

        found, outcome = run_classifiers(source, job, {"ridge": asdict(settings)}, fit)
        return outcome({"l2": _chosen(found)})


def _chosen(found: Mapping[int, Found]) -> dict[str, list[float]]:
    """Seed -> the penalty of each fold."""
    return {str(seed): list(map(float, values["l2"])) for seed, values in found.items()}


def _float64_device(job: Job) -> torch.device:
    return torch.device("cpu") if job.device.type == "mps" else job.device  # MPS has no float64, which sums losses


def run_classifiers(
    source: FeatureSource,
    job: Job,
    classifier: Mapping[str, Any],
    fit: Callable[[Features, Sequence[Fold], int], Found],
) -> tuple[dict[int, Found], Callable[[Mapping[str, Any]], Outcome]]:
    """Fits every seed that is not finished yet.

    Args:
        source: the model.
        job: the evaluation.
        classifier: everything that `fit` depends on besides the job.
        fit: (features, folds, seed) -> what was found.

    Returns:
        What was found per seed, and a function that makes the outcome of the facts about it.
    """
    found: dict[int, Found] = {}
    width = 0
    total = len(job.task.rows) * (len({job.weights_seed(seed) for seed in job.plans}) if source.seeded else 1)
    with progress_bar(quiet=job.quiet) as bar:
        progress = bar.add_task(_short(source.name), total=total, note="features")
        features = FrozenFeatures(source, job, lambda faces: bar.advance(progress, faces))
        for seed, plan in job.plans.items():
            key = {"classifier": classifier, "features": features.name(seed), "folds": plan_hash(plan), "seed": seed}
            stored = job.state.get(**key)
            if stored is None:
                values = features.of(seed)
                bar.update(progress, note="classifiers")
                stored = {**fit(values, plan, seed), "width": np.array(values.shape[1])}
                job.state.put(stored, **key)
            found[seed], width = stored, int(stored["width"])
        points = features.points()
        bar.update(progress, completed=total, note="")
    scores = {seed: np.asarray(values["score"], dtype=np.float32) for seed, values in found.items()}
    return found, lambda facts: Outcome(scores=scores, width=width, facts=facts, points=points)


def plan_hash(plan: Sequence[Fold]) -> str:
    """Names the folds, for keys of the state."""
    return array_hash(*(mask for fold in plan for mask in (fold.train, fold.test, fold.unlabelled) if mask is not None))


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"...{name[-29:]}"
