"""Random crops and rotations, batched on the device; points follow the pixels exactly.

One matrix per picture says where each point goes, so boxes and landmarks are moved with the same numbers as pixels.
Points are in continuous pixels, (0, 0) the top-left corner.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def draw_geometry(
    number: int,
    size_px: int,
    *,
    crop_min: float,
    crop_max: float,
    rotation: float = 0.0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Random similarity transforms from a picture to its augmented version of the same size.

    Drawn on the CPU from torch's global generator, so that a seed gives the same draws on every device.

    Args:
        number: of transforms.
        size_px: side of the pictures.
        crop_min: smallest side of the square crop, as a share of the picture's.
        crop_max: largest side.
        rotation: largest angle to either side, in degrees.
        device: of the result.

    Returns:
        (number, 2, 3) float32 matrices M with new point = M @ (x, y, 1).
    """
    share = crop_min + (crop_max - crop_min) * torch.rand(number)
    centre = size_px * (share[:, None] / 2 + (1 - share[:, None]) * torch.rand(number, 2))
    angle = (2 * torch.rand(number) - 1) * math.radians(rotation)
    cosine, sine = angle.cos() / share, angle.sin() / share
    linear = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
    shift = size_px / 2 - (linear @ centre[:, :, None])
    return torch.cat([linear, shift], dim=2).to(device)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Moves pictures by the matrices: bilinear, border replicated.

    Args:
        images: (N, C, H, H) float.
        matrices: (N, 2, 3), see `draw_geometry`.

    Returns:
        (N, C, H, H) of the same dtype.
    """
    size = images.shape[-1]
    inverse = torch.linalg.inv(matrices[:, :, :2])
    # grid_sample wants output -> input in coordinates of [-1, 1]: p = (x / size) * 2 - 1.
    shift = -(inverse @ matrices[:, :, 2:])
    ones = torch.ones(2, 1, device=matrices.device)
    shift = (shift + inverse @ (ones * size / 2)) * 2 / size - 1
    grid = _grid(torch.cat([inverse, shift], dim=2).to(images.dtype), size)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _grid(matrices: Tensor, size: int) -> Tensor:
    """(N, size, size, 2) what `functional.affine_grid` gives, whose product of matrices takes three times as long."""
    places = ((2 * torch.arange(size, device=matrices.device, dtype=matrices.dtype) + 1) / size - 1)[:, None]
    along_x = matrices[:, None, :, 0] * places
    along_y = matrices[:, None, :, 1] * places + matrices[:, None, :, 2]
    return along_x[:, None] + along_y[:, :, None]


def move_points(points: Tensor, matrices: Tensor) -> Tensor:
    """Moves points as `warp` moves pixels: (N, K, 2) in pixels with (N, 2, 3) -> (N, K, 2)."""
    return points @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]
