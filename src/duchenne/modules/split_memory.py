"""A memory in two parts that are dealt anew after every step: a support to reconstruct from, and negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from duchenne.modules.queue import Queue

_CHUNK: Final = 4096
"""Rows that change places at a time; the only copy that dealing makes."""


class SplitMemory(Queue):
    """A queue whose first rows are the support and whose other rows are the negatives, both views of it.

    `deal` exchanges rows of the two parts, so that the support is any S of the K rows with equal probability, as if it
    were drawn anew; nothing else is copied. Draws follow from a count that is part of the state, so all processes and
    a resumed run deal alike.

    Args:
        size: K, rows.
        dim: D, width of a row.
        support: S, rows of the support; below K.
        ids: see `Queue`.
        dtype: see `Queue`.

    Attributes:
        order: (K,) int64: in which row the next, the second next ... pushed row is stored, from place 0 on.

    Raises:
        ValueError: when no row is left for the negatives.
    """

    order: Tensor

    def __init__(
        self, size: int, dim: int, support: int, *, ids: Sequence[str] = (), dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(size, dim, ids=ids, dtype=dtype)
        if not 1 <= support < size:
            raise ValueError("the support must be smaller than the memory")
        self.support_size, self.deals = support, 0
        self.register_buffer("order", torch.arange(size))
        self.deal()

    def get_extra_state(self) -> int:
        """How often the memory was dealt: the seed of the next time."""
        return self.deals

    def set_extra_state(self, state: Any) -> None:
        """Takes up `get_extra_state`."""
        self.deals = int(state)

    def split(self, values: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The support and the negatives, as views: of the rows, or of `values` with K entries such as ids."""
        values = self.rows if values is None else values
        return values[: self.support_size], values[self.support_size :]

    @torch.no_grad()
    def deal(self) -> None:
        """Draws the support anew. Call it in `Method.after_step` only."""
        generator = torch.Generator().manual_seed(self.deals)
        self.deals += 1
        chosen = torch.zeros(self.size, dtype=torch.bool)
        chosen[torch.randperm(self.size, generator=generator)[: self.support_size]] = True
        leaving, entering = (~chosen[: self.support_size]).nonzero()[:, 0], chosen.clone()
        entering[: self.support_size] = False
        pairs = torch.stack([leaving, entering.nonzero()[:, 0]]).to(self.rows.device)
        for values in (self.rows, *(self.ids(name) for name in self.names)):
            for one, other in zip(*(half.split(_CHUNK) for half in pairs), strict=True):
                values[one], values[other] = values[other], values[one]
        moved = torch.arange(self.size, device=self.rows.device)
        moved[pairs.flatten()] = pairs.flip(0).flatten()
        self.order.copy_(moved[self.order])

    def valid(self) -> Tensor:
        """(K,) bool: which rows have been written."""
        return torch.zeros_like(self.order, dtype=torch.bool).index_copy_(0, self.order, super().valid())

    def stored(self, slots: Tensor) -> Tensor:
        """The rows of slots, which pushes go through in turn."""
        return self.order[slots]
