"""Losses of what is put together again: a face's embedding from those of other people, a picture from another one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.info_nce import nce_of_logits
from duchenne.losses.precision import at_least_float32


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


@at_least_float32
def reconstruction_loss(made: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each picture: (B, 3, H, W) twice -> (B,).

    Raises:
        ValueError: when the shapes differ.
    """
    if made.shape != target.shape or made.ndim != 4:
        raise ValueError("need two batches of pictures of one shape (B, 3, H, W)")
    return (made - target).abs().flatten(1).mean(1)
