"""FAb-Net's merging of sources and reconstruction loss: pure functions."""

from __future__ import annotations

from torch import Tensor

from duchenne.losses.precision import at_least_float32


@at_least_float32
def merge_sources(samples: Tensor, confidence: Tensor) -> Tensor:
    """Mixes what several sources give, pixel by pixel, by a softmax over their confidence (multi-source FAb-Net).

    Args:
        samples: (B, S, 3, H, W) moved sources.
        confidence: (B, S, H, W).

    Returns:
        (B, 3, H, W).

    Raises:
        ValueError: when the shapes do not fit.
    """
    if samples.ndim != 5 or confidence.shape != (*samples.shape[:2], *samples.shape[3:]):
        raise ValueError("need samples (B, S, 3, H, W) and confidence (B, S, H, W)")
    return (samples * confidence.softmax(1)[:, :, None]).sum(1)


@at_least_float32
def reconstruction_loss(made: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each picture: (B, 3, H, W) twice -> (B,).

    Raises:
        ValueError: when the shapes differ.
    """
    if made.shape != target.shape or made.ndim != 4:
        raise ValueError("need two batches of pictures of one shape (B, 3, H, W)")
    return (made - target).abs().flatten(1).mean(1)
