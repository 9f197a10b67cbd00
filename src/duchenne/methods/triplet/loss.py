"""The triplet loss (as in Lu, Tavabi & Soleymani, BMVC 2020, section 3)."""

from __future__ import annotations

from torch import Tensor

from duchenne.losses.distance import Distance, row_distance
from duchenne.losses.precision import at_least_float32


@at_least_float32
def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 0.03, distance: Distance = "sqeuclidean"
) -> Tensor:
    """max(0, d(positive, anchor) - d(negative, anchor) + margin), averaged over the batch.

    Args:
        anchor: (B, D) rows of unit length.
        positive: (B, D) rows of unit length.
        negative: (B, D) rows of unit length.
        margin: at least 0.
        distance: `sqeuclidean` or `euclidean`.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes differ.
    """
    if not anchor.shape == positive.shape == negative.shape or anchor.ndim != 2:
        raise ValueError("need anchor, positive and negative of one shape (B, D)")
    near, far = row_distance(positive, anchor, distance), row_distance(negative, anchor, distance)
    return (near - far + margin).clamp_min(0).mean()
