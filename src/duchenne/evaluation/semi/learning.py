"""Semi-supervised learning on arrays: a prior over label vectors and classifiers, in every fold.

The strength of the penalty on weights, and how much the prior counts, are chosen on held-out training subjects: first
the penalty with a prior that does not count, then the prior. It may therefore turn out that the prior does not count.
Where few faces are held out, several draws of people decide together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from duchenne.data.folds import Fold, hold_out
from duchenne.evaluation.arguments import Prior
from duchenne.evaluation.semi.group_sparse import fit_group_sparse
from duchenne.evaluation.semi.margins import Units, fit_units
from duchenne.evaluation.semi.rbm import LabelMachine, fit_machine
from duchenne.metrics import roc_auc

STRENGTHS: Final[dict[Prior, tuple[float, ...]]] = {
    "rbm": (0.0, 1.0, 3.0, 10.0),
    "group_sparse": (0.0, 0.1, 0.3, 1.0),
}
"""Candidates for how much the prior counts: of the dependence of labels (`margins`), of inferred labels in training
(`group_sparse`); 0 first."""
FEW, DRAWS = 1000, 3
"""Fewer faces held out than this: so many draws of people."""
Scorer = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True)
class SemiResult:
    """What a prior gives for one model and one seed.

    Attributes:
        score: (N, A) float32 log odds where the row is tested; NaN elsewhere and for labels that cannot be trained.
        l2: (F,) the penalty chosen per fold.
        strength: (F,) how much the prior counts.
        unlabelled: (F,) training rows without labels.
    """

    score: NDArray[np.float32]
    l2: tuple[float, ...]
    strength: tuple[float, ...]
    unlabelled: tuple[int, ...]


def learn_semi(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    folds: Sequence[Fold],
    groups: NDArray[np.integer],
    *,
    prior: Prior,
    l2: Sequence[float],
    balanced: bool = True,
    strengths: Sequence[float] | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> SemiResult:
    """Trains on the labelled and unlabelled rows of every fold and scores its tested ones.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown.
        folds: disjoint train, unlabelled and test rows, subjects tested on one side only.
        groups: (N,) a number per person, for holding out whole people.
        prior: `rbm` (DAU-R) or `group_sparse` (BGCS).
        l2: candidates.
        balanced: whether both classes of a label weigh alike.
        strengths: candidates for how much the prior counts; None: those of `STRENGTHS`.
        held_out: share of the training subjects on which l2 and the strength of the prior are chosen.
        seed: of the subjects held out.

    Raises:
        UsageError: when no subject can be held out.
        ValueError: when features hold values that are not finite.
    """
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite.")
    score = np.full(labels.shape, np.nan, dtype=np.float32)
    chosen: list[tuple[float, float, int]] = []
    for fold in folds:
        hidden = np.zeros(len(labels), dtype=bool) if fold.unlabelled is None else fold.unlabelled
        used = fold.train | hidden
        known = np.where(fold.train[:, None], labels, np.nan)
        trained = ((known == 1).any(axis=0)) & ((known == 0).any(axis=0))
        if not trained.any():
            chosen.append((l2[0], 0.0, int(hidden.sum())))
            continue
        rows, own = _standardised(features, used), known[:, trained]
        held = [hold_out(groups, fold.train, share=held_out, seed=seed)]
        if held[0].sum() < FEW:
            held += [hold_out(groups, fold.train, share=held_out, seed=seed + 1000 * draw) for draw in range(1, DRAWS)]
        best = _choose(rows, own, used, held, groups, prior, l2, strengths or STRENGTHS[prior], balanced)
        scorer = _fitter(rows[used], own[used], prior, balanced)(*best)
        raw = scorer(rows[fold.train]), scorer(rows[fold.test])
        score[np.ix_(fold.test, trained)] = _log_odds(raw[0], own[fold.train], raw[1], balanced)
        chosen.append((*best, int(hidden.sum())))
    penalties, counted, unlabelled = zip(*chosen)
    return SemiResult(score, tuple(penalties), tuple(counted), tuple(unlabelled))


def _choose(
    rows: NDArray[np.float32],
    labels: NDArray[np.floating],
    used: NDArray[np.bool_],
    held: Sequence[NDArray[np.bool_]],
    groups: NDArray[np.integer],
    prior: Prior,
    l2: Sequence[float],
    strengths: Sequence[float],
    balanced: bool,
) -> tuple[float, float]:
    """The penalty and the strength of the prior with the best AUC on held-out people, ties: the first.

    The mean over labels and draws is weighted by how surely each AUC is known: seldom known labels, and draws of few
    faces, would decide by chance.
    """
    if len(l2) * len(strengths) == 1:
        return l2[0], strengths[0]
    tried = [_Draw(rows, labels, used & ~np.isin(groups, groups[out]), out, prior, balanced) for out in held]

    def auc(penalty: float, strength: float) -> float:
        found = np.sum([draw.auc(penalty, strength) for draw in tried], axis=0)
        return float(found[0] / found[1]) if found[1] else 0.5

    penalty = max(l2, key=lambda one: auc(one, strengths[0])) if len(l2) > 1 else l2[0]
    return penalty, max(strengths, key=lambda one: auc(penalty, one))


class _Draw:
    """One set of people held out, and classifiers trained on the others."""

    def __init__(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.floating],
        inner: NDArray[np.bool_],
        held: NDArray[np.bool_],
        prior: Prior,
        balanced: bool,
    ) -> None:
        both = (labels[inner] == 1).any(axis=0) & (labels[inner] == 0).any(axis=0)
        self.rows, self.truth = rows[held], labels[held][:, both]
        present, absent = (self.truth == 1).sum(axis=0), (self.truth == 0).sum(axis=0)
        self.trust = present * absent / np.maximum(present + absent, 1)  # an AUC's variance falls with it
        self.fit = _fitter(rows[inner], labels[inner][:, both], prior, balanced) if self.trust.any() else None
        self._found: dict[tuple[float, float], tuple[float, float]] = {}

    def auc(self, l2: float, strength: float) -> tuple[float, float]:
        """The sum of AUCs times how surely they are known, and the sum of the latter."""
        if self.fit is None:
            return 0.0, 0.0
        if (l2, strength) not in self._found:
            found = roc_auc(self.truth, self.fit(l2, strength)(self.rows))
            self._found[l2, strength] = float(np.nansum(found * self.trust)), float(self.trust.sum())
        return self._found[l2, strength]


def _fitter(
    rows: NDArray[np.float32], labels: NDArray[np.floating], prior: Prior, balanced: bool
) -> Callable[[float, float], Scorer]:
    """(l2, strength) -> a function from features to scores; what does not depend on them is learned once."""
    if prior == "group_sparse":
        return lambda l2, strength: fit_group_sparse(rows, labels, l2=l2, inferred_weight=strength)
    machine: LabelMachine = fit_machine(labels)
    plain: dict[float, Units] = {}

    def fit(l2: float, strength: float) -> Scorer:
        if l2 not in plain:
            plain[l2] = fit_units(rows, labels, machine, strength=0.0, l2=l2, balanced=balanced)
        if not strength:
            return plain[l2]
        return fit_units(rows, labels, machine, strength=strength, l2=l2, balanced=balanced, start=plain[l2])

    return fit


def _log_odds(
    trained: NDArray[np.floating], labels: NDArray[np.floating], tested: NDArray[np.floating], balanced: bool
) -> NDArray[np.float32]:
    """Scores of tested rows as log odds: logistic regression of each label on its own score in training."""
    out = np.empty(tested.shape, dtype=np.float32)
    for item, (column, truth) in enumerate(zip(trained.T, labels.T, strict=True)):
        known = ~np.isnan(truth)
        scale = max(float(column[known].std()), 1e-9)
        model = LogisticRegression(class_weight="balanced" if balanced else None)
        model.fit(column[known, None] / scale, truth[known])
        out[:, item] = model.decision_function(tested[:, item, None] / scale)
    return out


def _standardised(features: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """All rows with the mean and standard deviation of the used ones taken out; constant features become 0."""
    mean, deviation = features[used].mean(axis=0, dtype=np.float64), features[used].std(axis=0, dtype=np.float64)
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-12)
    factor = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    return np.asarray((features - mean) * factor, dtype=np.float32)
