"""Protocols on frozen features: features once, then a classifier for every seed and fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.folds import Fold
from duchenne.errors import UsageError
from duchenne.evaluation.job import FrozenFeatures, Job, Outcome
from duchenne.evaluation.state import array_hash
from duchenne.features.source import Features, FeatureSource
from duchenne.heads.linear import L2_CANDIDATES, LinearSettings, linear_protocol
from duchenne.heads.quick import LARGEST_REFERENCE, NEIGHBOURS, nearest_neighbours, ridge
from duchenne.progress import progress_bar

Found = Mapping[str, NDArray[Any]]
"""What a classifier gives for one seed: `score` (N, A), and whatever it wants to tell."""


def run_linear(source: FeatureSource, job: Job, settings: LinearSettings) -> Outcome:
    """The linear protocol, see `duchenne.heads.linear`."""
    place = torch.device("cpu") if job.device.type == "mps" else job.device  # MPS has no float64, which sums losses

    def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
        result = linear_protocol(values, job.task.labels, plan, job.task.people, settings, seed=seed, device=place)
        return {
            "score": result.score,
            "l2": np.array(result.l2),
            "not_converged": np.array(result.not_converged),
        }

    found, outcome = _run(source, job, {"linear": asdict(settings)}, fit)
    facts = {
        "l2": {str(seed): list(map(float, values["l2"])) for seed, values in found.items()},
        "not_converged": int(sum(values["not_converged"] for values in found.values())),
    }
    return outcome(facts)


def run_knn(source: FeatureSource, job: Job, settings: LinearSettings) -> Outcome:
    """A vote of the nearest training faces, see `duchenne.heads.quick`.

    Raises:
        UsageError: for settings that have no meaning here.
    """
    if settings.l2 != L2_CANDIDATES:
        raise UsageError("evaluate knn: nothing is penalised, so --l2 has no meaning; leave it out.")
    balanced = _is_balanced(settings, "knn")

    def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
        return {
            "score": nearest_neighbours(values, job.task.labels, plan, balanced=balanced, device=job.device),
        }

    _, outcome = _run(source, job, {"knn": NEIGHBOURS, "among": LARGEST_REFERENCE, "balanced": balanced}, fit)
    return outcome({"neighbours": NEIGHBOURS, "among_at_most": LARGEST_REFERENCE})


def run_ridge(source: FeatureSource, job: Job, settings: LinearSettings) -> Outcome:
    """Least squares in closed form, see `duchenne.heads.quick`.

    Raises:
        UsageError: for settings that have no meaning here.
    """
    balanced = _is_balanced(settings, "ridge")

    def fit(values: Features, plan: Sequence[Fold], seed: int) -> Found:
        found = ridge(
            values, job.task.labels, plan, job.task.people, settings.l2, balanced=balanced,
            held_out=settings.held_out, seed=seed,
        )  # fmt: skip
        return {"score": found.score, "l2": np.array(found.l2)}

    found, outcome = _run(source, job, {"ridge": asdict(settings)}, fit)
    return outcome({"l2": {str(seed): list(map(float, values["l2"])) for seed, values in found.items()}})


def _is_balanced(settings: LinearSettings, protocol: str) -> bool:
    if settings.weighting == "inverse_frequency":
        raise UsageError(f"evaluate {protocol}: --weighting inverse_frequency weighs items, which are apart here.")
    return settings.weighting == "balanced"


def _run(
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
    return array_hash(*(mask for fold in plan for mask in (fold.train, fold.test)))


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"...{name[-29:]}"
