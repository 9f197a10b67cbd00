"""The losses of CLP (Eqs. 1 to 4): temporal contrast within a clip, and reconstruction from other people's faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

from torch import Tensor

from duchenne.losses.distance import Distance, row_distance
from duchenne.losses.precision import at_least_float32
from duchenne.losses.reconstruction import cross_identity_reconstruction_loss

Weighting = Literal["inverse_sqrt", "uniform", "inverse", "exponential"]
_WEIGHTS: Final[dict[str, Callable[[int], float]]] = {
    "inverse_sqrt": lambda j: 1 / math.sqrt(j),
    "uniform": lambda j: 1.0,
    "inverse": lambda j: 1 / j,
    "exponential": lambda j: math.exp(-j),
}


@at_least_float32
def temporal_contrastive_loss(
    clip: Tensor,
    *,
    margin: float = 0.03,
    weighting: Weighting = "inverse_sqrt",
    offset: int = 0,
    distance: Distance = "euclidean",
) -> Tensor:
    """The further from the first frame in time, the further in the embedding; then the same from the last frame.

    Eq. 1: sum over j = 2..J-1 of lambda_j max(0, D(f_1, f_j) - D(f_1, f_{j+1}) + margin), for the clip and the reversed
    clip, averaged over the batch. Embeddings that are all equal give 2 margin sum(lambda), 0.202 with the defaults and
    J = 9.

    Args:
        clip: (B, J, D) rows of unit length, in order of time; J at least 3.
        margin: at least 0.
        weighting: lambda_j = 1/sqrt(j), 1, 1/j or exp(-j).
        offset: added to j in lambda_j; -1 numbers the triplets from 1.
        distance: `euclidean` as in the paper, or `sqeuclidean`.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shape, the weighting or the offset does not fit.
    """
    if clip.ndim != 3 or clip.shape[1] < 3:
        raise ValueError(f"need clips (B, J, D) of at least 3 frames, not {tuple(clip.shape)}")
    if weighting not in _WEIGHTS:
        raise ValueError(f"there is no weighting {weighting!r}; choose one of {', '.join(_WEIGHTS)}")
    if offset < -1:
        raise ValueError("offset must be at least -1, so that the first weight is that of j = 1")
    weights = clip.new_tensor([_WEIGHTS[weighting](j + offset) for j in range(2, clip.shape[1])])
    total = clip.new_zeros(())
    for frames in (clip, clip.flip(1)):
        distances = row_distance(frames[:, 1:], frames[:, :1], distance)
        hinge = (distances[:, :-1] - distances[:, 1:] + margin).clamp_min(0)
        total = total + (hinge * weights).sum(1).mean()
    return total


__all__ = ["cross_identity_reconstruction_loss", "temporal_contrastive_loss"]
