"""The same random changes for several frames of a clip, or new ones for each: for methods that compare frames."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from duchenne.augment.colour import draw_colour, jitter_colour
from duchenne.augment.geometry import draw_geometry, warp

Per = Literal["frame", "clip"]


def change_frames(
    images: Tensor, *, crop_min: float, crop_max: float, rotation: float, colour: float, flip: bool, per: Per
) -> Tensor:
    """Random crops, rotations and colours of clips.

    All draws are made on the CPU from torch's global generator, so a seed gives the same frames on every device.

    Args:
        images: (B, T, 3, H, H) RGB in [0, 1].
        crop_min: smallest side of the square crop, as a share of the picture's.
        crop_max: largest side.
        rotation: largest angle to either side, in degrees.
        colour: strength of brightness, contrast and saturation changes, 0 to 1.
        flip: mirror half of the clips, all frames of one alike.
        per: whether crop, angle and colour are drawn for every frame or once per clip.

    Returns:
        (B, T, 3, H, H) in [0, 1].
    """
    clips, frames = images.shape[:2]
    each = 1 if per == "frame" else frames
    draws = clips * frames // each
    flat = images.flatten(0, 1)
    matrices = draw_geometry(
        draws, images.shape[-1], crop_min=crop_min, crop_max=crop_max, rotation=rotation, device=images.device
    )
    flat = warp(flat, matrices.repeat_interleave(each, dim=0))
    if flip:
        mirrored = (torch.rand(clips) < 0.5).repeat_interleave(frames).to(images.device)
        flat = torch.where(mirrored.view(-1, 1, 1, 1), flat.flip(-1), flat)
    if colour:
        flat = jitter_colour(flat, draw_colour(draws, colour).repeat_interleave(each, dim=0))
    return flat.reshape(images.shape)
