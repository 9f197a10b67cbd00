"""The loss of SimSiam (Chen & He, CVPR 2021, Eqs. 1 to 3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from duchenne.losses.precision import at_least_float32


@at_least_float32
def prediction_similarity_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the cosine of what one view predicts and what the other is; no gradient reaches the target.

    Args:
        prediction: (B, D).
        target: (B, D).

    Returns:
        () mean over the batch, from -1 (equal directions) to 1.

    Raises:
        ValueError: when the shapes differ.
    """
    if prediction.ndim != 2 or prediction.shape != target.shape:
        raise ValueError("need prediction and target of one shape (B, D)")
    return -functional.cosine_similarity(prediction, target.detach(), dim=1).mean()
