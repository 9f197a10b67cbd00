"""Calibrated linear units for every action unit, and how they would have done on people left out.

All that is learned from labels (weights, L2 strength, calibration, threshold) is one procedure, `train_calibrated`. It
leaves subjects out to choose and to calibrate, and trains on everybody at the end. `held_out` leaves each subject out
of the whole procedure, so no label of a person touches any figure about that person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.folds import Fold, from_assignment, k_fold
from duchenne.detectors.calibrating.calibration import (
    Calibration,
    Curve,
    best_threshold,
    fit_curve,
    fit_scaling,
    log_odds,
    probability,
    reliability,
)
from duchenne.detectors.calibrating.intensity import Intensities, Scale, fit_scale, intensity_figures
from duchenne.heads.linear import LinearHead, train_heads
from duchenne.heads.settings import L2_CANDIDATES
from duchenne.metrics import cohen_kappa, confusion, f1_from_counts, interval, resample, roc_auc, weighted_sums

Floats = NDArray[np.float64]

FOLDS: Final = 5
LEAVE_ONE_OUT: Final = 6
"""Up to so many subjects each is left out alone; more are left out in `FOLDS` groups."""
FEWEST_TO_VALIDATE: Final = 3
"""Subjects: leaving one out must leave two, of whom one is left out again."""
KAPPA_BAR: Final = 0.40
LOWER_BAR: Final = 0.20
FEWEST_SHOWING: Final = 6
"""Subjects who show an action unit: the least from which a lower bound at 2.5 % can be known at all (2^-6 < 2.5 %)."""


@dataclass(frozen=True)
class CalibratedHeads:
    """Linear units with what makes their evidence a probability and a decision.

    Attributes:
        head: the units.
        l2: strength of their penalty.
        prior: (A,) share of the known frames that show the action unit.
        slope, offset: (A,) see `duchenne.detectors.calibrating.calibration`.
        threshold: (A,) probability from which it is called present.
        usable: (A,) whether it could be trained and calibrated; the numbers of the others are NaN.
        curves: column -> what takes the place of slope and offset, for those calibrated so.
        scales: column -> how its intensity is read, for those that have one.
    """

    head: LinearHead
    l2: float
    prior: Floats
    slope: Floats
    offset: Floats
    threshold: Floats
    usable: NDArray[np.bool_]
    curves: Mapping[int, Curve] = field(default_factory=dict)
    scales: Mapping[int, Scale] = field(default_factory=dict)

    def probability(self, features: NDArray[np.float32]) -> Floats:
        """(N, D) -> (N, A) probabilities; NaN for an action unit that is not usable."""
        return calibrated(self.head(features), self.prior, self.slope, self.offset, self.curves)


class HeldOut(NamedTuple):
    """What the procedure says of subjects that had no part in it.

    Attributes:
        probability: (N, A), NaN where the other subjects did not allow a unit.
        present: (N, A) bool, the decision.
        fold: (N,) number of the fold in which the row was left out.
        intensity: (N, A), NaN where there is none.
    """

    probability: Floats
    present: NDArray[np.bool_]
    fold: NDArray[np.int64]
    intensity: Floats


def subject_folds(groups: NDArray[np.integer], *, seed: int = 0) -> list[Fold]:
    """Folds that keep subjects whole: one each for up to 6 subjects, else 5 folds.

    Args:
        groups: (N,) the subject of each row; at least two.
        seed: of the assignment.
    """
    number = len(np.unique(groups))
    folds = number if number <= LEAVE_ONE_OUT else FOLDS
    return from_assignment(k_fold([str(group) for group in groups], folds, seed=seed))


def train_calibrated(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    intensity: Intensities | None = None,
    calibration: Calibration = "platt",
    strengths: Sequence[float] = L2_CANDIDATES,
    seed: int = 0,
    device: str | torch.device = "cpu",
    advance: Callable[[], None] = lambda: None,
) -> CalibratedHeads:
    """Trains on all rows; chooses the L2 strength, calibrates and sets thresholds on subjects left out.

    Args:
        features: (N, D) finite.
        labels: (N, A) 0, 1 or NaN where unknown.
        groups: (N,) the subject of each row; at least two.
        intensity: of the same rows, where it is coded.
        calibration: `platt` (slope and offset) or `isotonic` (a curve).
        strengths: of L2, of which the one with the highest mean AUC over folds and AUs is taken; of equals the
            strongest.
        seed: of the folds.
        device: where the products are computed.
        advance: called once per training.
    """
    strengths = sorted(strengths, reverse=True)
    evidence = np.full((len(strengths), *labels.shape), np.nan)
    prior, number = np.full(labels.shape, np.nan), np.zeros(len(labels), dtype=np.int64)
    for place, fold in enumerate(subject_folds(groups, seed=seed)):
        number[fold.test] = place
        heads = train_heads(features[fold.train], labels[fold.train], strengths, device=device)
        for scores, head in zip(evidence, heads, strict=True):
            scores[fold.test] = head(features[fold.test])
        prior[fold.test] = share_present(labels[fold.train])
        advance()
    known = np.where(np.isnan(evidence[0]), np.nan, labels)
    measured = (known == 1).any(axis=0) & (known == 0).any(axis=0)
    areas = np.nan_to_num(np.stack([mean_auc(known, scores, number) for scores in evidence]), nan=0.5)
    best = int(np.argmax(areas[:, measured].mean(axis=1))) if measured.any() else 0
    head = train_heads(features, labels, [strengths[best]], device=device)[0]
    advance()

    scaled = calibrate(evidence[best], prior, labels, groups, intensity=intensity, calibration=calibration)
    return with_scaling(head, strengths[best], scaled, share_present(labels))


class Scaled(NamedTuple):
    """What makes evidence a probability and a decision, per action unit; NaN where `usable` is False.

    Attributes:
        slope, offset: see `duchenne.detectors.calibrating.calibration`.
        threshold: probability from which it is called present.
        usable: (A,) whether it was both present and absent among the rows with evidence.
        curves, scales: see `CalibratedHeads`.
    """

    slope: Floats
    offset: Floats
    threshold: Floats
    usable: NDArray[np.bool_]
    curves: Mapping[int, Curve]
    scales: Mapping[int, Scale]

    def probability(self, evidence: Floats, prior: Floats) -> Floats:
        """(N, A) evidence and (N, A) shares of positives where it was trained -> (N, A) probabilities."""
        return calibrated(evidence, np.where(np.isnan(prior), 0.5, prior), self.slope, self.offset, self.curves)


def calibrated(
    evidence: NDArray[np.floating], prior: Floats, slope: Floats, offset: Floats, curves: Mapping[int, Curve]
) -> Floats:
    """(N, A) probabilities: by slope and offset, or by the curve of a column that has one."""
    chance = probability(evidence, prior, slope, offset)
    for column, curve in curves.items():
        share = prior[..., column]
        own = evidence[:, column] + log_odds(share)
        chance[:, column] = np.where(np.isnan(own), np.nan, curve(own))
    return chance


def read_intensity(chance: Floats, threshold: Floats, scales: Mapping[int, Scale]) -> Floats:
    """(N, A) intensities of (N, A) probabilities; NaN for columns without a scale."""
    read = np.full(chance.shape, np.nan)
    for column, scale in scales.items():
        read[:, column] = scale.intensity(chance[:, column], float(threshold[column]))
    return read


def with_scaling(head: LinearHead, l2: float, scaled: Scaled, share: Floats) -> CalibratedHeads:
    """Units trained on everybody with what was learned from people left out; `share` is that of positives (A,)."""
    usable = scaled.usable & head.trained
    slope, offset, threshold, prior = (
        np.where(usable, own, np.nan) for own in (scaled.slope, scaled.offset, scaled.threshold, share)
    )
    curves = {column: curve for column, curve in scaled.curves.items() if usable[column]}
    scales = {column: scale for column, scale in scaled.scales.items() if usable[column]}
    return CalibratedHeads(head, l2, prior, slope, offset, threshold, usable, curves, scales)


def calibrate(
    evidence: Floats,
    prior: Floats,
    labels: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    intensity: Intensities | None = None,
    calibration: Calibration = "platt",
) -> Scaled:
    """Probabilities, thresholds and intensities from evidence about subjects who were left out.

    Args:
        evidence: (N, A) log odds under equal class weights; NaN where there is none.
        prior: (N, A) share of positives where the evidence's units were trained.
        labels: (N, A) 0, 1 or NaN where unknown.
        groups: (N,) the subject of each row.
        intensity, calibration: see `train_calibrated`.
    """
    known = np.where(np.isnan(evidence), np.nan, labels)
    curves: dict[int, Curve] = {}
    scales: dict[int, Scale] = {}
    usable = (known == 1).any(axis=0) & (known == 0).any(axis=0)
    slope, offset, threshold = (np.full(labels.shape[1], np.nan) for _ in range(3))
    for au in np.flatnonzero(usable):
        rows = ~np.isnan(known[:, au])
        truth, scores, share = labels[rows, au].astype(np.float64), evidence[rows, au], prior[rows, au]
        people = len(np.unique(groups[rows]))
        if calibration == "isotonic":
            slope[au], offset[au] = 1.0, 0.0
            curves[int(au)] = fit_curve(scores, share, truth, subjects=people)
            chance = curves[int(au)](log_odds(share) + scores)
        else:
            slope[au], offset[au] = fit_scaling(scores, share, truth, subjects=people)
            chance = probability(scores, share, slope[au], offset[au])
        threshold[au] = best_threshold(chance, truth)
        if intensity is not None:
            coded = intensity.values[rows, au].astype(np.float64)
            scale = fit_scale(chance, coded, groups[rows], present_from=float(intensity.present_from[au]))
            if scale is not None:
                scales[int(au)] = scale
    return Scaled(slope, offset, threshold, usable, curves, scales)


def trainings(groups: NDArray[np.integer], *, validate: bool) -> int:
    """How often `advance` is called by `train_calibrated`, and by `held_out` where that follows."""
    number = len(np.unique(groups))

    def inner(subjects: int) -> int:
        return 1 + (subjects if subjects <= LEAVE_ONE_OUT else FOLDS)

    if not validate:
        return inner(number)
    return inner(number) + sum(inner(len(np.unique(groups[fold.train]))) for fold in subject_folds(groups))


def held_out(
    features: NDArray[np.float32],
    labels: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    intensity: Intensities | None = None,
    calibration: Calibration = "platt",
    strengths: Sequence[float] = L2_CANDIDATES,
    seed: int = 0,
    device: str | torch.device = "cpu",
    advance: Callable[[], None] = lambda: None,
) -> HeldOut:
    """Runs the whole procedure without each subject in turn.

    Arguments as `train_calibrated`; three subjects or more.
    """
    chance, read = np.full(labels.shape, np.nan), np.full(labels.shape, np.nan)
    present = np.zeros(labels.shape, dtype=bool)
    number = np.zeros(len(labels), dtype=np.int64)
    for place, fold in enumerate(subject_folds(groups, seed=seed)):
        number[fold.test] = place
        heads = train_calibrated(
            features[fold.train], labels[fold.train], groups[fold.train],
            intensity=intensity.of(fold.train) if intensity else None, calibration=calibration,
            strengths=strengths, seed=seed, device=device, advance=advance,
        )  # fmt: skip
        chance[fold.test] = heads.probability(features[fold.test])
        present[fold.test] = np.nan_to_num(chance[fold.test]) >= np.where(heads.usable, heads.threshold, np.inf)
        read[fold.test] = read_intensity(chance[fold.test], heads.threshold, heads.scales)
    return HeldOut(chance, present, number, read)


def held_out_figures(
    labels: NDArray[np.floating],
    result: HeldOut,
    groups: NDArray[np.integer],
    *,
    bootstrap: bool,
    intensity: Intensities | None = None,
    seed: int = 0,
) -> list[dict[str, Any] | None]:
    """Figures per AU, as plain values; None where no known row was tested.

    Args:
        labels: (N, A) 0, 1 or NaN.
        result: of `held_out`.
        groups: (N,) subjects.
        bootstrap: whether to give the 95 % interval of kappa over resampled subjects; not where groups are images.
        intensity: coded, to compare intensities with.
        seed: of the resampling.

    Returns:
        `frames`, `subjects`, `auc`, `f1`, `kappa`, `kappa_low`, `kappa_high`, `calibration_error`, `brier`,
        `reliability` (see `calibration.Reliability`), where intensities were read also those of
        `intensity.intensity_figures`; a figure that is not defined is None.
    """
    _, group = np.unique(groups, return_inverse=True)
    truth = np.where(np.isnan(result.probability), np.nan, labels)
    count = int(group.max()) + 1
    total = confusion(truth, result.present)
    kappa, f1 = cohen_kappa(*total), f1_from_counts(*total[:3])
    auc = mean_auc(truth, result.probability, result.fold)
    low = high = np.full(labels.shape[1], np.nan)
    if bootstrap:
        own = [confusion(truth[group == one], result.present[group == one]) for one in range(count)]
        table = np.array(own, dtype=np.float64)  # (G, 4, A)
        members = np.ones(count, dtype=bool)
        weights = resample(members, seed=seed)
        low, high = interval(cohen_kappa(*(weighted_sums(weights, members, table[:, cell]) for cell in range(4))))
    out: list[dict[str, Any] | None] = []
    for au in range(labels.shape[1]):
        known = ~np.isnan(truth[:, au])
        if not known.any():
            out.append(None)
            continue
        there, chance = truth[known, au].astype(np.float64), result.probability[known, au]
        comes_true = reliability(chance, there)
        figures = {
            "auc": auc[au], "f1": f1[au], "kappa": kappa[au], "kappa_low": low[au], "kappa_high": high[au],
            "calibration_error": comes_true.error, "brier": ((chance - there) ** 2).mean(),
        }  # fmt: skip
        if intensity is not None:
            coded, read = intensity.values[:, au].astype(np.float64), result.intensity[:, au]
            figures |= intensity_figures(coded, read, groups, bootstrap=bootstrap, seed=seed)
        out.append(
            {"frames": int(known.sum()), "subjects": len(np.unique(group[known]))}
            | {name: None if np.isnan(value) else round(float(value), 4) for name, value in figures.items()}
            | {"reliability": comes_true.bins}
        )
    return out


def mean_auc(labels: NDArray[np.floating], score: Floats, fold: NDArray[np.integer]) -> Floats:
    """(A,) mean over folds of the AUC within a fold; NaN where no fold has known positives and negatives.

    Scores of different folds come from different units and priors: compared with each other they would say less than
    those of the one unit that is used in the end.
    """
    areas = np.stack([roc_auc(labels[fold == one], score[fold == one]) for one in np.unique(fold)])
    defined = ~np.isnan(areas)
    return np.asarray(
        np.where(defined.any(axis=0), np.nansum(areas, axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan)
    )


def share_present(labels: NDArray[np.floating]) -> Floats:
    """(N, A) -> (A,) share of the known frames that show the AU; NaN unless it is both present and absent."""
    present, known = (labels == 1).sum(axis=0), (~np.isnan(labels)).sum(axis=0)
    both = (present > 0) & (present < known)
    return np.where(both, present / np.maximum(known, 1), np.nan)
