"""Which items co-occur: the correlations of labels, and those of a model's scores.

Source: CL-ILE, figure 4. A model whose matrix is fuller than the labels' predicts one action unit from another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from duchenne.evaluation.scoring import Predictions, mean_defined
from duchenne.metrics import Floats


def label_correlations(labels: NDArray[np.floating]) -> Floats:
    """(N, A) 0, 1 or NaN -> (A, A) phi coefficients over rows that know both; NaN where one of two does not vary."""
    return _pairwise(np.asarray(labels, dtype=np.float64))


def score_correlations(runs: Mapping[int, Predictions]) -> Floats:
    """(A, A) correlations of the scores of tested rows, within folds, averaged over folds and seeds.

    Within folds, because classifiers of different folds are not on one scale.
    """
    parts = [
        _pairwise(run.score[run.fold == fold].astype(np.float64))
        for run in runs.values()
        for fold in np.unique(run.fold[run.fold >= 0])
    ]
    return mean_defined(np.stack(parts))


def distance(one: Floats, other: Floats) -> float:
    """The mean absolute difference of the cells off the diagonal that both have; NaN where there are none."""
    off = ~np.eye(len(one), dtype=bool)
    return float(mean_defined(np.abs(one - other)[off]))


def _pairwise(values: Floats) -> Floats:
    known = ~np.isnan(values)
    filled, mask = np.where(known, values, 0.0), known.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        amount = mask.T @ mask
        means = (filled.T @ mask) / amount  # [i, j]: mean of i over the rows that know both
        product = (filled.T @ filled) / amount - means * means.T
        square = (filled**2).T @ mask / amount - means**2
        out = product / np.sqrt(square * square.T)
    varies = (square > 1e-12) & (square.T > 1e-12)
    return np.where(varies, np.clip(out, -1, 1), np.nan)
