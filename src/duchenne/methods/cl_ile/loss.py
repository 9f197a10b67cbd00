"""The losses of CL-ILE (Lian et al., BMVC 2023, Eq. 1, 4 and 5). Cosines are computed inside: all rows may be raw."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32

Direction = Literal["by_subject", "as_printed"]


@at_least_float32
def identity_label_loss(label_embeddings: Tensor, *, direction: Direction = "by_subject") -> Tensor:
    """Gathers the embeddings of one subject and parts those of one action unit of different subjects.

    Of rows of length 1 let S be the sum over i, j of |cos(e_ij, mean over j' of e_ij')|, the likeness to the subject's
    mean, and A that of |cos(e_ij, mean over i' of e_i'j)|, the likeness to the action unit's mean. The loss is
    log(A / S) for `by_subject`.

    Args:
        label_embeddings: (N, C, D) one row per subject and action unit, raw.
        direction: `as_printed` gives log(S / A), the paper's Eq. 1.

    Returns:
        ().

    Raises:
        ValueError: when the shape does not fit or there is no such direction.

    Differs: minimising Eq. 1 as printed parts the embeddings of a subject, the opposite of the paper's text and of its
    Fig. 3; its inverse is the default.
    """
    if label_embeddings.ndim != 3 or not label_embeddings.numel():
        raise ValueError(f"need label embeddings (N, C, D), not {tuple(label_embeddings.shape)}")
    if direction not in ("by_subject", "as_printed"):
        raise ValueError(f"there is no direction {direction!r}; choose 'by_subject' or 'as_printed'")
    by_subject, by_label = label_likeness(label_embeddings)
    ratio = by_label.sum().log() - by_subject.sum().log()
    return ratio if direction == "by_subject" else -ratio


@at_least_float32
def label_likeness(label_embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Both (N, C): |cos| of every identity-label embedding (N, C, D) with its subject's mean, and its action unit's."""
    rows = functional.normalize(label_embeddings, dim=-1)
    return (_cosine(rows, rows.mean(1, keepdim=True)).abs(), _cosine(rows, rows.mean(0, keepdim=True)).abs())


@at_least_float32
def orthogonality_loss(identity: Tensor, general: Tensor, *, eps: float = 1e-4) -> Tensor:
    """log(|cos(identity, general)| + eps), averaged over the batch (Eq. 4).

    Args:
        identity: (B, D) features of the identity encoder.
        general: (B, D) features of the general encoder.
        eps: above 0.

    Returns:
        (); between log(eps) and about 0.

    Raises:
        ValueError: when the shapes differ.

    Differs: without eps, as printed, the loss has no lower bound. Its gradient is zero where both rows point the same
    way, as those of an exact copy do.
    """
    if identity.shape != general.shape or identity.ndim != 2:
        raise ValueError("need identity and general features of one shape (B, D)")
    return (_cosine(identity, general).abs() + eps).log().mean()


@at_least_float32
def label_contrastive_loss(
    features: Tensor, label_embeddings: Tensor, labels: Tensor, *, temperature: float = 2.0
) -> Tensor:
    """A frame's features should be nearer to the embeddings of the action units it shows than to the others (Eq. 5).

    -log of the softmax over action units of cos(f, e_c) / temperature, averaged over those that a frame shows, then
    over the batch.

    Args:
        features: (B, D).
        label_embeddings: (C, D).
        labels: (B, C); 1 present, 0 absent, -1 unknown. Unknown ones take no part in the softmax.
        temperature: above 0.

    Returns:
        () mean over all frames; one that shows nothing adds 0.

    Raises:
        ValueError: when the shapes do not fit.
    """
    shape = (len(features), len(label_embeddings))
    if features.ndim != 2 or label_embeddings.shape[1:] != features.shape[1:] or labels.shape != shape:
        raise ValueError("need features (B, D), label embeddings (C, D) and labels (B, C)")
    likeness = functional.normalize(features, dim=1) @ functional.normalize(label_embeddings, dim=1).T / temperature
    unknown, present = labels < 0, labels == 1
    log_share = likeness - likeness.masked_fill(unknown, -torch.inf).masked_fill(
        unknown.all(1, keepdim=True), 0.0
    ).logsumexp(1, keepdim=True)
    own = torch.where(present, -log_share, 0.0).sum(1) / present.sum(1).clamp_min(1)
    return own.mean()


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    return functional.cosine_similarity(x, y, dim=-1, eps=1e-8)
