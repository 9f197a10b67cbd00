"""Agreement of two or more coders at once: Fleiss' kappa and Krippendorff's alpha.

Own code: the package `krippendorff` is under the GPL, `irrCAC` pins an old SciPy, and statsmodels, which has Fleiss'
kappa alone, is larger than this library.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def fleiss_kappa(counts: ArrayLike) -> float:
    """How far coders agree on categories beyond chance, every unit judged by the same number of coders.

    Args:
        counts: (N, C) how many coders put each unit into each category; every row has the same sum of 2 or more.

    Returns:
        1 for full agreement, 0 for what chance gives; NaN where it is undefined (one category alone, no unit).

    Raises:
        ValueError: when the rows have different sums.

    Source: Fleiss, Measuring nominal scale agreement among many raters, Psychological Bulletin 76, 1971.
    """
    table = np.asarray(counts, dtype=np.float64)
    raters = table.sum(axis=1)
    if not len(table):
        return float("nan")
    if (raters != raters[0]).any() or raters[0] < 2:
        raise ValueError("every unit needs the same number of coders, 2 or more")
    observed = ((table**2).sum(axis=1) - raters) / (raters * (raters - 1))
    chance = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return float((observed.mean() - chance) / (1 - chance)) if chance < 1 else float("nan")


def krippendorff_alpha(values: ArrayLike, level: Literal["nominal", "interval"] = "nominal") -> float:
    """How far coders agree beyond chance, where not everybody need have judged everything.

    Args:
        values: (R, N) what each of R coders said of each unit, NaN where nothing; units with one value take no part.
        level: whether different values are just different (`nominal`) or more so the further apart (`interval`).

    Returns:
        1 for full agreement, 0 for what chance gives; NaN where nothing varies or no unit has two values.

    Source: Krippendorff, Computing Krippendorff's alpha-reliability, 2011 (sections C and E). Differs: squared
    differences are summed within units and over all values at once, which is the same and needs no table of
    coincidences.
    """
    return alpha_of(unit_sums(values, level))


def unit_sums(values: ArrayLike, level: Literal["nominal", "interval"] = "nominal") -> Floats:
    """Sums over the units from which alpha follows; those of groups of units may be added, as a bootstrap does.

    Args:
        values, level: see `krippendorff_alpha`.

    Returns:
        (2 + K, 2) with K = 1 for intervals, else the number of categories: disagreement and number of values; sum of
        squares; and the K sums.
    """
    table = np.asarray(values, dtype=np.float64)
    number = (~np.isnan(table)).sum(axis=0)
    table, number = table[:, number > 1], number[number > 1].astype(np.float64)
    if level == "nominal":
        kinds = np.unique(table[~np.isnan(table)])
        layers = [np.where(np.isnan(table), np.nan, table == kind) for kind in kinds]
    else:
        layers = [table]
    within, squares, sums = 0.0, 0.0, []
    for layer in layers:
        first, second = np.nansum(layer, axis=0), np.nansum(layer**2, axis=0)
        within += float((2 * (number * second - first**2) / (number - 1)).sum()) if len(number) else 0.0
        squares += float(second.sum())
        sums.append(float(first.sum()))
    head = [[within, float(number.sum())], [squares, 0.0]]
    return np.array([*head, *([one, 0.0] for one in sums)], dtype=np.float64)


def alpha_of(sums: Floats) -> float:
    """Alpha from `unit_sums`."""
    within, values = sums[0]
    total = 2 * (values * sums[1, 0] - float((sums[2:, 0] ** 2).sum()))
    if values < 2 or total <= 1e-12 * max(1.0, values * sums[1, 0]):
        return float("nan")
    return float(1 - (values - 1) * within / total)
