"""Many weighted logistic regressions on one feature matrix, fitted together.

A linear protocol is (folds x AUs x L2 candidates) small convex problems that read the same features. Here they are
columns of one matrix: each step costs two matrix products for all of them. L-BFGS runs on every column with its own
step size and history; each step starts from the inverse of (c times the features' second moment, plus L2), where c is
the column's mean of p (1 - p): one eigendecomposition gives it for every column, every L2 and every c.

Source: Nocedal & Wright, Numerical Optimization, 2006, chapter 7 (L-BFGS); Boehning, Multinomial logistic regression
algorithm, 1992 (a multiple of the second moment in place of the Hessian).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

CHUNK_ROWS: Final = 4096
MOMENT_ROWS: Final = 32768
LARGEST_EIGEN: Final = 4096
HISTORY: Final = 10
ARMIJO: Final = 1e-4
SMALLEST_BEND: Final = 1e-4


@dataclass(frozen=True)
class Problems:
    """The regressions to fit.

    Attributes:
        positive: (N, C) float32, weight of each row as a positive example of column c; 0 where it is none.
        negative: (N, C) float32, the same as a negative example. Each column's weights should sum to about 1.
        column: (H,) int64, which column of the two each head fits; several heads may share one.
        l2: (H,) strength of the penalty l2/2 * sum over features of (scale * weight)^2; the bias is free.
        scale: (D, H) or (D, 1) float32, see `l2`: the features' standard deviation in the head's training rows makes
            the penalty that of standardised features.
    """

    positive: Tensor
    negative: Tensor
    column: Tensor
    l2: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Fitted:
    """The result of `fit_heads`.

    Attributes:
        weight: (D, H) float32.
        bias: (H,) float32.
        loss: (H,) float32, the objective at the end.
        gap: (H,) float32, the estimate of how far the objective still is above its minimum.
        iterations: how many steps the slowest head took.
        converged: (H,) whether `gap` reached the tolerance.
    """

    weight: Tensor
    bias: Tensor
    loss: Tensor
    gap: Tensor
    iterations: int
    converged: Tensor


class _State(NamedTuple):
    """A point of some heads H' and what the objective is there.

    Attributes:
        value: (H',) float64.
        gradient: (D+1, H'), the bias's last.
        bend: (H',) the weighted mean of p (1 - p).
    """

    value: Tensor
    gradient: Tensor
    bend: Tensor

    def keep(self, heads: Tensor) -> _State:
        """Only these of the heads."""
        return _State(self.value[heads], self.gradient[:, heads], self.bend[heads])

    def put(self, heads: Tensor, other: _State) -> None:
        """Replaces these heads."""
        self.value[heads], self.gradient[:, heads], self.bend[heads] = other


class _Objective:
    """Value and gradient of any subset of heads, in chunks of rows so that no (N, H) matrix is ever held."""

    def __init__(self, features: Tensor, problems: Problems) -> None:
        self.features, self.problems = features, problems
        total = problems.positive + problems.negative
        self._total = total
        starts = range(0, len(features), CHUNK_ROWS)
        self._chunks = [slice(start, min(start + CHUNK_ROWS, len(features))) for start in starts]
        # Rows that a head does not train on cost nothing where a whole chunk of them lies together.
        self._live = [(total[chunk] != 0).any(dim=0) for chunk in self._chunks]

    def __call__(self, point: Tensor, heads: Tensor) -> _State:
        """`point` (D+1, H'): weights and, last, the bias, of `heads` (H',)."""
        columns = self.problems.column[heads]
        value = torch.zeros(len(heads), dtype=torch.float64, device=point.device)
        bend = torch.zeros(len(heads), device=point.device)
        gradient = torch.zeros_like(point)
        for chunk, live in zip(self._chunks, self._live):
            here = live[columns].nonzero().squeeze(1)
            if not len(here):
                continue
            everyone = len(here) == len(heads)
            chosen = columns if everyone else columns[here]
            weights = point if everyone else point[:, here]
            rows = self.features[chunk]
            score = torch.addmm(weights[-1], rows, weights[:-1])
            total, positive = self._total[chunk][:, chosen], self.problems.positive[chunk][:, chosen]
            loss = total * torch.nn.functional.softplus(score) - positive * score
            probability = torch.sigmoid(score)
            expected = total * probability
            residual = expected - positive
            value.index_add_(0, here, loss.sum(dim=0).double())
            bend.index_add_(0, here, (expected - expected * probability).sum(dim=0))
            gradient[:-1].index_add_(1, here, rows.T @ residual)
            gradient[-1].index_add_(0, here, residual.sum(dim=0))
        scale = self.problems.scale if self.problems.scale.shape[1] == 1 else self.problems.scale[:, heads]
        l2 = self.problems.l2[heads].to(point.dtype)
        gradient[:-1] += l2 * scale.square() * point[:-1]
        value += (0.5 * l2 * (scale * point[:-1]).square().sum(dim=0)).double()
        return _State(value, gradient, bend)


class Curvature:
    """The second moment of the features, decomposed once for every fit on them; it preconditions gradients.

    Args:
        features: (N, D) as `fit_heads` takes them.
    """

    def __init__(self, features: Tensor) -> None:
        rows, width = features.shape
        self.basis: Tensor | None = None
        if min(rows, width) > LARGEST_EIGEN:  # too large to decompose: the diagonal alone
            self.values = features.square().mean(dim=0)
            return
        sample = features[:: -(-rows // MOMENT_ROWS)]
        if width <= len(sample):
            values, self.basis = torch.linalg.eigh(sample.T @ sample / len(sample))
        else:  # fewer rows than features: the same from their products, which span all there is
            values, left = torch.linalg.eigh(sample @ sample.T / len(sample))
            kept = values > 1e-6 * values[-1]
            if not kept.any():  # features that do not vary
                self.values = features.new_zeros(width)
                return
            values = values[kept]
            self.basis = sample.T @ (left[:, kept] / (values * len(sample)).sqrt())
        self.values = values.clamp(min=0.0)

    def solve(self, gradient: Tensor, l2: Tensor, bend: Tensor) -> Tensor:
        """(D+1, H) gradients, last row the bias's, times (bend * moment + l2)^-1 for each head's l2 and bend (H,)."""
        bend = bend.clamp(min=SMALLEST_BEND)
        floor = torch.maximum(l2.to(gradient.dtype), 1e-6 * bend * self.values.max())
        inverse = 1.0 / (bend * self.values[:, None] + floor)
        out = torch.empty_like(gradient)
        if self.basis is None:
            out[:-1] = gradient[:-1] * inverse
        elif self.basis.shape[0] == self.basis.shape[1]:
            out[:-1] = self.basis @ (inverse * (self.basis.T @ gradient[:-1]))
        else:
            out[:-1] = gradient[:-1] / floor + self.basis @ ((inverse - 1.0 / floor) * (self.basis.T @ gradient[:-1]))
        out[-1] = gradient[-1] / bend
        return out


Pair = tuple[Tensor, Tensor, Tensor]
"""One step of each head, the change of gradient that it brought, and 1 over their product (0: unusable)."""


def fit_heads(
    features: Tensor,
    problems: Problems,
    *,
    curvature: Curvature | None = None,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 500,
) -> Fitted:
    """Fits every head to its own optimum.

    Args:
        features: (N, D) float32, roughly centred and scaled (the caller standardises; see `linear.py`).
        problems: what to fit. A head whose column has no weight at all stays at zero.
        curvature: of the features, to decompose them only once for several fits.
        start: (D+1, H) weights and biases to start from; zeros by default.
        tolerance: a head is done when half its gradient times its next step, which estimates how far the
            objective (a weighted mean of log losses) lies above the minimum, is below this.
        max_iterations: of L-BFGS; heads that need more are reported as not converged.

    Returns:
        Weights, biases and how well they converged.
    """
    count = len(problems.column)
    point = torch.zeros(features.shape[1] + 1, count, device=features.device) if start is None else start.clone()
    objective, moment = _Objective(features, problems), curvature or Curvature(features)
    loss = torch.zeros(count, dtype=torch.float64, device=features.device)
    gap = torch.zeros(count, device=features.device)

    heads = torch.arange(count, device=features.device)
    state, memory, iteration = objective(point, heads), list[Pair](), 0
    while len(heads):
        step = -_two_loops(state, problems.l2[heads], memory, moment)
        slope = (step * state.gradient).sum(dim=0)
        loss[heads], gap[heads] = state.value, -0.5 * slope
        going = (gap[heads] > tolerance).nonzero().squeeze(1)
        if not len(going) or iteration == max_iterations:
            break
        if len(going) < len(heads):
            heads, state, memory = heads[going], state.keep(going), _keep(memory, going)
            step, slope = step[:, going], slope[going]
        iteration += 1
        new, taken = _search(objective, point, step, heads, state, slope)
        change = new.gradient - state.gradient
        product = (taken * change).sum(dim=0)
        usable = torch.where(product > 1e-12, 1.0 / product.clamp(min=1e-12), torch.zeros_like(product))
        memory = [*memory[-(HISTORY - 1) :], (taken, change, usable)]
        point[:, heads] += taken
        state = new
        moved = (taken != 0).any(dim=0).nonzero().squeeze(1)  # the others: as far as float32 can tell
        if len(moved) < len(heads):
            heads, state, memory = heads[moved], state.keep(moved), _keep(memory, moved)
    return Fitted(point[:-1], point[-1], loss.float(), gap, iteration, gap <= tolerance)


def _keep(memory: list[Pair], heads: Tensor) -> list[Pair]:
    return [(s[:, heads], y[:, heads], rho[heads]) for s, y, rho in memory]


def _two_loops(state: _State, l2: Tensor, memory: list[Pair], moment: Curvature) -> Tensor:
    """The L-BFGS estimate of (inverse Hessian) x gradient, for every head at once."""
    direction, factors = state.gradient, []
    for s, y, rho in reversed(memory):
        alpha = rho * (s * direction).sum(dim=0)
        direction = direction - alpha * y
        factors.append(alpha)
    direction = moment.solve(direction, l2, state.bend)
    if memory:
        s, y, rho = memory[-1]
        scale = (s * y).sum(dim=0) / (y * moment.solve(y, l2, state.bend)).sum(dim=0).clamp(min=1e-30)
        direction = direction * torch.where(rho > 0, scale, torch.ones_like(scale))
    for (s, y, rho), alpha in zip(memory, reversed(factors)):
        direction = direction + (alpha - rho * (y * direction).sum(dim=0)) * s
    return direction


def _search(
    objective: _Objective, point: Tensor, step: Tensor, heads: Tensor, state: _State, slope: Tensor
) -> tuple[_State, Tensor]:
    """Backtracking, each head with its own step size; a head that cannot be lowered keeps its place."""
    taken, size = step, torch.ones_like(slope)
    new = objective(point[:, heads] + step, heads)
    for _ in range(12):
        allowed = state.value + ARMIJO * (size * slope).double() + 1e-7 * state.value.abs()  # the last: rounding
        failed = (~(new.value <= allowed)).nonzero().squeeze(1)
        if not len(failed):
            return new, taken
        size[failed] *= 0.5
        taken = step * size
        new.put(failed, objective(point[:, heads[failed]] + taken[:, failed], heads[failed]))
    failed = (~(new.value <= state.value)).nonzero().squeeze(1)
    taken[:, failed] = 0.0
    new.put(failed, state.keep(failed))
    return new, taken
