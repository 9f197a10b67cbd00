"""Many weighted logistic regressions on one feature matrix, fitted together.

A linear protocol is (folds x AUs x L2 candidates) small convex problems that read the same features. Here they are
columns of one matrix: each step costs two matrix products for all of them. L-BFGS runs on every column with its own
step size and history; it starts from the inverse of Boehning's bound of the Hessian (a quarter of the features'
second moment, plus L2), which one eigendecomposition gives for every column and every L2.

Source: Boehning, Multinomial logistic regression algorithm, 1992 (the bound); Nocedal & Wright, Numerical
Optimization, 2006, chapter 7 (L-BFGS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

CHUNK_ROWS: Final = 4096
MOMENT_ROWS: Final = 32768
LARGEST_EIGEN: Final = 4096
HISTORY: Final = 10
ARMIJO: Final = 1e-4


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

    def __call__(self, point: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """`point` (D+1, H'): weights and, last, the bias, of `heads` (H',). Returns (H',) and (D+1, H')."""
        columns = self.problems.column[heads]
        value = torch.zeros(len(heads), dtype=torch.float64, device=point.device)
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
            residual = total * torch.sigmoid(score) - positive
            value.index_add_(0, here, loss.sum(dim=0).double())
            gradient[:-1].index_add_(1, here, rows.T @ residual)
            gradient[-1].index_add_(0, here, residual.sum(dim=0))
        scale = self.problems.scale if self.problems.scale.shape[1] == 1 else self.problems.scale[:, heads]
        l2 = self.problems.l2[heads].to(point.dtype)
        gradient[:-1] += l2 * scale.square() * point[:-1]
        value += (0.5 * l2 * (scale * point[:-1]).square().sum(dim=0)).double()
        return value, gradient


class Curvature:
    """The second moment of the features, decomposed once for every fit on them.

    Its inverse, with l2 added, preconditions gradients: (moment / 4 + l2)^-1 bounds the inverse Hessian.

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
            values = values[kept]
            self.basis = sample.T @ (left[:, kept] / (values * len(sample)).sqrt())
        self.values = values.clamp(min=0.0)

    def solve(self, gradient: Tensor, l2: Tensor) -> Tensor:
        """(D+1, H) gradients, last row the bias's, times the inverse for each head's l2 (H,)."""
        floor = l2.to(gradient.dtype).clamp(min=float(0.25e-6 * self.values.max()))
        inverse = 1.0 / (0.25 * self.values[:, None] + floor)
        out = torch.empty_like(gradient)
        if self.basis is None:
            out[:-1] = gradient[:-1] * inverse
        elif self.basis.shape[0] == self.basis.shape[1]:
            out[:-1] = self.basis @ (inverse * (self.basis.T @ gradient[:-1]))
        else:
            out[:-1] = gradient[:-1] / floor + self.basis @ ((inverse - 1.0 / floor) * (self.basis.T @ gradient[:-1]))
        out[-1] = 4.0 * gradient[-1]
        return out


def fit_heads(
    features: Tensor,
    problems: Problems,
    *,
    curvature: Curvature | None = None,
    start: Tensor | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
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
    objective, bound = _Objective(features, problems), curvature or Curvature(features)
    loss = torch.zeros(count, dtype=torch.float64, device=features.device)
    gap = torch.zeros(count, device=features.device)
    finished = torch.zeros(count, dtype=torch.bool, device=features.device)

    heads = torch.arange(count, device=features.device)
    value, gradient = objective(point, heads)
    memory: list[tuple[Tensor, Tensor, Tensor]] = []
    iteration = 0
    while True:
        step = -_two_loops(gradient, problems.l2[heads], memory, bound)
        slope = (step * gradient).sum(dim=0)
        here_gap = -0.5 * slope
        loss[heads], gap[heads] = value, here_gap
        done = here_gap <= tolerance
        finished[heads] = done
        if bool(done.any()):
            keep = (~done).nonzero().squeeze(1)
            heads, value, gradient, step, slope = (
                heads[keep],
                value[keep],
                gradient[:, keep],
                step[:, keep],
                slope[keep],
            )
            memory = [(s[:, keep], y[:, keep], rho[keep]) for s, y, rho in memory]
        if not len(heads) or iteration == max_iterations:
            break
        iteration += 1
        new_value, new_gradient, taken = _search(objective, point, step, heads, value, gradient, slope)
        change = new_gradient - gradient
        bend = (taken * change).sum(dim=0)
        rho = torch.where(bend > 1e-12, 1.0 / bend.clamp(min=1e-12), torch.zeros_like(bend))
        memory = [*memory[-(HISTORY - 1) :], (taken, change, rho)]
        point[:, heads] += taken
        stuck = (taken == 0).all(dim=0)
        value, gradient = new_value, new_gradient
        if bool(stuck.any()):  # no step lowers the float32 objective: as far as this precision goes
            loss[heads], keep = value, (~stuck).nonzero().squeeze(1)
            heads, value, gradient = heads[keep], value[keep], gradient[:, keep]
            memory = [(s[:, keep], y[:, keep], r[keep]) for s, y, r in memory]
            if not len(heads):
                break
    return Fitted(point[:-1], point[-1], loss.float(), gap, iteration, finished)


def _two_loops(gradient: Tensor, l2: Tensor, memory: list[tuple[Tensor, Tensor, Tensor]], bound: Curvature) -> Tensor:
    """The L-BFGS estimate of (inverse Hessian) x gradient, for every head at once."""
    direction, factors = gradient, []
    for s, y, rho in reversed(memory):
        alpha = rho * (s * direction).sum(dim=0)
        direction = direction - alpha * y
        factors.append(alpha)
    direction = bound.solve(direction, l2)
    if memory:
        s, y, rho = memory[-1]
        scale = (s * y).sum(dim=0) / (y * bound.solve(y, l2)).sum(dim=0).clamp(min=1e-30)
        direction = direction * torch.where(rho > 0, scale, torch.ones_like(scale))
    for (s, y, rho), alpha in zip(memory, reversed(factors)):
        direction = direction + (alpha - rho * (y * direction).sum(dim=0)) * s
    return direction


def _search(
    objective: _Objective,
    point: Tensor,
    step: Tensor,
    heads: Tensor,
    value: Tensor,
    gradient: Tensor,
    slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtracking, each head with its own step size; a head that cannot be lowered keeps its place."""
    taken, size = step, torch.ones_like(slope)
    new_value, new_gradient = objective(point[:, heads] + step, heads)
    for _ in range(12):
        allowed = value + ARMIJO * (size * slope).double() + 1e-7 * value.abs()  # the last: float32 rounding
        failed = (~(new_value <= allowed)).nonzero().squeeze(1)
        if not len(failed):
            return new_value, new_gradient, taken
        size[failed] *= 0.5
        taken = step * size
        again_value, again_gradient = objective(point[:, heads[failed]] + taken[:, failed], heads[failed])
        new_value[failed], new_gradient[:, failed] = again_value, again_gradient
    failed = (~(new_value <= value)).nonzero().squeeze(1)
    taken[:, failed] = 0.0
    new_value[failed], new_gradient[:, failed] = value[failed], gradient[:, failed]
    return new_value, new_gradient, taken
