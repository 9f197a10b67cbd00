"""Landmarks of a made-up face, for tests of what lies where."""

from __future__ import annotations

import torch

from duchenne import facs

SIZE = 96


def face(seed=0, size=SIZE):
    """(1, 68, 2) landmarks of an upright, made-up face in a crop."""
    points = torch.full((68, 2), 0.5)
    for group, (x0, x1, y0, y1) in {
        "right_brow": (0.22, 0.42, 0.30, 0.28), "left_brow": (0.58, 0.78, 0.28, 0.30), "jaw": (0.12, 0.88, 0.4, 0.4),
        "nose_bridge": (0.5, 0.5, 0.42, 0.58), "nose_base": (0.43, 0.57, 0.62, 0.62),
        "right_eye": (0.28, 0.42, 0.42, 0.42), "left_eye": (0.58, 0.72, 0.42, 0.42),
        "outer_lip": (0.36, 0.64, 0.74, 0.74), "inner_lip": (0.4, 0.6, 0.74, 0.74),
    }.items():  # fmt: skip
        places = list(facs.LANDMARK_GROUPS[group])
        points[places, 0] = torch.linspace(x0, x1, len(places))
        points[places, 1] = torch.linspace(y0, y1, len(places))
    jaw = torch.linspace(0, torch.pi, 17)
    points[:17, 1] += 0.55 * jaw.sin()
    points[55:60, 1] += 0.06
    points[[36, 39, 42, 45], 0] = torch.tensor([0.28, 0.42, 0.58, 0.72])
    points[[48, 54], 0] = torch.tensor([0.36, 0.64])
    points[57, 0] = 0.5
    points[:, 0] += 0.002 * torch.rand(68, generator=torch.Generator().manual_seed(seed))
    return points[None] * size
