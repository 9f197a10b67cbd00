"""Boxes of facial areas: from landmarks, moved with the pixels, and cut to the picture.

Boxes are (left, top, right, bottom) in continuous pixels, (0, 0) the top-left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from duchenne.augment.geometry import move_points
from duchenne.faces.areas import Box, Edge

_RIGHT_EYE: Final = (36, 39)
_LEFT_EYE: Final = (42, 45)


def area_boxes(landmarks: Tensor, areas: Sequence[Box]) -> Tensor:
    """Boxes of the areas of upright faces.

    Args:
        landmarks: (N, 68, 2) in pixels.
        areas: A definitions, see `facs.AREA_BOXES`.

    Returns:
        (N, A, 4), not cut to the picture; where a face is so distorted that the edges of a box change places, they are
        put in order.
    """
    eyes = landmarks[:, list(_RIGHT_EYE)].mean(1) - landmarks[:, list(_LEFT_EYE)].mean(1)
    unit = torch.linalg.vector_norm(eyes, dim=1)
    sides = [[_edge(landmarks[..., axis % 2], edge, unit) for axis, edge in enumerate(box)] for box in areas]
    boxes = torch.stack([torch.stack(box, dim=1) for box in sides], dim=1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=-1)


def move_boxes(boxes: Tensor, matrices: Tensor) -> Tensor:
    """The upright boxes around boxes that `geometry.warp` has moved, exact where nothing is rotated.

    Args:
        boxes: (N, A, 4).
        matrices: (N, 2, 3), see `geometry.draw_geometry`.

    Returns:
        (N, A, 4).
    """
    corners = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].reshape(len(boxes), -1, 2)
    moved = move_points(corners, matrices).view(*boxes.shape[:2], 4, 2)
    return torch.cat([moved.amin(2), moved.amax(2)], dim=-1)


def mirror_boxes(boxes: Tensor, size_px: int, counterparts: Sequence[int]) -> Tensor:
    """Boxes of mirrored pictures: what lay on the right lies on the left, and is the other area of its pair.

    Args:
        boxes: (N, A, 4).
        size_px: side of the pictures.
        counterparts: of every area, see `areas.counterparts`.

    Returns:
        (N, A, 4).
    """
    left, top, right, bottom = boxes[:, list(counterparts)].unbind(-1)
    return torch.stack([size_px - right, top, size_px - left, bottom], dim=-1)


def clip_boxes(boxes: Tensor, size_px: int, smallest_px: float) -> tuple[Tensor, Tensor]:
    """Boxes cut to the picture; those that are then too small grow around their centre, and stay inside.

    Args:
        boxes: (N, A, 4).
        size_px: side of the pictures.
        smallest_px: smallest side of a box, at most `size_px`. A box that lies wholly outside becomes a box of this
            size at the border.

    Returns:
        (N, A, 4) boxes, and (N, A) the share of each box that lay inside the picture, 0 to 1.
    """
    inside = boxes.clamp(0, size_px)
    extent, before = inside[..., 2:] - inside[..., :2], boxes[..., 2:] - boxes[..., :2]
    share = (extent.prod(-1) / before.prod(-1).clamp_min(torch.finfo(boxes.dtype).tiny)).clamp(0, 1)
    half = extent.clamp_min(smallest_px) / 2
    centre = (inside[..., 2:] + inside[..., :2]) / 2
    centre = torch.minimum(torch.maximum(centre, half), size_px - half)
    return torch.cat([centre - half, centre + half], dim=-1), share


def _edge(values: Tensor, edge: Edge, unit: Tensor) -> Tensor:
    """(N,) one side of a box from (N, 68) coordinates along its axis."""
    chosen = values[:, list(edge.points)]
    if edge.choose == "mean":
        return chosen.mean(1) + edge.shift * unit
    return (chosen.amin(1) if edge.choose == "min" else chosen.amax(1)) + edge.shift * unit
