"""Scores of action units with unknown labels masked, and bootstrap over subjects. Imports nothing heavy.

Rules: unknown labels (NaN) take no part, per AU. F1, precision and recall are 0 where nothing is predicted and
nothing is there to find, and undefined (NaN) where no label is known. The area under the ROC curve is undefined unless
an AU has known positives and negatives; ties count half. Frames of a clip are alike, so intervals come from resampling
subjects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES: Final = 1000
LARGEST_TABLE: Final = 1024


class Confusion(NamedTuple):
    """Counts of known labels: true positives, false positives, false negatives, true negatives; each (A,)."""

    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    true_negatives: NDArray[np.int64]


def confusion(truth: ArrayLike, predicted: ArrayLike) -> Confusion:
    """Counts per action unit.

    Args:
        truth: (N, A) 0, 1 or NaN where unknown.
        predicted: (N, A) 0 or 1.

    Raises:
        ValueError: when the shapes differ.
    """
    truth, said = np.asarray(truth, dtype=np.float64), np.asarray(predicted).astype(bool)
    if truth.shape != said.shape:
        raise ValueError(f"truth has shape {truth.shape}, predictions {said.shape}; they must be equal.")
    there, absent = truth == 1, truth == 0
    cells = (there & said, absent & said, there & ~said, absent & ~said)
    return Confusion(*(cell.sum(axis=0) for cell in cells))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Element by element; 0 where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros(np.broadcast_shapes(top.shape, bottom.shape)), where=bottom != 0)


def f1_from_counts(true_positives: ArrayLike, false_positives: ArrayLike, false_negatives: ArrayLike) -> Floats:
    """2 TP / (2 TP + FP + FN); 0 where there is nothing to find and nothing is found. Any (broadcast) shape."""
    twice = 2 * np.asarray(true_positives, dtype=np.float64)
    return ratio(twice, twice + np.asarray(false_positives) + np.asarray(false_negatives))


def f1_score(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    """(A,) F1 per action unit, arguments as `confusion`; NaN where no label is known."""
    counts = confusion(truth, predicted)
    return where_known(f1_from_counts(*counts[:3]), np.sum(counts, axis=0))


def f1_always_positive(positives: ArrayLike, negatives: ArrayLike) -> Floats:
    """The F1 of calling an AU present everywhere, 2p / (1 + p) with p the share of positives; NaN without labels."""
    return where_known(f1_from_counts(positives, negatives, 0), np.add(positives, negatives))


def where_known(values: Floats, labels: ArrayLike) -> Floats:
    """The values, NaN where the number of known labels is 0; any (broadcast) shape."""
    return np.where(np.asarray(labels) > 0, values, np.nan)


def roc_auc(truth: ArrayLike, score: ArrayLike) -> Floats:
    """(A,) area under the ROC curve per action unit: the share of (positive, negative) pairs in right order.

    Args:
        truth: (N, A) 0, 1 or NaN where unknown.
        score: (N, A), higher means more likely present.

    Returns:
        Exact values, ties counted half; NaN where an AU has no known positive or no known negative.
    """
    truth, score = np.asarray(truth), np.asarray(score)
    out = np.full(truth.shape[1], np.nan)
    for au in range(truth.shape[1]):
        positive, negative = (np.sort(score[truth[:, au] == label, au]) for label in (1, 0))
        if len(positive) and len(negative):
            below = negative.searchsorted(positive, "left").sum() + negative.searchsorted(positive, "right").sum()
            out[au] = below / (2 * len(positive) * len(negative))
    return out


def wins_table(
    truth: NDArray[np.floating], score: NDArray[np.floating], group: NDArray[np.integer], groups: int
) -> Floats:
    """How often the positives of one group score above the negatives of another, for one action unit.

    Args:
        truth: (N,) 0, 1 or NaN.
        score: (N,).
        group: (N,) 0 to groups - 1, e.g. the subject.
        groups: number of groups G.

    Returns:
        (G, G) wins of the positives of group s over the negatives of group t; a tie is half a win. Every AUC over
        any weighting of the groups follows from it exactly.
    """
    table = np.zeros((groups, groups))
    known = ~np.isnan(truth)
    truth, group = truth[known], group[known]
    _, code = np.unique(score[known], return_inverse=True)
    positive = truth == 1
    winner_code, winner_group = code[positive], group[positive]
    order = np.argsort(group[~positive], kind="stable")
    loser_code, loser_group = code[~positive][order], group[~positive][order]
    starts = np.searchsorted(loser_group, np.arange(groups + 1))
    size = int(code.max()) + 1 if len(code) else 0
    for other in range(groups):
        codes = loser_code[starts[other] : starts[other + 1]]
        if len(codes) and len(winner_code):
            at = np.bincount(codes, minlength=size)
            below = np.cumsum(at) - 0.5 * at
            table[:, other] = np.bincount(winner_group, weights=below[winner_code], minlength=groups)
    return table


def resample(members: NDArray[np.bool_], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int16]:
    """Draws as many groups (subjects) as there are members, with replacement, among the members.

    Args:
        members: (G,) bool; the others are never drawn.
        resamples: number R of bootstrap samples.
        seed: of the draws.

    Returns:
        (R, G) how often each group was drawn.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(members)), dtype=np.int16)
    places = np.flatnonzero(members)
    for row in weights:
        row[places] = np.bincount(generator.integers(len(places), size=len(places)), minlength=len(places))
    return weights


