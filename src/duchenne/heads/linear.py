"""The linear protocol on arrays: BatchNorm with the training folds' statistics, then one linear unit per AU.

BatchNorm (affine) followed by a linear layer without bias is a linear unit with bias on standardised features, so it
is fitted as weighted logistic regression to its optimum, for all folds, AUs and L2 strengths together
(`logistic.fit_heads`). The features are standardised once over all rows, without labels, for the sake of arithmetic;
each fold's own standardisation is folded into its penalty and bias, so the result is that of standardising with the
training folds' statistics alone (a test holds that).

Source: TCAE's classifier (BatchNorm1d, Linear without bias), used by the papers.
Differs: L-BFGS to the optimum in place of SGD for some epochs; L2 chosen on held-out training subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne.data.folds import Fold, hold_out
from duchenne.devices import one_thread
from duchenne.errors import UsageError
from duchenne.heads.logistic import CHUNK_ROWS, Curvature, Fitted, Problems, fit_heads
from duchenne.heads.settings import LinearSettings
from duchenne.losses.weightings import Weighting
from duchenne.metrics import roc_auc

SMALL_VALUES: Final = 2**22


@dataclass(frozen=True)
class LinearResult:
    """What the linear protocol gives for one model and one seed.

    Attributes:
        score: (N, A) float32 log odds where the row is tested; NaN elsewhere, and where an AU's training rows lack a
            known positive or a known negative.
        l2: (F,) the strength chosen per fold.
        validation_auc: (F, L) mean AUC of each candidate on the held-out training subjects; empty for one candidate.
        trained: (F, A) whether the AU could be trained.
        not_converged: number of the final heads that did not reach the tolerance.
        iterations: of the final fit.
    """

    score: NDArray[np.float32]
    l2: tuple[float, ...]
    validation_auc: NDArray[np.float64]
    trained: NDArray[np.bool_]
    not_converged: int
    iterations: int


@dataclass(frozen=True)
class LinearHead:
    """One linear unit per AU, to be used on features of faces that it has never seen.

    Attributes:
        low, high: (D,) range of each feature in training. A value outside counts as the nearest one inside, so that
            no weight is stretched beyond what it was fitted on.
        mean, factor: (D,) that standardise.
        weight: (D, A).
        bias: (A,).
        trained: (A,) whether the AU had known positives and negatives.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]
    factor: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    trained: NDArray[np.bool_]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) -> (N, A) log odds under the class weights of training; NaN for an AU that was not trained."""
        rows = (np.clip(features, self.low, self.high) - self.mean) * self.factor
        score = np.asarray(rows @ self.weight + self.bias, dtype=np.float32)
        score[:, ~self.trained] = np.nan
        return score


def train_heads(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    strengths: Sequence[float],
    *,
    weighting: Weighting = "balanced",
    device: str | torch.device = "cpu",
) -> list[LinearHead]:
    """The linear units of the linear protocol, fitted on all rows: one head per L2 strength, all together.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown.
        strengths: see `LinearSettings.l2`.
        weighting: see `LinearSettings`.
        device: where the products are computed.

    Raises:
        ValueError: when features hold values that are not finite.
    """
    settings, count = LinearSettings(l2=tuple(strengths), weighting=weighting), labels.shape[1]
    with _threads_for(features.size):
        rows, mean, factor = _standardise(features, np.arange(len(features)), device)
        truth = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.float32)).to(device)
        sets = np.ones((len(strengths), len(features)), dtype=bool)
        fitted, trained = _fit(rows, Curvature(rows), truth, sets, settings.l2, settings, None)
    weight, bias = fitted.weight.cpu().numpy(), fitted.bias.cpu().numpy()
    low, high = features.min(axis=0), features.max(axis=0)
    centre, scale = mean.astype(np.float32), factor.astype(np.float32)
    heads = [slice(number * count, (number + 1) * count) for number in range(len(strengths))]
    return [
        LinearHead(low, high, centre, scale, weight[:, own].copy(), bias[own].copy(), trained[number])
        for number, own in enumerate(heads)
    ]


def linear_protocol(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    folds: Sequence[Fold],
    groups: NDArray[np.integer],
    settings: LinearSettings | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> LinearResult:
    """Fits and applies linear units for every fold and AU.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown.
        folds: disjoint train and test rows, subjects on one side only.
        groups: (N,) a number per person, for holding out whole people; namesakes of different data sets are one.
        settings: see `LinearSettings`.
        seed: of the subjects held out.
        device: where the products are computed.

    Raises:
        UsageError: when an L2 strength must be chosen but no subject can be held out, or the held-out subjects show
            no AU both present and absent.
        ValueError: when features hold values that are not finite.
    """
    settings = settings or LinearSettings()
    with _threads_for(features.size):
        return _linear_protocol(features, labels, folds, groups, settings, seed, device)


def _threads_for(values: int) -> AbstractContextManager[None]:
    """One thread for small problems."""
    return one_thread() if values < SMALL_VALUES else nullcontext()


def _linear_protocol(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    folds: Sequence[Fold],
    groups: NDArray[np.integer],
    settings: LinearSettings,
    seed: int,
    device: str | torch.device,
) -> LinearResult:
    # Rows tested together lie together, so that whole chunks drop out of the folds that do not train on them.
    tested = np.full(len(features), -1)
    for number, fold in enumerate(folds):
        tested[fold.test] = number
    order = np.argsort(tested, kind="stable")
    rows, _, _ = _standardise(features, order, device)
    truth = torch.from_numpy(np.ascontiguousarray(labels[order], dtype=np.float32)).to(device)
    train = np.stack([fold.train[order] for fold in folds])
    test = np.stack([fold.test[order] for fold in folds])
    count = truth.shape[1]
    curvature = Curvature(rows)

    chosen = [settings.l2[0]] * len(folds)
    validation_auc = np.empty((len(folds), 0))
    start = None
    if len(settings.l2) > 1:
        held = np.stack([hold_out(groups[order], mask, share=settings.held_out, seed=seed) for mask in train])
        inner = train & ~held
        strengths = [strength for strength in settings.l2 for _ in folds]
        loose = replace(settings, tolerance=10 * settings.tolerance)
        fitted, _ = _fit(rows, curvature, truth, np.tile(inner, (len(settings.l2), 1)), strengths, loose, None)
        validation_auc = _validate(rows, truth, held, fitted, len(settings.l2))
        best = np.argmax(validation_auc, axis=1)
        chosen = [settings.l2[index] for index in best]
        picked = np.concatenate([(index * len(folds) + f) * count + np.arange(count) for f, index in enumerate(best)])
        start = torch.cat([fitted.weight, fitted.bias[None]])[:, picked]
    fitted, trained = _fit(rows, curvature, truth, train, chosen, settings, start)
    missed = int((~fitted.converged).sum())

    score = np.full(labels.shape, np.nan, dtype=np.float32)
    for number in range(len(folds)):
        where = np.flatnonzero(test[number])
        heads = slice(number * count, (number + 1) * count)
        values = _apply(rows, where, fitted.weight[:, heads], fitted.bias[heads])
        values[:, ~trained[number]] = np.nan
        score[order[where]] = values
    return LinearResult(score, tuple(chosen), validation_auc, trained, missed, fitted.iterations)


def _standardise(
    features: NDArray[np.float32], order: NDArray[np.integer], device: str | torch.device
) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64]]:
    """A reordered copy with mean 0 and standard deviation 1 over all rows; constant features become 0.

    Returns:
        The copy, (D,) means, (D,) factors: copy = (features - mean) * factor.
    """
    total = np.zeros(features.shape[1])
    for begin in range(0, len(features), CHUNK_ROWS):
        total += features[begin : begin + CHUNK_ROWS].sum(axis=0, dtype=np.float64)
    mean = total / len(features)
    if not np.isfinite(mean).all():
        raise ValueError("features hold values that are not finite.")
    square = np.zeros_like(mean)
    for begin in range(0, len(features), CHUNK_ROWS):
        square += ((features[begin : begin + CHUNK_ROWS] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(square / len(features))
    constant = deviation <= 1e-6 * np.abs(mean)
    factor = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
    out = torch.empty(features.shape, dtype=torch.float32, device=device)
    for begin in range(0, len(features), CHUNK_ROWS):
        chunk = features[order[begin : begin + CHUNK_ROWS]]
        out[begin : begin + CHUNK_ROWS] = torch.from_numpy(((chunk - mean) * factor).astype(np.float32)).to(device)
    return out, mean, factor


def _fit(
    rows: Tensor,
    curvature: Curvature,
    truth: Tensor,
    sets: NDArray[np.bool_],
    strengths: Sequence[float],
    settings: LinearSettings,
    start: Tensor | None,
) -> tuple[Fitted, NDArray[np.bool_]]:
    """One head per (training set, AU), sets outermost; equal sets share their label weights.

    Returns:
        The heads and (sets, A) whether each could be trained.
    """
    unique, number_of = np.unique(sets, axis=0, return_inverse=True)
    count = truth.shape[1]
    masks = torch.from_numpy(unique).to(rows.device)
    positive = torch.zeros(len(rows), len(unique) * count, device=rows.device)
    negative = torch.zeros_like(positive)
    trained = torch.zeros(len(unique), count, dtype=torch.bool, device=rows.device)
    for number, mask in enumerate(masks):
        there, absent = (truth == 1) & mask[:, None], (truth == 0) & mask[:, None]
        present, missing = there.sum(dim=0), absent.sum(dim=0)
        trained[number] = (present > 0) & (missing > 0)
        up, down = _class_weights(present, missing, settings.weighting)
        columns = slice(number * count, (number + 1) * count)
        positive[:, columns] = there * (up * trained[number])
        negative[:, columns] = absent * (down * trained[number])
    number_of = number_of.reshape(-1)
    column = (torch.from_numpy(number_of)[:, None] * count + torch.arange(count)).reshape(-1).to(rows.device)
    l2 = torch.tensor(strengths).repeat_interleave(count).to(rows.device)
    scale = _deviations(rows, masks)[:, torch.from_numpy(number_of).to(rows.device)].repeat_interleave(count, dim=1)
    problems = Problems(positive, negative, column, l2, scale)
    fitted = fit_heads(rows, problems, curvature=curvature, start=start, tolerance=settings.tolerance)
    return fitted, trained.cpu().numpy()[number_of]


def _class_weights(present: Tensor, missing: Tensor, weighting: Weighting) -> tuple[Tensor, Tensor]:
    """(A,) weights of one positive and of one negative row; over all rows of an AU they sum to 1 (on average)."""
    known = (present + missing).clamp(min=1).float()
    if weighting == "balanced":
        return 0.5 / present.clamp(min=1), 0.5 / missing.clamp(min=1)
    if weighting == "none":
        return 1 / known, 1 / known
    inverse = torch.where(present > 0, known / present.clamp(min=1), torch.zeros_like(known))
    weight = inverse / inverse.sum().clamp(min=1e-12) * max(1, int((present > 0).sum()))
    return weight / known, weight / known


def _deviations(rows: Tensor, masks: Tensor) -> Tensor:
    """(D, S) standard deviation of each feature over each training set; 1 where it does not vary."""
    amounts = masks.sum(dim=1).clamp(min=1).double()
    first = torch.zeros(len(masks), rows.shape[1], dtype=torch.float64, device=rows.device)
    second = torch.zeros_like(first)
    for begin in range(0, len(rows), CHUNK_ROWS):
        chunk, weight = rows[begin : begin + CHUNK_ROWS], masks[:, begin : begin + CHUNK_ROWS].float()
        first += (weight @ chunk).double()
        second += (weight @ chunk.square()).double()
    mean = first / amounts[:, None]
    deviation = (second / amounts[:, None] - mean.square()).clamp(min=0).sqrt()
    return torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)).float().T


def _validate(
    rows: Tensor, truth: Tensor, held: NDArray[np.bool_], fitted: Fitted, candidates: int
) -> NDArray[np.float64]:
    """(F, L) mean AUC over AUs on each fold's held-out rows."""
    number, count = len(held), truth.shape[1]
    out = np.full((number, candidates), np.nan)
    for fold in range(number):
        where = np.flatnonzero(held[fold])
        known = truth[torch.from_numpy(where).to(truth.device)].cpu().numpy()
        heads = torch.cat([torch.arange(count) + (c * number + fold) * count for c in range(candidates)])
        score = _apply(rows, where, fitted.weight[:, heads], fitted.bias[heads])
        areas = roc_auc(np.tile(known, candidates), score).reshape(candidates, count)
        if np.isnan(areas).all():
            raise UsageError(
                f"fold {fold}: no AU is both present and absent among the held-out training subjects, "
                "so the L2 strength cannot be chosen; give one (--l2 0.01)."
            )
        out[fold] = np.nanmean(areas, axis=1)
    return out


def _apply(rows: Tensor, where: NDArray[np.integer], weight: Tensor, bias: Tensor) -> NDArray[np.float32]:
    parts = [
        torch.addmm(bias, rows[torch.from_numpy(where[begin : begin + CHUNK_ROWS]).to(rows.device)], weight).cpu()
        for begin in range(0, len(where), CHUNK_ROWS)
    ]
    return torch.cat(parts).numpy() if parts else np.empty((0, weight.shape[1]), dtype=np.float32)
