"""NT-Xent, the loss of SimCLR (Chen et al., ICML 2020, Eq. 1; Algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32


@at_least_float32
def nt_xent_loss(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Each of the 2B views against its other view, among the 2B - 1 other rows.

    Args:
        first: (B, D) rows of unit length.
        second: (B, D), the other views of the same pictures.
        temperature: above 0.

    Returns:
        () mean over the 2B rows.

    Raises:
        ValueError: when the shapes differ.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError("need two views of one shape (B, D)")
    rows, number = torch.cat([first, second]), len(first)
    logits = (rows / temperature) @ rows.T
    logits = logits.masked_fill(torch.eye(2 * number, dtype=torch.bool, device=rows.device), float("-inf"))
    other = torch.arange(2 * number, device=rows.device).roll(number)
    return functional.cross_entropy(logits, other)