def weighted_sums(weights: NDArray[np.integer], members: NDArray[np.bool_], values: Floats) -> Floats:
    """(R, A) sums of values (G, A) over the members (G,), each counted as often as the row of weights (R, G) says."""
    step = max(1, 2**22 // max(1, len(members)))
    inside = values[members]
    parts = [weights[at : at + step, members].astype(np.float64) @ inside for at in range(0, len(weights), step)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class GroupTable:
    """Everything that F1 and AUC over any weighting of subjects need, for one model, fold by fold.

    Attributes:
        true_positives, false_positives, false_negatives: (G, A) counts per subject.
        positives, negatives: (G, A) known labels per subject.
        areas: function (weights (R, G), members (G,) bool) -> (R, A) weighted AUC over the members.
    """

    true_positives: Floats
    false_positives: Floats
    false_negatives: Floats
    positives: Floats
    negatives: Floats
    areas: Callable[[NDArray[np.integer], NDArray[np.bool_]], Floats]

    @classmethod
    def build(
        cls,
        truth: NDArray[np.floating],
        score: NDArray[np.floating],
        predicted: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> GroupTable:
        """Sums over frames.

        Args:
            truth: (N, A) 0, 1 or NaN.
            score: (N, A) for the AUC; a column that is NaN throughout has no AUC.
            predicted: (N, A) for F1.
            group: (N,) 0 to groups - 1.
            groups: number of groups G.
        """

        def per_group(mask: NDArray[np.bool_]) -> Floats:
            columns = [np.bincount(group, weights=mask[:, au], minlength=groups) for au in range(mask.shape[1])]
            return np.stack(columns, axis=1)

        there, absent = truth == 1, truth == 0
        areas = _areas_by_table if groups <= LARGEST_TABLE else _areas_by_sorting
        return cls(
            true_positives=per_group(there & predicted),
            false_positives=per_group(absent & predicted),
            false_negatives=per_group(there & ~predicted),
            positives=per_group(there),
            negatives=per_group(absent),
            areas=areas(np.where(np.isnan(score), np.nan, truth), score, group, groups),
        )

    def f1(self, weights: NDArray[np.integer], members: NDArray[np.bool_]) -> Floats:
        """(R, A) F1 over the members under each row of weights (R, G); NaN where none of them has a known label."""
        tables = (self.true_positives, self.false_positives, self.false_negatives, self.positives + self.negatives)
        *counts, known = np.split(weighted_sums(weights, members, np.hstack(tables)), len(tables), axis=1)
        return where_known(f1_from_counts(*counts), known)


def _areas_by_table(
    truth: NDArray[np.floating], score: NDArray[np.floating], group: NDArray[np.integer], groups: int
) -> Callable[[NDArray[np.integer], NDArray[np.bool_]], Floats]:
    count = truth.shape[1]
    tables = [wins_table(truth[:, au], score[:, au], group, groups) for au in range(count)]
    positives, negatives = (
        [np.bincount(group, weights=truth[:, au] == label, minlength=groups) for au in range(count)] for label in (1, 0)
    )

    def areas(weights: NDArray[np.integer], members: NDArray[np.bool_]) -> Floats:
        chosen = weights[:, members].astype(np.float64)
        out = np.empty((len(weights), count))
        for au in range(count):
            wins = ((chosen @ tables[au][np.ix_(members, members)]) * chosen).sum(axis=1)
            pairs = (chosen @ positives[au][members]) * (chosen @ negatives[au][members])
            out[:, au] = np.where(pairs > 0, ratio(wins, pairs), np.nan)
        return out

    return areas


def _areas_by_sorting(
    truth: NDArray[np.floating], score: NDArray[np.floating], group: NDArray[np.integer], groups: int
) -> Callable[[NDArray[np.integer], NDArray[np.bool_]], Floats]:
    """For many groups (every image its own): one sort per AU, then a running sum per resample."""

    def areas(weights: NDArray[np.integer], members: NDArray[np.bool_]) -> Floats:
        out = np.full((len(weights), truth.shape[1]), np.nan)
        for au in range(truth.shape[1]):
            rows = np.flatnonzero(members[group] & ~np.isnan(truth[:, au]))
            rows = rows[np.argsort(score[rows, au], kind="stable")]
            if not len(rows):
                continue
            values, positive = score[rows, au], truth[rows, au] == 1
            starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
            for resample_number, weight in enumerate(weights):
                drawn = weight[group[rows]].astype(np.float64)
                up = np.add.reduceat(np.where(positive, drawn, 0.0), starts)
                down = np.add.reduceat(np.where(positive, 0.0, drawn), starts)
                pairs = up.sum() * down.sum()
                if pairs > 0:
                    out[resample_number, au] = (up * (np.cumsum(down) - 0.5 * down)).sum() / pairs
        return out

    return areas


def interval(samples: NDArray[np.floating], *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile interval over the first axis, undefined samples left out; NaN where all are undefined."""
    samples = np.asarray(samples, dtype=np.float64)
    low, high = (np.full(samples.shape[1:], np.nan) for _ in range(2))
    defined = ~np.isnan(samples).all(axis=0)
    if defined.any():
        tails = [50 * (1 - level), 50 * (1 + level)]
        low[defined], high[defined] = np.nanpercentile(samples[:, defined], tails, axis=0)
    return low, high


def cohen_kappa(both: ArrayLike, only_first: ArrayLike, only_second: ArrayLike, neither: ArrayLike) -> Floats:
    """Agreement of two coders beyond chance, from counts of frames; any (broadcast) shape.

    Returns:
        (po - pe) / (1 - pe), with pe from each coder's own rate; NaN where no frame is counted or both coders say the
        same of every frame.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    a, b, c, d = (np.asarray(count, dtype=np.float64) for count in (both, only_first, only_second, neither))
    total = a + b + c + d
    observed = ratio(a + d, total)
    first, second = ratio(a + b, total), ratio(a + c, total)
    return _beyond_chance(observed, first * second + (1 - first) * (1 - second), total)


def gwet_ac1(both: ArrayLike, only_first: ArrayLike, only_second: ArrayLike, neither: ArrayLike) -> Floats:
    """Like `cohen_kappa`, with chance from the mean rate: steady where an action unit is rare.

    Source: Gwet, Computing inter-rater reliability and its variance in the presence of high agreement, 2008.
    """
    a, b, c, d = (np.asarray(count, dtype=np.float64) for count in (both, only_first, only_second, neither))
    total = a + b + c + d
    rate = ratio(2 * a + b + c, 2 * total)
    return _beyond_chance(ratio(a + d, total), 2 * rate * (1 - rate), total)


def _beyond_chance(observed: Floats, chance: Floats, total: Floats) -> Floats:
    return np.where((total > 0) & (chance < 1), ratio(observed - chance, 1 - chance), np.nan)


class IntraclassCorrelation(NamedTuple):
    """Shrout and Fleiss's coefficients of single ratings: `absolute` is ICC(2,1), `consistency` is ICC(3,1)."""

    absolute: float
    consistency: float


def icc(ratings: ArrayLike) -> IntraclassCorrelation:
    """Intraclass correlation of raters who all rate the same targets.

    Args:
        ratings: (N, K) finite, one row per target and one column per rater.

    Returns:
        Both coefficients; NaN with fewer than two targets or raters, or where nothing varies.

    Source: Shrout & Fleiss, Intraclass correlations: uses in assessing rater reliability, 1979.
    """
    values = np.asarray(ratings, dtype=np.float64)
    targets, raters = values.shape
    if targets < 2 or raters < 2:
        return IntraclassCorrelation(np.nan, np.nan)
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    between = raters * ((rows - grand) ** 2).sum() / (targets - 1)
    judges = targets * ((columns - grand) ** 2).sum() / (raters - 1)
    rest = ((values - rows[:, None] - columns + grand) ** 2).sum() / ((targets - 1) * (raters - 1))
    rounding = (1e-12 * np.abs(values).max()) ** 2  # of mean squares; equal ratings can differ from their mean by it
    between, judges, rest = (square if square > rounding else 0.0 for square in (between, judges, rest))
    consistent = between + (raters - 1) * rest
    absolute = consistent + raters * (judges - rest) / targets
    if consistent <= 0 or absolute <= 0:
        return IntraclassCorrelation(np.nan, np.nan)
    return IntraclassCorrelation(float((between - rest) / absolute), float((between - rest) / consistent))


def json_number(value: Any, digits: int = 6) -> float | None:
    """A rounded float as JSON files hold it; None where it is undefined."""
    return None if np.isnan(value) else round(float(value), digits)
