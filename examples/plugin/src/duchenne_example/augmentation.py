"""An augmentation: a function of pictures, (N, 3, H, H) RGB in [0, 1] -> the same, or a `ViewRecipe`."""

import torch
from torch import Tensor


def mirrored(images: Tensor) -> Tensor:
    """Mirrors half of the pictures; drawn on the CPU, so that a seed gives the same views on every device."""
    chosen = (torch.rand(len(images)) < 0.5).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
