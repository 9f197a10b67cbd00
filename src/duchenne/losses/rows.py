"""Embeddings as rows: of length one, and how far they are spread."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def unit_rows(rows: Tensor) -> Tensor:
    """(B, D) scaled to length 1, in float32 also under autocast."""
    return functional.normalize(rows.float(), dim=-1)


def spread(rows: Tensor) -> Tensor:
    """() how far unit rows (B, D) are spread: 1 where they point everywhere, 0 where the embedding has collapsed."""
    rows = rows.detach()
    return (rows - rows.mean(0)).square().sum(1).mean().sqrt()
