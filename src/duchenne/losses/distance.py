"""Distances between rows, with finite gradients where rows are identical."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distance = Literal["sqeuclidean", "euclidean"]


def row_distance(x: Tensor, y: Tensor, distance: Distance) -> Tensor:
    """Distance along the last dimension.

    Args:
        x: (..., D).
        y: (..., D), broadcast against `x`.
        distance: squared Euclidean, or its root. The root's gradient at distance 0 is taken as 0.

    Returns:
        (...), at least 0.

    Raises:
        ValueError: for another name.
    """
    squared = (x - y).square().sum(-1)
    if distance == "sqeuclidean":
        return squared
    if distance == "euclidean":
        apart = squared > 0
        return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    raise ValueError(f"there is no distance {distance!r}; choose 'sqeuclidean' or 'euclidean'")
