"""FAb-Net's merging of sources, a pure function; its reconstruction loss lies in `duchenne.losses.reconstruction`."""

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
