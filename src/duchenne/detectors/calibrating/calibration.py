"""From a linear unit's score to a probability and a decision, for one action unit.

The units are fitted with both classes weighted alike, so their log odds are *evidence*: those of a world in which half
of all frames show the action unit. The log odds of this world are

    log p / (1 - p)  =  log prior / (1 - prior)  +  slope * evidence  +  offset

with the prior the share of frames that show it in the training data. Slope 1 and offset 0 are the bare correction of
the prior; both are then fitted on evidence about subjects that the unit was not trained on (Platt scaling), drawn
towards 1 and 0 as if each subject were one observation: frames of one person are alike, and with few people the bare
correction is the better guess. Slope 0 leaves the prior, which is right where the evidence says nothing.

A curve (isotonic regression) may take the place of slope and offset. It has as many free numbers as the data allow, and
beyond its ends it makes ties of scores that were in order.

Source: Platt, Probabilistic outputs for support vector machines, 1999; Saerens, Latinne &
Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, 2002.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duchenne.metrics import cohen_kappa

Floats = NDArray[np.float64]

Calibration = Literal["platt", "isotonic"]

THRESHOLDS: Final = np.arange(1, 100) / 100
RELIABILITY_BINS: Final = 10
_STEPS: Final = 100
_SMALLEST_STEP: Final = 1e-14


class Scaling(NamedTuple):
    """What makes evidence a probability, beside the prior."""

    slope: float
    offset: float


@dataclass(frozen=True)
class Curve:
    """A calibration without a formula: probabilities that never fall as the log odds rise.

    Attributes:
        log_odds: (K,) ascending, under slope 1 and offset 0.
        probability: (K,) between 0 and 1, not falling; straight lines between, level outside.

    Raises:
        ValueError: when it is made of other numbers.
    """

    log_odds: tuple[float, ...]
    probability: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.log_odds) != len(self.probability) or not self.log_odds or not np.isfinite(self.log_odds).all():
            raise ValueError("log_odds and probability must be as many")
        if (np.diff(self.log_odds) <= 0).any() or (np.diff(self.probability) < 0).any():
            raise ValueError("log_odds must ascend and probability not fall")
        if not 0 < self.probability[0] <= self.probability[-1] < 1:
            raise ValueError("probability must lie between 0 and 1")

    def __call__(self, total: ArrayLike) -> Floats:
        """Log odds of any shape -> probabilities."""
        return np.asarray(np.interp(np.asarray(total, dtype=np.float64), self.log_odds, self.probability))


class Reliability(NamedTuple):
    """Whether probabilities come true.

    Attributes:
        error: mean over frames of |mean probability - share present| of the frame's bin (expected calibration error).
        bins: per tenth of probability that occurs: `probability` (mean), `present` (share), `frames`.
    """

    error: float
    bins: list[dict[str, Any]]


def log_odds(probability: ArrayLike) -> Floats:
    """log p / (1 - p), of probabilities strictly between 0 and 1."""
    values = np.asarray(probability, dtype=np.float64)
    return np.asarray(np.log(values) - np.log1p(-values))


def probability(evidence: ArrayLike, prior: ArrayLike, slope: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> Floats:
    """The probability that an action unit is present (see the module's first lines); any (broadcast) shape.

    Args:
        evidence: log odds under equal class weights.
        prior: share of frames that show it, strictly between 0 and 1.
        slope: of the evidence, 0 or more.
        offset: added to the log odds.
    """
    total = log_odds(prior) + np.asarray(slope) * np.asarray(evidence, dtype=np.float64) + np.asarray(offset)
    return np.asarray(0.5 * (1 + np.tanh(0.5 * total)))


def fit_scaling(evidence: Floats, prior: Floats, truth: Floats, *, subjects: int) -> Scaling:
    """Slope and offset by the smallest penalised log loss.

    Args:
        evidence: (N,) about rows that the unit was not trained on.
        prior: (N,) share of frames that show it where the unit was trained.
        truth: (N,) 0 or 1.
        subjects: how many people the rows show; the mean log loss counts this many times against
            ((slope - 1)^2 + offset^2) / 2.

    Returns:
        The minimum over slope >= 0; it exists and is unique.
    """
    start = log_odds(prior)
    found = minimise(np.stack([evidence, np.ones_like(evidence)], axis=1), start, truth, np.array([1.0, 0.0]), subjects)
    if found[0] >= 0:
        return Scaling(float(found[0]), float(found[1]))
    return Scaling(0.0, float(minimise(np.ones((len(evidence), 1)), start, truth, np.zeros(1), subjects)[0]))


def fit_curve(evidence: Floats, prior: Floats, truth: Floats, *, subjects: int) -> Curve:
    """Isotonic regression of what was there on the log odds under slope 1 and offset 0.

    The level stretches it finds are drawn together to their middles, with straight lines between: so scores keep their
    order but at both ends.

    Args:
        evidence, prior, truth: see `fit_scaling`.
        subjects: how many people the rows show; one more, who shows it as often as all of them whatever is seen, keeps
            probabilities off 0 and 1.

    Source: Zadrozny & Elkan, Transforming classifier scores into accurate multiclass probability estimates, 2002; Oron
    & Flournoy, Centered isotonic regression, 2017.
    """
    from sklearn.isotonic import IsotonicRegression  # slow to import

    total = log_odds(prior) + evidence
    share, block = np.unique(IsotonicRegression().fit_transform(total, truth), return_inverse=True)
    middle = np.bincount(block, weights=total) / np.bincount(block)
    held = (subjects * share + truth.mean()) / (subjects + 1)
    return Curve(tuple(map(float, middle)), tuple(map(float, held)))


def minimise(design: Floats, start: Floats, truth: Floats, centre: Floats, weight: int) -> Floats:
    """Smallest weight * mean log loss + |x - centre|^2 / 2, which is convex, by Newton's method with halved steps.

    Args:
        design: (N, D) of which the log odds are `start + design @ x`.
        start: (N,).
        truth: (N,) 0 or 1.
        centre: (D,) where x is drawn to.
        weight: how many observations the rows count as.
    """

    def value(x: Floats) -> float:
        total = start + design @ x
        return float(weight * (np.logaddexp(0, total) - truth * total).mean() + 0.5 * ((x - centre) ** 2).sum())

    x, share = centre.copy(), weight / len(truth)
    now = value(x)
    for _ in range(_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * (start + design @ x)))
        gradient = share * (design.T @ (p - truth)) + x - centre
        curvature = share * (design.T @ (design * (p * (1 - p))[:, None])) + np.eye(len(x))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > _SMALLEST_STEP and value(x - size * step) >= now:
            size /= 2
        if size <= _SMALLEST_STEP:
            break
        x = x - size * step
        before, now = now, value(x)
        if before - now <= 1e-13 * max(1.0, abs(before)):
            break
    return x


def best_threshold(chance: Floats, truth: Floats) -> float:
    """The hundredth from which calling an action unit present agrees best with the coder, by Cohen's kappa.

    Args:
        chance: (N,) probabilities.
        truth: (N,) 0 or 1, both of which occur.

    Returns:
        0.01 to 0.99; of equally good ones that nearest to 0.5.
    """
    positive, negative = np.sort(chance[truth == 1]), np.sort(chance[truth == 0])
    hits = len(positive) - np.searchsorted(positive, THRESHOLDS)
    alarms = len(negative) - np.searchsorted(negative, THRESHOLDS)
    agreement = np.nan_to_num(cohen_kappa(hits, alarms, len(positive) - hits, len(negative) - alarms))
    best = THRESHOLDS[agreement >= agreement.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def reliability(chance: Floats, truth: Floats) -> Reliability:
    """Compares probabilities (N,) with what was there (N,) 0 or 1, in ten bins of equal width."""
    place = np.minimum((chance * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    frames = np.bincount(place, minlength=RELIABILITY_BINS)
    said = np.bincount(place, weights=chance, minlength=RELIABILITY_BINS)
    there = np.bincount(place, weights=truth, minlength=RELIABILITY_BINS)
    error = float(np.abs(said - there).sum() / max(1, len(chance)))
    bins = [
        {"probability": round(said[at] / frames[at], 4), "present": round(there[at] / frames[at], 4),
         "frames": int(frames[at])}
        for at in np.flatnonzero(frames)
    ]  # fmt: skip
    return Reliability(error, bins)
