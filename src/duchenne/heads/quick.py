"""Quick looks at frozen features, without any fitting by gradient: nearest neighbours, and least squares.

Both standardise the features with the training rows' statistics. Their scores are log odds; with balanced weighting
the share of positives in training is taken out, so that 0 lies where present and absent are as likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.folds import Fold, hold_out
from duchenne.errors import UsageError
from duchenne.features.source import Features
from duchenne.metrics import roc_auc

NEIGHBOURS: Final = 20
LARGEST_REFERENCE: Final = 20_000
"""Training faces that neighbours are looked for among; of more, evenly spaced ones are taken."""
_AT_ONCE: Final = 1024


def nearest_neighbours(
    features: Features,
    labels: NDArray[np.floating],
    folds: Sequence[Fold],
    *,
    neighbours: int = NEIGHBOURS,
    balanced: bool = True,
    device: str | torch.device = "cpu",
) -> NDArray[np.float32]:
    """How many of the nearest training faces show each item, by cosine of standardised features.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown; an unknown label of a neighbour does not vote.
        folds: disjoint train and test rows.
        neighbours: that vote, with one more vote spread as the training rows are, so that no share is 0 or 1.
        balanced: whether the share of positives in training is taken out.
        device: where the products are computed.

    Returns:
        (N, A) log odds of the tested rows; NaN elsewhere and where training lacks a known positive or negative.
    """
    out = np.full(labels.shape, np.nan, dtype=np.float32)
    for fold in folds:
        train, test = np.flatnonzero(fold.train), np.flatnonzero(fold.test)
        train = train[np.unique(np.linspace(0, len(train) - 1, min(len(train), LARGEST_REFERENCE)).astype(np.int64))]
        mean, factor = scale(features[train])
        reference, truth = _units((features[train] - mean) * factor, device), labels[train]
        known, there = ~np.isnan(truth), truth == 1
        share = there.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        for start in range(0, len(test), _AT_ONCE):
            rows = test[start : start + _AT_ONCE]
            cosine = _units((features[rows] - mean) * factor, device) @ reference.T
            near = cosine.topk(min(neighbours, len(train)), dim=1).indices.cpu().numpy()
            votes = (there[near].sum(axis=1) + share) / (known[near].sum(axis=1) + 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                score = _logit(votes) - (_logit(share) if balanced else 0.0)
            out[rows] = np.where((share > 0) & (share < 1), score, np.nan)
    return out


@dataclass(frozen=True)
class RidgeResult:
    """What `ridge` gives.

    Attributes:
        score: (N, A) float32 log odds of the tested rows; NaN elsewhere and where an item could not be trained.
        l2: (F,) the strength chosen per fold.
    """

    score: NDArray[np.float32]
    l2: tuple[float, ...]


def ridge(
    features: Features,
    labels: NDArray[np.floating],
    folds: Sequence[Fold],
    groups: NDArray[np.integer],
    strengths: Sequence[float],
    *,
    balanced: bool = True,
    held_out: float = 0.2,
    seed: int = 0,
) -> RidgeResult:
    """Least squares with an L2 penalty in closed form, read as Gaussian classes with one covariance.

    The weights of ridge regression on 0/1 labels and those of linear discriminant analysis point the same way; scaled
    as the latter's they give log odds. One covariance serves all items: it is that of all training rows, less what an
    item's two means add to it.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown.
        folds: disjoint train and test rows.
        groups: (N,) a number per person, for holding out whole people; namesakes of different data sets are one.
        strengths: of the penalty on standardised features, relative to a mean loss; of several, one per fold is
            chosen by the mean AUC over items on held-out training subjects.
        balanced: whether the share of positives in training is taken out.
        held_out: share of the training subjects that choose the strength.
        seed: of the subjects held out.

    Raises:
        UsageError: when a strength must be chosen but no subject can be held out, or the held-out subjects show no
            item both present and absent.

    Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2009, sections 4.2 and 4.3.
    """
    out = np.full(labels.shape, np.nan, dtype=np.float32)
    chosen = []
    for number, fold in enumerate(folds):
        strength = float(strengths[0])
        if len(strengths) > 1:
            held = hold_out(groups, fold.train, share=held_out, seed=seed)
            found = _discriminants(features, labels, fold.train & ~held, held, strengths, balanced)
            areas = np.stack([roc_auc(labels[held], score) for score in found])
            if np.isnan(areas).all():
                raise UsageError(
                    f"fold {number}: no item is both present and absent among the held-out training subjects, so the "
                    "L2 strength cannot be chosen; give one (--l2 0.01)."
                )
            strength = float(strengths[int(np.argmax(np.nanmean(areas, axis=1)))])
        (out[fold.test],) = _discriminants(features, labels, fold.train, fold.test, [strength], balanced)
        chosen.append(strength)
    return RidgeResult(out, tuple(chosen))


def _discriminants(
    features: Features,
    labels: NDArray[np.floating],
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    strengths: Sequence[float],
    balanced: bool,
) -> list[NDArray[np.float64]]:
    """Per strength the (rows of test, A) log odds; one eigendecomposition serves all."""
    mean, factor = scale(features[train])
    places, width = np.flatnonzero(train), features.shape[1]
    square, sums = np.zeros((width, width)), np.zeros((2, width, labels.shape[1]))
    for start in range(0, len(places), _AT_ONCE):
        chosen = places[start : start + _AT_ONCE]
        rows = (features[chosen] - mean) * factor
        square += rows.T @ rows
        sums += rows.T @ np.stack([labels[chosen] == 1, labels[chosen] == 0])
    present, absent = ((labels[train] == label).sum(axis=0) for label in (1, 0))
    share = present / np.maximum(present + absent, 1)
    with np.errstate(divide="ignore"):
        prior = np.zeros_like(share) if balanced else _logit(share)
    first, second = sums / np.maximum([present, absent], 1)[:, None, :]  # (D, A) means of the two classes
    apart, middle = first - second, (first + second) / 2
    values, vectors = np.linalg.eigh(square / len(places))
    turned = vectors.T @ apart
    tested = (features[test] - mean) * factor
    out = []
    for strength in strengths:
        weight = vectors @ (turned / (np.maximum(values, 0.0) + strength)[:, None])
        within = 1 - share * (1 - share) * (apart * weight).sum(axis=0)
        weight = weight / np.maximum(within, 1e-3)
        score = tested @ weight - (middle * weight).sum(axis=0) + prior
        out.append(np.where((present > 0) & (absent > 0), score, np.nan))
    return out


def scale(rows: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(D,) means and factors that standardise; a constant feature becomes 0."""
    mean, deviation = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    constant = deviation <= 1e-6 * np.abs(mean)
    return mean, np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))


def _units(rows: NDArray[np.float64], device: str | torch.device) -> torch.Tensor:
    values = torch.from_numpy(rows.astype(np.float32)).to(device)
    return torch.nn.functional.normalize(values, dim=1)


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(share / (1 - share))
