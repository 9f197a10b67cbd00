"""Random brightness, contrast and saturation, batched on the device (kornia's functions, our draws)."""

from __future__ import annotations

import kornia.enhance as enhance
import torch
from torch import Tensor


def draw_colour(number: int, strength: float) -> Tensor:
    """(number, 3) factors of brightness, contrast and saturation, uniform in [1 - strength, 1 + strength].

    Drawn on the CPU from torch's global generator.
    """
    return 1 + strength * (2 * torch.rand(number, 3) - 1)


def jitter_colour(images: Tensor, factors: Tensor) -> Tensor:
    """Applies colour factors in the order brightness (multiplied), contrast, saturation.

    Args:
        images: (N, 3, H, W) RGB in [0, 1].
        factors: (N, 3), see `draw_colour`.

    Returns:
        (N, 3, H, W) in [0, 1].
    """
    factors = factors.to(images)
    images = (images * factors[:, 0].view(-1, 1, 1, 1)).clamp(0, 1)
    images = enhance.adjust_contrast_with_mean_subtraction(images, factors[:, 1])
    jittered: Tensor = enhance.adjust_saturation_with_gray_subtraction(images, factors[:, 2])
    return jittered.clamp(0, 1)
