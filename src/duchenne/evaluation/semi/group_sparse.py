"""BGCS: label vectors inferred from linear predictions under a prior that is sparse in overlapping groups of labels.

For a face with features x and label vector y (0 or 1 per label, as real numbers):

    y = W x + noise            per label
    y = sum of v_g             over groups g of labels that go together; a label can be in several
    v_g ~ N(0, B_g / alpha_g), alpha_g ~ Gamma(a, b): a group as a whole is on or off in a face

What is known of y is held there and the rest is summed out, in training and in prediction. Inference is variational:
q(v) is normal, q(alpha) gamma, each given the other.

Source: Song, McDuff, Vasisht & Kapoor, Exploiting sparsity and co-occurrence structure for action unit recognition,
FG 2015, on Kapoor, Viswanathan & Jain, Multilabel classification using Bayesian compressed sensing, NIPS 2012.
Differs: written from what their abstracts say of the model. They measure the label vector with a matrix Phi first; for
a dozen labels there is nothing to compress, and with as many orthonormal measurements as labels Phi drops out. Ours
are: the groups (each label with those that it correlates with), the shape B_g of a group (second moments of its labels,
so that a known label speaks for the others), noise from leave-one-out residuals, and how much a label that was only
inferred counts in W, chosen on held-out people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROUNDS: Final = 3
"""Of training: W and noise, then missing labels."""
SPARSITY_ROUNDS: Final = 5
"""Of label vectors, then group precisions."""
LEAST_CORRELATION: Final = 0.2
GAMMA: Final = (1.0, 0.5)
"""a and b of the precision of a group."""
RIDGE: Final = 0.05
"""Added to the shape of a group, as a share of its mean variance."""
EXACT: Final = 1e3
"""Precision of a known label."""
CHUNK: Final = 8192

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Groups:
    """Overlapping groups of labels.

    Attributes:
        members: the labels of each.
        shapes: (G, A, A) B_g of each, zero outside the group.
    """

    members: tuple[tuple[int, ...], ...]
    shapes: Floats

    @property
    def sizes(self) -> Floats:
        """(G,) number of labels."""
        return np.array([len(group) for group in self.members], dtype=np.float64)


@dataclass(frozen=True)
class GroupSparse:
    """A trained model.

    Attributes:
        weight: (D + 1, A), the last row for a constant feature.
        noise: (A,) variances.
        groups: of labels.
    """

    weight: Floats
    noise: Floats
    groups: Groups

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """(N, D) -> (N, A) expected label vectors."""
        predicted = _with_constant(features) @ self.weight
        return infer(predicted, np.full(predicted.shape, np.nan), self.noise, self.groups)


def learn_groups(labels: NDArray[np.floating]) -> Groups:
    """Groups and their shapes from how known labels go together.

    Args:
        labels: (N, A) 0, 1 or NaN where missing.

    Returns:
        Each label with those that correlate with it by at least 0.2, equal groups once, and each label alone. A shape
        is the matrix of second moments of the group's labels, scaled to a mean variance of 1 on its diagonal.
    """
    count = labels.shape[1]
    there, truth = (~np.isnan(labels)).astype(np.float64), np.nan_to_num(labels).astype(np.float64)
    pairs = np.maximum(there.T @ there, 1.0)
    both, mean = truth.T @ truth / pairs, truth.T @ there / pairs
    spread = np.sqrt(np.maximum(mean * (1 - mean), 0.0))
    correlation = (both - mean * mean.T) / np.maximum(spread * spread.T, 1e-9)
    close = (correlation >= LEAST_CORRELATION) | np.eye(count, dtype=bool)
    found = {tuple(int(label) for label in np.flatnonzero(row)) for row in close}
    members = tuple(sorted(found | {(label,) for label in range(count)}))
    shapes = np.zeros((len(members), count, count))
    for number, group in enumerate(members):
        values, vectors = np.linalg.eigh(both[np.ix_(group, group)])  # pairs of missing labels may leave it indefinite
        moment = (vectors * np.maximum(values, 0.0)) @ vectors.T
        scale = max(float(np.trace(moment)) / len(group), 1e-6)
        shapes[number][np.ix_(group, group)] = moment / scale + RIDGE * np.eye(len(group))
    return Groups(members, shapes)


def fit_group_sparse(
    features: NDArray[np.floating], labels: NDArray[np.floating], *, l2: float, inferred_weight: float
) -> GroupSparse:
    """Trains on labelled and unlabelled faces.

    Args:
        features: (N, D) standardised.
        labels: (N, A) 0, 1 or NaN where missing.
        l2: on W, relative to a mean squared error.
        inferred_weight: how much a missing label that was inferred counts in W, beside 1 for a known one.

    Raises:
        ValueError: when a label is never known.
    """
    there = ~np.isnan(labels)
    if not there.any(axis=0).all():
        raise ValueError("a label is never known")
    if features.shape[1] > len(features):  # the penalty does not mind a turn, and the rows span no more than this
        turn = np.linalg.svd(features, full_matrices=False)[2].T.astype(np.float64)
        small = fit_group_sparse(features @ turn, labels, l2=l2, inferred_weight=inferred_weight)
        return GroupSparse(np.concatenate([turn @ small.weight[:-1], small.weight[-1:]]), small.noise, small.groups)
    groups, rows = learn_groups(labels), _with_constant(features)
    weight, noise = _ridge(rows, np.nan_to_num(labels), there.astype(np.float64), there, l2)
    if inferred_weight:
        for _ in range(ROUNDS):
            vectors = infer(rows @ weight, labels, noise, groups)
            weight, noise = _ridge(rows, vectors, np.where(there, 1.0, inferred_weight), there, l2)
    return GroupSparse(weight, noise, groups)


def infer(predicted: Floats, labels: NDArray[np.floating], noise: Floats, groups: Groups) -> Floats:
    """(N, A) expected label vectors: known labels as they are, the others given those, the prediction and the prior.

    Args:
        predicted: (N, A) W x.
        labels: (N, A) 0, 1 or NaN where missing.
        noise: (A,) variances of the predictions.
        groups: of labels.
    """
    out = np.empty(predicted.shape)
    for start in range(0, len(predicted), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _infer(predicted[part], labels[part], noise, groups)
    return out


def _infer(predicted: Floats, labels: NDArray[np.floating], noise: Floats, groups: Groups) -> Floats:
    a, b = GAMMA
    there = ~np.isnan(labels)
    trust = np.where(there, EXACT, 1 / noise)  # precision of what is seen of each label
    seen = trust * np.where(there, np.nan_to_num(labels), predicted)
    alpha = np.full((len(predicted), len(groups.members)), a / b)
    mean = np.zeros(predicted.shape)
    one = np.eye(predicted.shape[1])
    for _ in range(SPARSITY_ROUNDS):
        prior = np.einsum("ng,gij->nij", 1 / alpha, groups.shapes)
        # With T = diag(trust): y has mean prior u and v_g has mean B_g u / alpha, where (1 + T prior) u = seen.
        solved = np.linalg.solve(one + trust[:, :, None] * prior, one)
        u = np.einsum("nij,nj->ni", solved, seen)
        mean = np.einsum("nij,nj->ni", prior, u)
        # E[v_g B_g^-1 v_g] = u B_g u / alpha^2 + size / alpha - trace(B_g (1 + T prior)^-1 T) / alpha^2
        square = np.einsum("ni,gij,nj->ng", u, groups.shapes, u, optimize=True)
        taken = np.einsum("gij,nji,ni->ng", groups.shapes, solved, trust, optimize=True)
        energy = np.maximum((square - taken) / alpha**2 + groups.sizes / alpha, 0.0)
        alpha = (a + groups.sizes / 2) / (b + energy / 2)
    return np.where(there, np.nan_to_num(labels), mean)


def _ridge(
    rows: Floats, targets: Floats, weights: Floats, there: NDArray[np.bool_], l2: float
) -> tuple[Floats, Floats]:
    """(D + 1, A) weighted ridge regression of every label, and its noise: leave-one-out residuals of known labels."""
    weight, noise = np.zeros((rows.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    penalty = np.full(rows.shape[1], l2)
    penalty[-1] = 1e-9
    kinds, kind_of = np.unique(weights, axis=1, return_inverse=True)
    for number, kind in enumerate(kinds.T):  # labels that are known in the same rows share the decomposition
        share = kind / kind.sum()
        labels = np.flatnonzero(kind_of.reshape(-1) == number)
        used = rows[share > 0]
        weighted = used * share[share > 0, None]
        inverse = np.linalg.inv(used.T @ weighted + np.diag(penalty))
        weight[:, labels] = inverse @ (weighted.T @ targets[np.ix_(share > 0, labels)])
        leverage = np.minimum(np.einsum("ni,ij,nj->n", used, inverse, weighted, optimize=True), 0.95)
        missed = (targets[np.ix_(share > 0, labels)] - used @ weight[:, labels]) / (1 - leverage)[:, None]
        known = there[np.ix_(share > 0, labels)]
        noise[labels] = (missed**2 * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return weight, np.maximum(noise, 1e-4)


def _with_constant(features: NDArray[np.floating]) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
