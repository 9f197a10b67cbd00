"""Measures of what features hold besides action units: who it is, how the head is turned, the light, the order in time.

Each gives one number per subject to be resampled, and the number over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.folds import Fold, hold_out
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError
from duchenne.heads.quick import scale
from duchenne.metrics import Floats, interval, json_number, ratio, resample, where_known

PROBES: Final = 2000
INTERVALS: Final = (1, 2, 4)
COMPARED: Final = 10
"""Frames after the sibling whose distances are compared."""
SEQUENCES_PER_CLIP: Final = 4
PENALTIES: Final = tuple(10.0**power for power in range(-3, 4))
"""Of ridge regression on standardised features, relative to a mean loss."""


@dataclass(frozen=True)
class Sums:
    """Per subject a numerator and a denominator; the measure is `read` of their ratio, undefined over nothing.

    Attributes:
        top, bottom: (G,).
        cases: what was counted: faces or comparisons.
        chance: what would be found without any information; None where there is no such value.
        read: from the ratio to the measure.
    """

    top: Floats
    bottom: Floats
    cases: int
    chance: float | None
    read: Callable[[Floats], Floats] = lambda share: share

    def estimate(self) -> dict[str, float | int | None]:
        """`value, low, high, chance, cases`; low and high from resampled subjects, null with fewer than two.

        All three are null where nothing can be measured.
        """
        weights = resample(self.bottom > 0)
        everyone = np.ones((1, len(self.top)))
        tops, bottoms = ([w @ sums for w in (everyone, weights)] for sums in (self.top, self.bottom))
        value, drawn = (where_known(self.read(ratio(*pair)), pair[1]) for pair in zip(tops, bottoms))
        several = (self.bottom > 0).sum() > 1
        low, high = interval(drawn) if several else (np.nan, np.nan)
        chance = np.nan if self.chance is None else self.chance
        numbers = {"value": value[0], "low": low, "high": high, "chance": chance}
        return {name: json_number(number) for name, number in numbers.items()} | {"cases": self.cases}


def standardised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) with mean 0 and standard deviation 1 per feature over all rows; constant features become 0."""
    mean, factor = scale(features)
    return np.asarray((features - mean.astype(np.float32)) * factor.astype(np.float32))


def identity(features: NDArray[np.float32], clips: NDArray[np.int64], group: NDArray[np.int64]) -> Sums | None:
    """Whether the clip nearest to a face, other than its own, shows the same subject; no subject is trained on.

    Args:
        features: (N, D) standardised.
        clips: (N,) a number per clip of a subject.
        group: (N,) a number per subject.

    Returns:
        Per subject the right ones of up to 2,000 faces, evenly spaced; a clip is the mean of its faces, nearness is
        cosine. None where fewer than two subjects have several clips.
    """
    numbers, first, code = np.unique(clips, return_index=True, return_inverse=True)
    owner = group[first]
    several = np.isin(owner, np.flatnonzero(np.bincount(owner) > 1))
    if len(np.unique(owner[several])) < 2:
        return None
    amount = np.bincount(code)[:, None]
    means = np.zeros((len(numbers), features.shape[1]))
    np.add.at(means, code, features)
    gallery = _units(means / amount)[several]
    kept = np.flatnonzero(several[code])
    probes = kept[np.unique(np.linspace(0, len(kept) - 1, PROBES).astype(np.int64))]
    cosine = _units(features[probes].astype(np.float64)) @ gallery.T
    places = np.flatnonzero(several)
    own = code[probes][:, None] == places
    nearest = owner[places[np.where(own, -np.inf, cosine).argmax(axis=1)]]
    size = int(group.max()) + 1
    right = _per_subject(group[probes], nearest == group[probes], size)
    others = np.bincount(owner[several], minlength=size)[group[probes]] - 1
    chance = float(np.mean(others / (several.sum() - 1)))
    return Sums(right, _per_subject(group[probes], np.ones(len(probes)), size), len(probes), chance)


