"""The multi-class N-pair loss (Sohn, NeurIPS 2016; Eq. 1 of Lu, Tavabi & Soleymani, BMVC 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32


@at_least_float32
def n_pair_mc_loss(anchor: Tensor, positive: Tensor, negatives: Tensor, *, l2_weight: float = 0.0) -> Tensor:
    """log(1 + sum over i of exp(f.f_i - f.f+)), averaged over the batch, plus a penalty on the rows' length.

    Args:
        anchor: (B, D), not normalised.
        positive: (B, D).
        negatives: (B, M, D).
        l2_weight: times the mean squared norm of all rows passed.

    Returns:
        () mean over the batch.

    Raises:
        ValueError: when the shapes do not fit.
    """
    if anchor.ndim != 2 or positive.shape != anchor.shape or negatives.ndim != 3:
        raise ValueError("need anchor and positive (B, D) and negatives (B, M, D)")
    if negatives.shape[::2] != anchor.shape or not negatives.shape[1]:
        raise ValueError("need anchor and positive (B, D) and at least one negative each (B, M, D)")
    against = (negatives * anchor[:, None]).sum(-1) - (positive * anchor).sum(-1, keepdim=True)
    loss = functional.softplus(torch.logsumexp(against, dim=1)).mean()
    rows = torch.cat([anchor[:, None], positive[:, None], negatives], dim=1)
    return loss + l2_weight * rows.square().sum(-1).mean()
