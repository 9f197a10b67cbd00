"""Intensity from 0 to 5 on the same evidence as occurrence, so that both agree by construction.

A model of proportional odds: for every level k that was coded (A to E are 1 to 5),

    log odds of "at least k"  =  log odds of "present"  -  cut_k,      cut = 0 at the level from which it is present

with ascending cuts, so that a higher level is never more likely than a lower one, and "at least the level from which it
counts as present" has the probability of occurrence itself. The intensity that is read off is the level whose
probability reaches the threshold of the decision, with straight lines between levels. So `AUxx_r` is at least the
level from which it counts as present exactly where `AUxx_c` is 1. The expected level would not do that, and it keeps to
the middle: docs/detectors.md has the figures.

Source: McCullagh, Regression models for ordinal data, 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duchenne.detectors.calibrating.calibration import log_odds, minimise
from duchenne.metrics import icc, interval, resample

Floats = NDArray[np.float64]

CODED_LEVELS: Final = (1.0, 2.0, 3.0, 4.0, 5.0)
FEWEST_AT_LEVEL: Final = 2
"""Subjects who reach a level, the least from which its cut is learned."""
_SMALLEST: Final = 1e-7
_BELOW: Final = 1e-4


@dataclass(frozen=True)
class Intensities:
    """Coded intensities beside occurrences.

    Attributes:
        values: (N, A) 0 to 5, NaN where unknown.
        present_from: (A,) the level from which each action unit counts as present; NaN where no value is known.
    """

    values: NDArray[np.floating]
    present_from: NDArray[np.floating]

    def of(self, rows: NDArray[Any]) -> Intensities:
        """Those of some rows."""
        return Intensities(self.values[rows], self.present_from)


@dataclass(frozen=True)
class Scale:
    """From the probability of one action unit to its intensity.

    Attributes:
        levels: ascending, 0 < level <= 5; one of them is `present_from`.
        cuts: ascending, as many; see the module's first lines.
        present_from: the level whose cut is 0.

    Raises:
        ValueError: when it is made of other numbers.
    """

    levels: tuple[float, ...]
    cuts: tuple[float, ...]
    present_from: float

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.cuts) or len(self.levels) < 2 or not np.isfinite(self.cuts).all():
            raise ValueError("levels and cuts must be two or more each, and as many")
        if any(low >= high for each in (self.levels, self.cuts) for low, high in pairwise(each)):
            raise ValueError("levels and cuts must ascend")
        if not 0 < self.levels[0] <= self.levels[-1] <= 5 or self.present_from not in self.levels:
            raise ValueError("levels must lie in 0 to 5, present_from among them")

    def intensity(self, chance: ArrayLike, threshold: float) -> Floats:
        """Intensities of probabilities, any shape; NaN stays.

        Args:
            chance: probabilities that it is present.
            threshold: of the decision, to which the intensity is `present_from`.

        Returns:
            0 to the highest level; `present_from` or more exactly where `chance` is at least `threshold`.
        """
        given = np.asarray(chance, dtype=np.float64)
        above = log_odds(np.clip(given, _SMALLEST, 1 - _SMALLEST)) - log_odds(threshold)
        nothing = 2 * self.cuts[0] - self.cuts[1]  # as far below the first level as the second lies above it
        read = np.interp(above, (nothing, *self.cuts), (0.0, *self.levels))
        # Rounding must not carry a value over the line that the decision stays below.
        read = np.where(given >= threshold, np.maximum(read, self.present_from), read)
        read = np.where(given < threshold, np.minimum(read, self.present_from - _BELOW), read)
        return np.where(np.isnan(given), np.nan, read)


def fit_scale(chance: Floats, intensity: Floats, groups: NDArray[np.integer], *, present_from: float) -> Scale | None:
    """Learns the cuts: with them each level is as frequent as it was coded.

    Args:
        chance: (N,) probabilities of rows whose subjects had no part in them; NaN where there is none.
        intensity: (N,) coded, NaN where unknown.
        groups: (N,) the subject of each row.
        present_from: the level from which it counts as present.

    Returns:
        None where fewer than two levels were reached and not reached by two subjects each.
    """
    known = ~np.isnan(chance) & ~np.isnan(intensity)
    said, coded, people = chance[known], intensity[known], groups[known]

    def told_apart(level: float) -> bool:
        reached = coded >= level
        return all(len(np.unique(people[rows])) >= FEWEST_AT_LEVEL for rows in (reached, ~reached))

    def frames(level: float) -> int:
        return int((coded >= level).sum())

    if not told_apart(present_from):
        return None
    levels = [present_from]
    for level in (one for one in CODED_LEVELS if one > present_from):
        if told_apart(level) and frames(level) < frames(levels[-1]):
            levels.append(level)
    for level in (one for one in reversed(CODED_LEVELS) if one < present_from):
        if told_apart(level) and frames(level) > frames(levels[0]):
            levels.insert(0, level)
    if len(levels) < 2:
        return None
    start, one = log_odds(np.clip(said, _SMALLEST, 1 - _SMALLEST)), np.ones((len(said), 1))
    cuts = [
        -float(minimise(one, start, (coded >= level).astype(np.float64), np.zeros(1), len(said))[0]) for level in levels
    ]
    zero = cuts[levels.index(present_from)]
    return Scale(tuple(levels), tuple(round(cut - zero, 9) for cut in cuts), present_from)


def intensity_figures(
    coded: Floats, read: Floats, groups: NDArray[np.integer], *, bootstrap: bool, seed: int = 0
) -> dict[str, float]:
    """Agreement with the coded intensity: `icc` (ICC(3,1)), `icc_low`, `icc_high`, `mae`, `mae_of_zero`.

    `mae_of_zero` is the error of calling every face neutral, which is the mean of the coded intensity.

    Args:
        coded: (N,) NaN where unknown.
        read: (N,) NaN where there is none.
        groups: (N,) subjects.
        bootstrap: whether to give the 95 % interval over resampled subjects.
        seed: of the resampling.
    """
    known = ~np.isnan(coded) & ~np.isnan(read)
    if not known.any():
        return {}
    truth, said = coded[known].astype(np.float64), read[known]
    low = high = np.nan
    if bootstrap:
        names, group = np.unique(groups[known], return_inverse=True)
        columns = (np.ones_like(said), truth, said, truth * truth, said * said, truth * said)
        sums = np.stack([np.bincount(group, weights=column, minlength=len(names)) for column in columns], axis=1)
        weights = resample(np.ones(len(names), dtype=bool), seed=seed)
        bounds = interval(_consistency(weights.astype(np.float64) @ sums)[:, None])
        low, high = (float(bound[0]) for bound in bounds)
    return {
        "icc": icc(np.stack([truth, said], axis=1)).consistency, "icc_low": low, "icc_high": high,
        "mae": float(np.abs(truth - said).mean()), "mae_of_zero": float(truth.mean()),
    }  # fmt: skip


def _consistency(sums: Floats) -> Floats:
    """ICC(3,1) of two raters from sums (R, 6): frames, x, y, xx, yy, xy; equal to 2 cov / (var x + var y)."""
    count, x, y, xx, yy, xy = sums.T
    shared, own = count * xy - x * y, count * (xx + yy) - x * x - y * y
    return np.asarray(np.divide(2 * shared, own, out=np.full(len(sums), np.nan), where=own > 1e-9))
