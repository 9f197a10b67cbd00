"""What the first batch looks like to the network: a strip of augmented views."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import torch
from torch import Tensor

from duchenne.files import replacing

VIEWS_NAME: Final = "views.png"
"""In the run's folder. It shows faces that were trained on."""
_CLIPS, _FRAMES, _SIDE_PX = 6, 8, 96


def write_views(images: Tensor, path: Path) -> None:
    """Draws the first clips of a batch, a row for each, its views side by side.

    Args:
        images: (B, T, 3, H, W) RGB in [0, 1], as the method's `augment` gives them.
        path: PNG to write.

    Raises:
        InputError: when it cannot be written.
    """
    shown = images.detach()[:_CLIPS, :_FRAMES].float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    rows, columns = shown.shape[:2]
    grid = shown.permute(0, 3, 1, 4, 2).reshape(rows * shown.shape[3], columns * shown.shape[4], 3).numpy()
    if shown.shape[4] > _SIDE_PX:
        grid = cv2.resize(grid, (columns * _SIDE_PX, rows * _SIDE_PX), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))[1]
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
