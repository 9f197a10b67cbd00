"""A memory of past embeddings, first in first out: what the methods with a momentum encoder compare against.

He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from duchenne.modules.gather import gather_rows


class Queue(nn.Module):
    """Keeps the newest K rows of unit length; any number may be pushed, the write place runs round the end.

    Rows, ids, write place and fill count are buffers, so they are saved and resumed with the network. Push only in
    `Method.after_step`: then no row changes between a loss and its gradient, keys are never scored against themselves,
    and nothing needs to be cloned. All processes push the rows of all, so every process holds the same memory.

    Args:
        size: K, rows (per class).
        dim: D, width of a row.
        ids: names of the numbers kept beside each row, e.g. `subject`; -1 beside rows that have never been written.
        classes: C; None for one memory that all rows share.
        dtype: of the stored rows: float32, or bfloat16 for half the memory.

    Attributes:
        rows: (K, D), or (C, K, D) with classes; random unit vectors before the first push, as in MoCo.
        place: () int64, or (C,): where the next row goes.
        filled: () int64, or (C,): how many rows have been written, at most K.

    Raises:
        ValueError: when a size is below 1.
    """

    rows: Tensor
    place: Tensor
    filled: Tensor

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        ids: Sequence[str] = (),
        classes: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if size < 1 or dim < 1 or (classes is not None and classes < 1):
            raise ValueError("size, dim and classes must be at least 1")
        self.size, self.names, self.classes = size, tuple(ids), classes
        shape = () if classes is None else (classes,)
        self.register_buffer("rows", functional.normalize(torch.randn(*shape, size, dim), dim=-1).to(dtype))
        self.register_buffer("place", torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros(shape, dtype=torch.int64))
        for name in self.names:
            self.register_buffer(f"id_{name}", torch.full((*shape, size), -1, dtype=torch.int64))

    def ids(self, name: str) -> Tensor:
        """(K,) or (C, K) int64: the numbers kept under a name."""
        return self.get_buffer(f"id_{name}")

    def valid(self) -> Tensor:
        """(K,) or (C, K) bool: which rows have been written."""
        return torch.arange(self.size, device=self.rows.device) < self.filled[..., None]

    def stored(self, slots: Tensor) -> Tensor:
        """In which rows the slots of a memory without classes are stored; the write place goes through slots."""
        return slots

    @torch.no_grad()
    def push(self, rows: Tensor, *, labels: Tensor | None = None, **ids: Tensor) -> None:
        """Writes the rows of all processes, in order of their ranks, over the oldest ones.

        Args:
            rows: (B, D) of this process; every process gives the same number. Only the newest K (of a class) are kept.
            labels: (B,) class of each row, where the memory has classes.
            **ids: (B,) int64 each, every name that the memory keeps.

        Raises:
            ValueError: when the names or labels do not fit the memory.
        """
        if set(ids) != set(self.names) or (labels is None) != (self.classes is None):
            labelled = "no labels" if self.classes is None else "labels"
            raise ValueError(f"this memory takes {labelled} and the ids {self.names}")
        rows = gather_rows(rows).to(self.rows.dtype)
        beside = {name: gather_rows(values) for name, values in ids.items()}
        if labels is None:
            counts = torch.full_like(self.place, len(rows))
            position = torch.arange(len(rows), device=rows.device)
            where, left = self.stored((self.place + position) % self.size), counts - position
        else:
            labels = gather_rows(labels)
            member = functional.one_hot(labels, self.classes or 1)
            counts = member.sum(0)
            position = (member.cumsum(0) - 1).gather(1, labels[:, None])[:, 0]
            where = labels * self.size + (self.place[labels] + position) % self.size
            left = counts[labels] - position
        if len(rows) > self.size:
            kept = left <= self.size
            where, rows = where[kept], rows[kept]
            beside = {name: values[kept] for name, values in beside.items()}
        self.rows.view(-1, self.rows.shape[-1]).index_copy_(0, where, rows)
        for name, values in beside.items():
            self.ids(name).view(-1).index_copy_(0, where, values)
        self.place.copy_((self.place + counts) % self.size)
        self.filled.copy_((self.filled + counts).clamp_max(self.size))
