"""Losses on embeddings of facial areas (Chang & Wang, CVPR 2022, Eqs. 1-8).

`embeddings` are (2N, A, D): two views of N images (rows i and i + N), A areas. The paper prints sums over images and
areas; here every term is the mean over the 2N x A embeddings, which keeps the terms' balance for any batch.
The similarities of all embeddings with all others are computed in blocks of rows and again in the backward pass, so
that memory grows with the batch and not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from duchenne.faces.areas import counterparts
from duchenne.facs import FACIAL_AREAS, SYMMETRIC_AREAS
from duchenne.losses.precision import at_least_float32

COUNTERPARTS: Final = counterparts(SYMMETRIC_AREAS, len(FACIAL_AREAS))
"""For each of the eight areas its symmetric one, from 0; its own where it has none."""
_BLOCK: Final = 2**22
_EPS: Final = 1e-8


@at_least_float32
def inter_area_loss(
    embeddings: Tensor, *, temperature: float = 0.07, symmetric: Sequence[int] = COUNTERPARTS
) -> Tensor:
    """The same area of all faces, and its symmetric one, against all areas of all faces (Eqs. 1-3).

    Equals supervised contrast with the groups of areas {1}, {2,3}, {4}, {5,6}, {7}, {8} as labels.

    Args:
        embeddings: (2N, A, D), any length.
        temperature: above 0.
        symmetric: of each area the place of its counterpart.

    Returns:
        () mean over 2N x A.

    Raises:
        ValueError: when the shape is not that of two views.
    """
    rows = _unit_rows(embeddings, len(symmetric))
    count = len(rows)
    sums = rows.sum(0)
    group = torch.stack([sums[area] + (sums[other] if other != area else 0) for area, other in enumerate(symmetric)])
    size = torch.tensor([count * (1 + (other != area)) - 1 for area, other in enumerate(symmetric)]).to(rows)
    alike = ((rows * (group - rows)).sum(-1) / size).mean()
    return _log_sum(rows.flatten(0, 1)[None], temperature).mean() - alike / temperature


@at_least_float32
def intra_area_loss(embeddings: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Within each area, the other view of the same image against all other images (Eqs. 4-5): NT-Xent per area.

    Args:
        embeddings: (2N, A, D), any length; rows i and i + N are the views of image i.
        temperature: above 0.

    Returns:
        () mean over 2N x A.

    Raises:
        ValueError: when the shape is not that of two views.
    """
    rows = _unit_rows(embeddings, embeddings.shape[1] if embeddings.ndim == 3 else 0)
    half = len(rows) // 2
    alike = (rows[:half] * rows[half:]).sum(-1).mean()
    return _log_sum(rows.transpose(0, 1), temperature).mean() - alike / temperature


@at_least_float32
def prediction_loss(embeddings: Tensor, predicted: Tensor) -> Tensor:
    """How far each area is from what its related areas predict (Eq. 8).

    Args:
        embeddings: (2N, A, D), any length.
        predicted: (2N, A, D), any length.

    Returns:
        () mean over 2N x A of 1 - cosine, 0 to 2.

    Raises:
        ValueError: when the shapes differ.
    """
    if embeddings.shape != predicted.shape or embeddings.ndim != 3:
        shapes = f"{tuple(embeddings.shape)} and {tuple(predicted.shape)}"
        raise ValueError(f"need embeddings and predicted of one shape (2N, A, D), not {shapes}")
    return 1 - (_normalise(embeddings) * _normalise(predicted)).sum(-1).mean()


def _normalise(rows: Tensor) -> Tensor:
    return functional.normalize(rows, dim=-1, eps=_EPS)


def _unit_rows(embeddings: Tensor, areas: int) -> Tensor:
    if embeddings.ndim != 3 or len(embeddings) % 2 or not len(embeddings) or embeddings.shape[1] != areas:
        wanted = f"(2N, {areas or 'A'}, D)"
        raise ValueError(f"need embeddings {wanted} of two views of each image, not {tuple(embeddings.shape)}")
    return _normalise(embeddings)


class _LogSum(torch.autograd.Function):
    """log of the summed exp(cosine / temperature) of each row with all others of its set: (S, M, D) -> (S, M)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, temperature: float) -> Tensor:
        sums = rows.new_empty(rows.shape[:2])
        for number, block in _blocks(rows):
            sums[number, block] = _similar(rows[number], block, temperature).logsumexp(1)
        ctx.save_for_backward(rows, sums)
        ctx.temperature = temperature
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, sums = ctx.saved_tensors
        total = torch.zeros_like(rows)
        for number, block in _blocks(rows):
            own = rows[number]
            share = _similar(own, block, ctx.temperature).sub_(sums[number, block, None]).exp_()
            share.mul_(gradient[number, block, None] / ctx.temperature)
            total[number, block] += share @ own
            total[number].addmm_(share.T, own[block])
        return total, None


def _blocks(rows: Tensor) -> Iterator[tuple[int, slice]]:
    """(set, rows) of all blocks of similarities."""
    sets, count = rows.shape[:2]
    step = max(1, _BLOCK // count)
    return ((number, slice(start, start + step)) for number in range(sets) for start in range(0, count, step))


def _similar(own: Tensor, block: slice, temperature: float) -> Tensor:
    """Similarities of some rows with all of their set; that of a row with itself does not count."""
    similar = (own[block] / temperature) @ own.T
    similar.diagonal(block.start).fill_(-torch.inf)
    return similar


def _log_sum(rows: Tensor, temperature: float) -> Tensor:
    return torch.as_tensor(_LogSum.apply(rows, temperature))  # type: ignore[no-untyped-call]
