"""The losses of CLP (Eqs. 1 to 4): temporal contrast within a clip, and reconstruction from other people's faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.distance import Distance, row_distance
from duchenne.losses.info_nce import nce_of_logits
from duchenne.losses.precision import at_least_float32

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


@at_least_float32
def cross_identity_reconstruction_loss(
    query: Tensor,
    key: Tensor,
    support: Tensor,
    negatives: Tensor,
    *,
    temperature: float = 0.07,
    same_identity: Tensor | None = None,
    same_identity_negatives: Tensor | None = None,
) -> Tensor:
    """A face's embedding, put together from those of other people, should still be the one of that very face.

    Eqs. 2 and 3: a = softmax over the support of cos(query, support) / t, and the reconstruction is a @ support.
    Eq. 4: InfoNCE of the reconstruction with its key against the negatives, on cosines.
    The gradient reaches the query alone, and only through the attention weights a.

    Support and negatives are read where they lie, so two views of one memory cost no copy of it. Cosines divide by the
    lengths of all rows; the reconstruction sums the support's rows as they are.

    Args:
        query: (B, D).
        key: (B, D), from the momentum encoder, of another view of the same frames.
        support: (S, D).
        negatives: (M, D).
        temperature: t of both softmaxes, above 0. The paper states none; 0.07 as in CVC, whose loss this is but for
            the positive.
        same_identity: (B, S) True where a support row shows the query's person: its attention is 0. A query without
            any other row adds 0 to the loss.
        same_identity_negatives: (B, M) True for negatives to leave out.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes do not fit.
    """
    if query.ndim != 2 or key.shape != query.shape:
        raise ValueError("need query and key (B, D)")
    for rows, masked in ((support, same_identity), (negatives, same_identity_negatives)):
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != query.shape[1]:
            raise ValueError("need support (S, D) and negatives (M, D), each with at least one row")
        if masked is not None and masked.shape != (len(query), len(rows)):
            raise ValueError("need same_identity (B, S) and same_identity_negatives (B, M)")
    support, negatives, key = support.detach(), negatives.detach(), key.detach()
    attention = _cosines(query, support, temperature, same_identity).softmax(dim=1)
    reconstruction = attention @ support
    positive = functional.cosine_similarity(reconstruction, key, dim=1) / temperature
    losses = nce_of_logits(positive, _cosines(reconstruction, negatives, temperature, same_identity_negatives))
    if same_identity is not None:
        losses = torch.where(same_identity.all(dim=1), 0.0, losses)
    return losses.mean()


def _cosines(x: Tensor, rows: Tensor, temperature: float, masked: Tensor | None) -> Tensor:
    """(B, D) with (K, D) -> (B, K) cosines / temperature; very low, but finite, where masked."""
    cosines = (functional.normalize(x, dim=1) / temperature) @ rows.T
    cosines.mul_(torch.linalg.vector_norm(rows, dim=1).clamp_min(1e-12).reciprocal())
    return cosines if masked is None else cosines.masked_fill_(masked, torch.finfo(x.dtype).min / 2)
