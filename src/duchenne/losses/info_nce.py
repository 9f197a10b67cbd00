"""InfoNCE: one positive against many negatives (van den Oord et al., 2018; He et al., MoCo, CVPR 2020, Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32


@at_least_float32
def info_nce_loss(query: Tensor, key: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """-log( e^{q.k/t} / (e^{q.k/t} + sum over the negatives of e^{q.n/t}) ), averaged over the batch.

    Args:
        query: (B, D) rows of unit length.
        key: (B, D) rows of unit length, the positives.
        negatives: (K, D) rows of unit length, shared by all queries.
        temperature: t, above 0.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes do not fit.
    """
    if query.ndim != 2 or key.shape != query.shape or negatives.ndim != 2 or negatives.shape[1] != query.shape[1]:
        raise ValueError("need query and key (B, D) and negatives (K, D)")
    scaled = query / temperature
    return nce_of_logits((scaled * key).sum(1), scaled @ negatives.T).mean()


def nce_of_logits(positive: Tensor, negative: Tensor) -> Tensor:
    """(B,) of -log(e^p / (e^p + sum e^n)), for the logits p (B,) and n (B, K)."""
    return -functional.logsigmoid(positive - torch.logsumexp(negative, dim=1))
