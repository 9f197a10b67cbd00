"""Small pieces of geometry: curves through control points, soft steps, bell shapes."""

from __future__ import annotations

import torch
from torch import Tensor


def graph_curve(x: Tensor, knots_x: Tensor, knots_y: Tensor) -> Tensor:
    """A smooth curve y(x) through control points: cubic Hermite with finite-difference slopes.

    Args:
        x: (..., N) places, the same leading shape as the knots or broadcastable to it.
        knots_x: (..., K) strictly ascending, K >= 2.
        knots_y: (..., K).

    Returns:
        (..., N) heights; constant before the first and after the last knot.
    """
    shape = (x[..., 0] + knots_x[..., 0] + knots_y[..., 0]).shape
    x = x.expand(*shape, x.shape[-1])
    knots_x = knots_x.expand(*shape, knots_x.shape[-1]).contiguous()
    knots_y = knots_y.expand(*shape, knots_y.shape[-1])
    x = torch.minimum(torch.maximum(x, knots_x[..., :1]), knots_x[..., -1:]).contiguous()
    secants = (knots_y[..., 1:] - knots_y[..., :-1]) / (knots_x[..., 1:] - knots_x[..., :-1])
    inner = (knots_y[..., 2:] - knots_y[..., :-2]) / (knots_x[..., 2:] - knots_x[..., :-2])
    slopes = torch.cat([secants[..., :1], inner, secants[..., -1:]], dim=-1)
    left = (torch.searchsorted(knots_x, x, right=True) - 1).clamp(0, knots_x.shape[-1] - 2)
    x0, x1 = knots_x.gather(-1, left), knots_x.gather(-1, left + 1)
    y0, y1 = knots_y.gather(-1, left), knots_y.gather(-1, left + 1)
    width = x1 - x0
    t = (x - x0) / width
    m0, m1 = slopes.gather(-1, left) * width, slopes.gather(-1, left + 1) * width
    t2, t3 = t * t, t * t * t
    return y0 + m0 * (t - 2 * t2 + t3) + (y1 - y0) * (3 * t2 - 2 * t3) + m1 * (t3 - t2)


def bell(x: Tensor, width: Tensor | float) -> Tensor:
    """exp(-(x / width)^2)."""
    return torch.exp(-((x / width) ** 2))


def edge(distance: Tensor, softness: Tensor | float) -> Tensor:
    """An anti-aliased step: 0 outside (negative distance), 1 inside, over `softness` units."""
    return (distance / softness + 0.5).clamp(0.0, 1.0)


def smooth_step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high` (which may be the smaller one), smooth between."""
    t = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