def regression(
    features: NDArray[np.float32],
    targets: Floats,
    folds: Sequence[Fold],
    group: NDArray[np.int64],
    people: NDArray[np.int64],
    *,
    seed: int = 0,
) -> list[Sums]:
    """How much of each target's variance ridge regression explains on subjects that it has not seen.

    Args:
        features: (N, D) standardised.
        targets: (N, T) finite.
        folds: disjoint train and test rows, subjects on one side only.
        group: (N,) a number per subject.
        people: (N,) as `group`, but namesakes of different data sets are one: they are held out together.
        seed: of the training subjects held out, on which one of seven penalties is chosen per fold and target.

    Returns:
        Per target its R2, 1 - errors / variance about the mean of all tested rows; below 0: worse than that mean.
        Undefined for a target that is the same in all of them.
    """
    scaled = (targets - targets.mean(axis=0)) / np.maximum(targets.std(axis=0), 1e-12)
    predicted = np.zeros_like(scaled)
    tested = np.zeros(len(scaled), dtype=bool)
    for fold in folds:
        held = hold_out(people, fold.train, seed=seed)
        guesses = _ridge(features, scaled, fold.train & ~held, held, PENALTIES)
        missed = np.array([((guess - scaled[held]) ** 2).sum(axis=0) for guess in guesses])
        found = np.stack(_ridge(features, scaled, fold.train, fold.test, PENALTIES))
        predicted[fold.test] = np.take_along_axis(found, missed.argmin(axis=0)[None, None], axis=0)[0]
        tested |= fold.test
    size = int(group.max()) + 1
    varies = np.ptp(targets[tested], axis=0) > 0  # equal values can differ from their mean, by rounding
    about = np.where(varies, scaled - scaled[tested].mean(axis=0), 0.0)
    errors, variance = (
        [_per_subject(group[tested], column**2, size) for column in values[tested].T]
        for values in (predicted - scaled, about)
    )
    cases = int(tested.sum())
    return [Sums(top, bottom, cases, 0.0, lambda share: 1 - share) for top, bottom in zip(errors, variance)]


def triplets(data: Prepared, interval_units: int) -> NDArray[np.int64] | None:
    """(S, 12) rows of sequences t, t + 1, t + 1 + k ... t + 1 + 10 k, in 1/25 s; None where all clips are too short."""
    sampler = SequenceSampler([0, 1, *(1 + interval_units * n for n in range(1, COMPARED + 1))])
    try:
        clips, _ = sampler.usable_clips(data, np.arange(len(data)))
    except InputError:
        return None
    generator = np.random.default_rng(0)
    return np.array([sampler.draw(clip, generator) for clip in clips for _ in range(SEQUENCES_PER_CLIP)])


def order(values: NDArray[np.floating], sequences: NDArray[np.int64], group: NDArray[np.int64]) -> Sums:
    """Whether a frame lies farther from the first one than the frame before it does.

    Args:
        values: (N, D) features, or whatever may order frames.
        sequences: see `triplets`.
        group: (N,) a number per subject.

    Returns:
        Per subject the share of comparisons in right order; ties are wrong.
    """
    away = np.linalg.norm(values[sequences[:, 1:]] - values[sequences[:, :1]], axis=2)
    right = away[:, 1:] > away[:, :-1] + 1e-9
    owner, size = group[sequences[:, 0]], int(group.max()) + 1
    top = _per_subject(owner, right.sum(axis=1), size)
    return Sums(top, _per_subject(owner, np.full(len(owner), right.shape[1]), size), int(right.size), 0.5)


def _ridge(
    features: NDArray[np.float32],
    targets: Floats,
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    strengths: Sequence[float],
) -> list[Floats]:
    rows = features[train].astype(np.float64)
    mean, middle = rows.mean(axis=0), targets[train].mean(axis=0)
    rows -= mean
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    turned = vectors.T @ (rows.T @ (targets[train] - middle) / len(rows))
    weights = [vectors @ (turned / (np.maximum(values, 0) + strength)[:, None]) for strength in strengths]
    return [(features[test] - mean) @ weight + middle for weight in weights]


def _per_subject(group: NDArray[np.int64], values: NDArray[Any], size: int) -> Floats:
    """(size,) sums of values (N,) over the rows of each subject."""
    return np.bincount(group, weights=values, minlength=size).astype(np.float64)


def _units(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
