"""A restricted Boltzmann machine over label vectors, fitted to its exact likelihood.

With at most ten hidden units all of their states can be summed, so nothing is sampled: the likelihood is exact, also of
rows of which some labels are missing (they are summed out), and the same data give the same machine.

Source: Smolensky, Information processing in dynamical systems, 1986; as a model of AU labels: Wu, Wang, Pan & Ji, Deep
facial action unit recognition from partially labeled data, ICCV 2017.
Differs: they say nothing about how it is learned; contrastive divergence is usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

MOST_HIDDEN: Final = 10
HIDDEN: Final = 6
L2: Final = 1e-3
ITERATIONS: Final = 100
START: Final = 0.1


@dataclass(frozen=True)
class LabelMachine:
    """A fitted machine: p(y) proportional to exp(-free energy).

    Attributes:
        visible: (A,) biases of the labels.
        hidden: (H,) biases of the hidden units.
        weight: (A, H).
        alone: (A,) log odds of each label by itself.
    """

    visible: Tensor
    hidden: Tensor
    weight: Tensor
    alone: Tensor

    def free_energy(self, labels: Tensor) -> Tensor:
        """(N, A) label vectors, or probabilities in their place -> (N,); differentiable.

        F(y) = - b y - sum over hidden units of log(1 + exp(c + y W))
        """
        own = [part.to(labels) for part in (self.visible, self.hidden, self.weight)]
        return -labels @ own[0] - softplus(own[1] + labels @ own[2]).sum(1)

    def dependence(self, labels: Tensor) -> Tensor:
        """(N, A) as `free_energy` -> (N,): how much less likely they are than if labels were independent, in nats.

        Up to a constant. Where labels are independent the machine says the same of all vectors.
        """
        return self.free_energy(labels) + labels @ self.alone.to(labels)

    def log_likelihood(self, labels: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, A) 0, 1 or NaN where missing -> (N,) log probability of what is known, the rest summed out."""
        known, there = _split(labels)
        with torch.no_grad():
            return np.asarray(_log_likelihood(known, there, self.visible, self.hidden, self.weight).numpy())


def fit_machine(labels: NDArray[np.floating], *, hidden: int = HIDDEN, l2: float = L2, seed: int = 0) -> LabelMachine:
    """The machine of highest penalised likelihood, by L-BFGS from a random start.

    Args:
        labels: (N, A) 0, 1 or NaN where missing; rows without any label teach nothing.
        hidden: units, at most 10.
        l2: penalty l2 / 2 * sum of squared weights, against the mean log likelihood of a row.
        seed: of the start.

    Raises:
        ValueError: when no label is known, or there are too many hidden units.
    """
    if not 1 <= hidden <= MOST_HIDDEN:
        raise ValueError(f"hidden must be 1 to {MOST_HIDDEN}")
    rows = labels[~np.isnan(labels).all(axis=1)]
    if not len(rows):
        raise ValueError("no label is known")
    patterns, counts = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0, return_counts=True)
    known, there = _split(np.where(patterns < 0, np.nan, patterns))
    share = torch.from_numpy(counts / counts.sum())
    amount = np.maximum((~np.isnan(rows)).sum(axis=0), 1)
    mean = (np.nansum(rows, axis=0) + 0.5) / (amount + 1)
    generator = torch.Generator().manual_seed(seed)
    alone = torch.from_numpy(np.log(mean / (1 - mean)))
    parts = [
        alone.clone(),
        torch.zeros(hidden, dtype=torch.float64),
        START * torch.randn(rows.shape[1], hidden, generator=generator, dtype=torch.float64),
    ]
    for part in parts:
        part.requires_grad_()
    optimiser = torch.optim.LBFGS(parts, max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def objective() -> Tensor:
        optimiser.zero_grad()
        loss = -(share * _log_likelihood(known, there, *parts)).sum() + 0.5 * l2 * parts[2].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    visible, units, weight = (part.detach() for part in parts)
    return LabelMachine(visible, units, weight, alone)


def _split(labels: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Labels with 0 where missing, and whether they are there; both (N, A) float64."""
    there = ~np.isnan(labels)
    return torch.from_numpy(np.nan_to_num(labels).astype(np.float64)), torch.from_numpy(there.astype(np.float64))


def _log_likelihood(known: Tensor, there: Tensor, visible: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
    """(N,): every state of the hidden units makes the labels independent, so that missing ones are summed out apart."""
    count = len(hidden)
    states = ((torch.arange(2**count)[:, None] >> torch.arange(count)) & 1).to(weight)
    fields = visible + states @ weight.T
    missing = softplus(fields)
    own = states @ hidden
    joint = torch.logsumexp(own + known @ fields.T + (1 - there) @ missing.T, dim=1)
    return joint - torch.logsumexp(own + missing.sum(1), dim=0)
