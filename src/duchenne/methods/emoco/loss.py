"""The two losses of EmoCo (Sun et al., FG 2021, Eqs. 2, 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.info_nce import nce_of_logits
from duchenne.losses.precision import at_least_float32

Normalisation = Literal["intra_class", "l2"]
_NEAREST: Final = 1e-3
"""Smallest distance from a prototype that is divided by: an embedding that reaches it has no direction from there."""


@at_least_float32
def emotion_loss(query: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the emotion, with neither bias nor temperature (Eq. 2).

    Args:
        query: (B, D) rows of unit length.
        weight: (C, D) of the classifier, any length.
        labels: (B,) int64 classes.

    Returns:
        () mean over the batch.
    """
    return functional.cross_entropy(query @ weight.T, labels)


def emotion_contrastive_loss(
    query: Tensor,
    key: Tensor,
    queues: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.2,
    normalisation: Normalisation = "intra_class",
    valid: Tensor | None = None,
    detach_prototypes: bool = True,
) -> Tensor:
    """The other view of a face against earlier faces of the same emotion, seen from its prototype (Eqs. 4 and 5).

    Only queries have a gradient, and prototypes where asked for; keys and queues never.

    Args:
        query: (B, D) rows of unit length.
        key: (B, D) rows of unit length, the positives.
        queues: (C, K, D) rows of unit length, not shifted; the negatives of a query are all rows of its class.
        weight: (C, D) of the emotion classifier; scaled to unit length, its rows are the prototypes.
        labels: (B,) int64 classes.
        temperature: above 0.
        normalisation: `intra_class`: every row less the prototype of the query's class, scaled to unit length; `l2`: as
            they are.
        valid: which negatives count, of each class (C, K) or of each query (B, K); (C, K) where B equals C.
        detach_prototypes: whether the classifier learns from the emotion loss alone.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes do not fit.
    """
    by_class = by_query = None
    if valid is not None:
        if valid.shape == queues.shape[:2]:
            by_class = valid
        elif valid.shape == (len(query), queues.shape[1]):
            by_query = valid
        else:
            raise ValueError(f"need valid (C, K) or (B, K), not {tuple(valid.shape)}")
    rows = contrastive_rows(
        query, key, queues.unbind(), weight, labels, temperature=temperature, normalisation=normalisation,
        by_class=by_class, by_query=by_query, detach_prototypes=detach_prototypes,
    )  # fmt: skip
    return rows.mean()


@at_least_float32
def contrastive_rows(
    query: Tensor,
    key: Tensor,
    queues: Sequence[Tensor],
    weight: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.2,
    normalisation: Normalisation = "intra_class",
    by_class: Tensor | None = None,
    by_query: Tensor | None = None,
    detach_prototypes: bool = True,
) -> Tensor:
    """The loss of each query before the mean, see `emotion_contrastive_loss`; negatives may be masked both ways.

    The negatives of all queries of one class are scored by one matrix product. With unit n = N(q) from the prototype w,
    <n, N(k)> = (n.k - n.w) / |k - w| and |k - w|^2 = |k|^2 - 2 k.w + |w|^2, so no shifted copy of a queue is made.

    Args:
        query: (B, D).
        key: (B, D).
        queues: C of (K, D), in any precision.
        weight: (C, D).
        labels: (B,).
        temperature: above 0.
        normalisation: see there.
        by_class: (C, K) bool, True where a negative counts.
        by_query: (B, K) bool, likewise.
        detach_prototypes: see there.

    Returns:
        (B,).

    Raises:
        ValueError: when the shapes or the name of the normalisation do not fit.
    """
    if query.ndim != 2 or key.shape != query.shape or labels.shape != query.shape[:1]:
        raise ValueError("need query and key (B, D) and labels (B,)")
    if len(queues) != len(weight) or any(queue.shape[1:] != query.shape[1:] for queue in queues):
        raise ValueError("need a queue (K, D) for every row of weight (C, D)")
    if normalisation not in ("intra_class", "l2"):
        raise ValueError(f"there is no normalisation {normalisation!r}; choose 'intra_class' or 'l2'")
    key = key.detach()
    prototypes = functional.normalize(weight.detach() if detach_prototypes else weight, dim=1)
    losses, places = [], []
    for number in torch.unique(labels).tolist():
        rows = (labels == number).nonzero()[:, 0]
        queue, prototype = queues[number].detach().to(query.dtype), prototypes[number]
        if normalisation == "intra_class":
            from_prototype = _centred(query[rows], prototype)
            scaled = from_prototype / temperature
            positive = (scaled * _centred(key[rows], prototype)).sum(1)
            negative = (scaled @ queue.T - (scaled @ prototype)[:, None]) / _distance(queue, prototype)
        else:
            scaled = query[rows] / temperature
            positive, negative = (scaled * key[rows]).sum(1), scaled @ queue.T
        for mask in (None if by_class is None else by_class[number], None if by_query is None else by_query[rows]):
            if mask is not None:
                negative = negative.masked_fill(~mask, torch.finfo(negative.dtype).min / 2)
        losses.append(nce_of_logits(positive, negative))
        places.append(rows)
    return torch.cat(losses)[torch.argsort(torch.cat(places))]


def _centred(rows: Tensor, prototype: Tensor) -> Tensor:
    """N(.) of Eq. 4: (B, D) as seen from a prototype (D,), unit length."""
    return functional.normalize(rows - prototype, dim=1, eps=_NEAREST)


def _distance(rows: Tensor, prototype: Tensor) -> Tensor:
    """(K,) distance of rows (K, D) from a prototype (D,), without a shifted copy of the rows."""
    length = torch.linalg.vector_norm(rows, dim=1)
    squared = length.square() - 2 * (rows @ prototype) + prototype.square().sum()
    return torch.sqrt(squared.clamp_min(_NEAREST**2))
