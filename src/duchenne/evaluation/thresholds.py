"""From which score an action unit is called present: a fixed probability, one learned in training, or the oracle's.

number    the same probability for every item (0.5: where the log odds are 0)
stored    per fold and item the threshold of highest F1 on held-out *training* subjects, scored by a classifier that has
          not seen them; kept in `summary.json`
oracle    per fold and item the threshold of highest F1 on the *tested* faces: what no one can know beforehand, only an
          upper bound, and marked as such in every output
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from duchenne.data.folds import Fold, hold_out
from duchenne.evaluation.arguments import Threshold
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.scoring import Predictions
from duchenne.evaluation.tasks import decide
from duchenne.metrics import f1_from_counts, json_number

HELD_OUT: Final = 0.2
"""Share of the training subjects on which `stored` thresholds are chosen."""


def decisions(
    threshold: Threshold, job: Job, found: Outcome, run: Callable[[Job], Outcome]
) -> tuple[dict[int, Predictions], dict[str, Any]]:
    """From scores to what is called present.

    Args:
        threshold: see above.
        job: the evaluation.
        found: what the protocol gave for this model.
        run: the protocol for this model, as a function of the job.

    Returns:
        Seed -> predictions; and `thresholds` (seed -> folds -> item -> probability) for `summary.json`, where they
        are not the same everywhere.
    """
    task, runs = job.task, dict[int, Predictions]()
    chances: dict[str, Any] = {}
    for seed, score in found.scores.items():
        plan = job.plans[seed]
        limits = None if task.exclusive else _limits(threshold, job, seed, score, run)
        runs[seed] = decide(task, plan, score, limits)
        if isinstance(threshold, str) and limits is not None:
            chances[str(seed)] = [dict(zip(task.items, map(json_number, expit(fold)))) for fold in limits]
    return runs, {"thresholds": chances} if chances else {}


def _limits(
    threshold: Threshold, job: Job, seed: int, score: NDArray[np.float32], run: Callable[[Job], Outcome]
) -> NDArray[np.float64]:
    """(F, A) log odds above which each item is called present in each fold."""
    plan, labels = job.plans[seed], job.task.labels
    if threshold == "stored":
        return np.stack([_learned(job, seed, fold, run) for fold in plan])
    if threshold == "oracle":
        return np.stack([best_limits(labels[fold.test], score[fold.test]) for fold in plan])
    return np.full((len(plan), labels.shape[1]), np.log(threshold / (1 - threshold)))


def best_limits(labels: NDArray[np.floating], score: NDArray[np.floating]) -> NDArray[np.float64]:
    """(A,) log odds above which F1 is highest; 0 for an item without a known, scored positive.

    Args:
        labels: (N, A) 0, 1 or NaN.
        score: (N, A) log odds; NaN where not scored.
    """
    out = np.zeros(labels.shape[1])
    for item, (truth, values) in enumerate(zip(labels.T, score.T)):
        known = ~np.isnan(truth) & ~np.isnan(values)
        order = np.argsort(-values[known], kind="stable")
        there, ranked = truth[known][order] == 1, values[known][order].astype(np.float64)
        if not there.any():
            continue
        hits = np.cumsum(there)
        f1 = f1_from_counts(hits, np.arange(1, len(hits) + 1) - hits, hits[-1] - hits)
        ends = np.r_[ranked[1:] < ranked[:-1], True]  # between equal scores there is no threshold
        best = int(np.argmax(np.where(ends, f1, -1.0)))
        below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 2.0
        out[item] = (ranked[best] + below) / 2
    return out


def _learned(job: Job, seed: int, fold: Fold, run: Callable[[Job], Outcome]) -> NDArray[np.float64]:
    people = job.task.people
    held = hold_out(people, fold.train, share=HELD_OUT, seed=seed)
    hidden = None if fold.unlabelled is None else fold.unlabelled & ~np.isin(people, people[held])
    inner = Fold(train=fold.train & ~held, test=held, unlabelled=hidden)
    found = run(replace(job, plans={seed: [inner]}, maps="none", quiet=True))
    return best_limits(job.task.labels[held], found.scores[seed][held])
