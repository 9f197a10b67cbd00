"""Rows of all processes; in one process the rows themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable


def world() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) where training is not distributed."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def gather_rows(rows: Tensor, *, gradient: bool = False) -> Tensor:
    """The rows of all processes, in order of their ranks.

    Args:
        rows: (B, ...) of this process; every process gives the same shape.
        gradient: let the gradient of every process's loss flow back to the process that a row came from. With
            DistributedDataParallel, which averages over processes, the result is the gradient of the mean of the
            processes' losses.

    Returns:
        (B x processes, ...); without gradient detached.
    """
    if world()[1] == 1:
        return rows if gradient else rows.detach()
    return torch.as_tensor(_Gather.apply(rows)) if gradient else _gather(rows.detach())  # type: ignore[no-untyped-call]


def _gather(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world()[1])]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """Gathers rows; backward sums the gradients of all processes and keeps this one's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.number = len(rows)
        return _gather(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        start = world()[0] * ctx.number
        return total[start : start + ctx.number]
