"""RoIAlign in plain torch, so that areas of a feature map can be read without torchvision.

He, Gkioxari, Dollar & Girshick, Mask R-CNN, ICCV 2017; the aligned variant (half a pixel of shift), averaging
`sampling` x `sampling` bilinear samples per cell. Values equal ONNX Runtime's RoiAlign (opset 16, `half_pixel`, `avg`).
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(features: Tensor, boxes: Tensor, *, output: int = 2, scale: float = 1.0, sampling: int = 2) -> Tensor:
    """Reads boxes out of feature maps, each as a small grid of averages. Differentiable in features and boxes.

    An average of bilinear samples on a grid has one weight per row and one per column of the map, so all boxes of a
    picture are one matrix product.

    Args:
        features: (B, C, H, W).
        boxes: (B, A, 4) left, top, right, bottom in pixels of the picture, A boxes of every picture.
        output: rows and columns of the grid.
        scale: side of the map over that of the picture.
        sampling: samples per cell along each axis.

    Returns:
        (B, A, C, output, output).

    Raises:
        ValueError: when the shapes do not fit.
    """
    if features.ndim != 4 or boxes.ndim != 3 or boxes.shape[2] != 4 or len(boxes) != len(features):
        shapes = f"{tuple(features.shape)} and {tuple(boxes.shape)}"
        raise ValueError(f"need features (B, C, H, W) and boxes (B, A, 4), not {shapes}")
    batch, channels, height, width = features.shape
    edges = boxes.to(torch.promote_types(features.dtype, torch.float32)) * scale
    columns = _weights(edges[..., 0], edges[..., 2], width, output, sampling)
    rows = _weights(edges[..., 1], edges[..., 3], height, output, sampling)
    weights = (rows[..., :, None, :, None] * columns[..., None, :, None, :]).reshape(batch, -1, height * width)
    cells = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    read = torch.bmm(weights.to(features.dtype), cells)
    return read.view(batch, boxes.shape[1], output, output, channels).permute(0, 1, 4, 2, 3)


def _weights(start: Tensor, stop: Tensor, size: int, output: int, sampling: int) -> Tensor:
    """(B, A, output, size) weight of each place of the map along one axis in each cell."""
    steps = (torch.arange(output * sampling, device=start.device, dtype=start.dtype) + 0.5) / (output * sampling)
    places = start[..., None] - 0.5 + (stop - start)[..., None] * steps
    outside = (places < -1) | (places > size)
    grid = torch.arange(size, device=start.device, dtype=start.dtype)
    weights = (1 - (places.clamp(0, size - 1)[..., None] - grid).abs()).clamp_min(0)
    weights = weights.masked_fill(outside[..., None], 0)
    return weights.view(*start.shape, output, sampling, size).mean(-2)
