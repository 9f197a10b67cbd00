"""Binary cross-entropy over several labels at once, with the class weightings that the field uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32
from duchenne.losses.weightings import Weighting

Selective = Literal["selective", "selective_per_label"]
"""Weights from each batch: Hand, Castillo & Chellappa, AAAI 2018."""
EVENED_OUT: Final = frozenset({"balanced", "selective"})
"""Weightings under which both classes of a label weigh alike, so that a score is no log odds of the data."""


@at_least_float32
def weighted_bce(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """-w (y log s(z) + (1 - y) log(1 - s(z))), averaged over all known labels of the batch.

    Args:
        scores: (B, C) log odds z.
        labels: (B, C) 0, 1, or -1 where unknown; an unknown label adds nothing and is not counted.
        weights: (B, C), at least 0; they are not normalised.

    Returns:
        () mean over the known labels; 0 where none is known.

    Raises:
        ValueError: when the shapes differ.
    """
    if not scores.shape == labels.shape == weights.shape or scores.ndim != 2:
        raise ValueError("need scores, labels and weights of one shape (B, C)")
    known = labels >= 0
    truth = labels.clamp_min(0).to(scores.dtype)
    losses = functional.binary_cross_entropy_with_logits(scores, truth, weights.to(scores.dtype), reduction="none")
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp_min(1)


def class_weights(labels: Tensor, shares: Sequence[float], weighting: Weighting) -> Tensor:
    """The weight of each label from how often it is positive in the training data.

    Args:
        labels: (B, C) 0, 1, or -1 where unknown.
        shares: (C,) share of positives among the known training labels, strictly between 0 and 1.
        weighting: `balanced`: 1/(2p) for positives, 1/(2(1-p)) for negatives; `inverse_frequency`: one weight per
            label, proportional to 1/p, mean 1 over labels; `none`: 1.

    Returns:
        (B, C) float32; 0 for an unknown label.
    """
    p = torch.tensor(shares, dtype=torch.float32, device=labels.device)
    if weighting == "balanced":
        weights = torch.where(labels == 1, 0.5 / p, 0.5 / (1 - p))
    elif weighting == "inverse_frequency":
        weights = ((1 / p) / (1 / p).mean()).expand(labels.shape)
    else:
        weights = torch.ones(labels.shape, device=labels.device)
    return torch.where(labels >= 0, weights, 0.0)


def selective_weights(labels: Tensor, draws: Tensor, *, per_label: bool = False, absent: float = 0.0) -> Tensor:
    """Selective learning: evens out the classes of a batch, label by label, towards (0.5, 0.5).

    Of n known examples of a label each class shall weigh n/2: of the class that has more, n/2 (rounded up) are kept at
    random and the others get weight 0; those of the other weigh (n/2) / their number. A label of which the batch shows
    one class only gets `absent` everywhere.

    Args:
        labels: (B, C) 0, 1, or -1 where unknown.
        draws: (B, C) random numbers; the smallest of a class are kept.
        per_label: one weight per label instead, inversely proportional to its share of positives in the batch, mean 1
            over the labels that have positives.
        absent: weight of labels without a positive (or, without `per_label`, without a negative): 0 or 1.

    Returns:
        (B, C) float32; 0 for an unknown label.

    Differs: the paper gives no code, and CL-ILE's weight has a label's index only; both readings are offered.
    """
    known, positive, negative = labels >= 0, labels == 1, labels == 0
    there, missing = positive.sum(0), negative.sum(0)
    if per_label:
        rate = there / known.sum(0).clamp_min(1)
        inverse = torch.where(there > 0, 1 / rate.clamp_min(1e-12), 0.0)
        mean = inverse.sum() / (there > 0).sum().clamp_min(1)
        weights = torch.where(there > 0, inverse / mean.clamp_min(1e-12), absent).expand(labels.shape)
        return torch.where(known, weights, 0.0)
    half = (there + missing) / 2
    weights = torch.zeros(labels.shape, device=labels.device)
    for members, count in ((positive, there), (negative, missing)):
        place = torch.where(members, draws, torch.inf).argsort(0).argsort(0)
        weight = torch.where(count > half, (place < half.ceil()).float(), (half / count.clamp_min(1)).expand_as(draws))
        weights = torch.where(members, weight, weights)
    return torch.where(known, torch.where((there > 0) & (missing > 0), weights, absent), 0.0)


def prior_shift(shares: Sequence[float], weighting: Weighting | Selective) -> Tensor:
    """(C,) what is added to the scores of a weighted training so that their sigmoid is a probability.

    Where both classes weighed alike, a score is the log odds in a world in which half of all examples are positive;
    those of the data are log(p / (1 - p)) higher. The other weightings treat both classes of a label alike.

    Source: Saerens, Latinne & Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, 2002.
    """
    p = torch.tensor(shares, dtype=torch.float32)
    return torch.logit(p) if weighting in EVENED_OUT else torch.zeros_like(p)
