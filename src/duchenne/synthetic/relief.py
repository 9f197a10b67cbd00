"""The relief of the face: bones, flesh, and the folds, bulges and furrows that action units raise.

Folds are where FACS puts them: horizontal lines across the forehead (AU1 in the middle, AU2 at the sides), vertical
lines between the brows (AU4), lines at the root of the nose (AU9), crow's feet and the furrow under the eye (AU6), the
bulge of the lower lid (AU7), the nasolabial furrow (AU9, AU10, AU12), the dimple (AU14), the pouch below the lip
corner (AU15), the wrinkled boss of the chin (AU17), lines beside the stretched corner (AU20), around the tightened
(AU23) and pressed lips (AU24).
"""

from __future__ import annotations

import torch
from torch import Tensor

from duchenne.synthetic.canvas import Canvas, Window
from duchenne.synthetic.curves import bell, graph_curve, smooth_step
from duchenne.synthetic.expression import Shape
from duchenne.synthetic.people import Identity


class Ground:
    """Relief and creases of a batch of faces while they are built up.

    Attributes:
        height: (B, 2, H, W) displacement towards the viewer, face units.
        crease: (B, 2, H, W) how dark folds make the skin, 0 or more.
    """

    def __init__(self, canvas: Canvas, rows: int) -> None:
        self.canvas = canvas
        shape = (rows, 2, len(canvas.y), len(canvas.x))
        self.height = torch.zeros(shape, device=canvas.x.device)
        self.crease = torch.zeros(shape, device=canvas.x.device)

    def fold(self, window: Window, distance: Tensor, width: float, depth: Tensor, dark: float = 1.0) -> None:
        """A furrow where `distance` is 0.

        Args:
            window: where to work.
            distance: (B, 2, H', W') signed distance from the furrow's line.
            width: half width of the furrow; never finer than the canvas can show.
            depth: (B, 2, H', W') or broadcastable strength: 1 is a deep fold.
            dark: how much of it is painted, beside its shape.
        """
        seen = (width**2 + (0.55 * self.canvas.texel) ** 2) ** 0.5
        profile = bell(distance, seen) * depth * (width / seen)
        window.of(self.height).sub_(profile * (0.75 * width))
        window.of(self.crease).add_(profile * (0.34 * dark))


def build(canvas: Canvas, identity: Identity, shape: Shape) -> Ground:
    """The relief of every face of a batch."""
    ground = Ground(canvas, len(shape.points))
    _flesh(ground, identity, shape)
    _nose(ground, identity, shape)
    _upper_folds(ground, identity, shape)
    _lower_folds(ground, identity, shape)
    return ground


def grid(values: Tensor) -> Tensor:
    """(B,) or (B, 2) values with the axes of a canvas: (B, 1 or 2, 1, 1)."""
    return values.view(len(values), -1, 1, 1)


def _flesh(ground: Ground, identity: Identity, shape: Shape) -> None:
    factor = identity.relief
    canvas = ground.canvas
    corner, wing, brow = shape.point("mouth_corner"), shape.point("nose_wing"), shape.point("brow_2")
    lower_lid = 0.5 * (shape.point("eye_lower_outer") + shape.point("eye_lower_inner"))
    upper_lip = 0.5 * (shape.mid("lip_upper") + shape.mid("inner_top"))
    lower_lip = 0.5 * (shape.mid("lip_lower") + shape.mid("inner_bottom"))
    chin, au, both = shape.egg.chin, shape.au, shape.au_both
    boss = 0.075 * factor[:, 6:7] + 0.045 * both(17)[:, None]
    zero = torch.zeros_like(corner[..., 0])
    bumps: list[tuple[Tensor, Tensor, float, float, Tensor]] = [
        # x, y, width, height, amount
        (zero + 0.31, zero - 0.05, 0.17, 0.12, -0.075 * factor[:, 7:8]),
        (zero + 0.337, zero - 0.005, 0.13, 0.085, zero + 0.050),
        (brow[..., 0] - 0.06, brow[..., 1] + 0.02, 0.26, 0.07, 0.036 * factor[:, 3:4]),
        (zero, zero - 0.24, 0.11, 0.10, zero + 0.008),
        (zero + 0.50, 0.34 - 0.05 * au(6) - 0.03 * au(12), 0.19, 0.17, 0.045 * factor[:, 4:5]),
        (0.43 + 0.02 * au(12), 0.33 - 0.05 * au(6) - 0.02 * au(12), 0.13, 0.105, 0.055 * au(6) + 0.055 * au(12)),
        (zero, zero + upper_lip[:, None], 0.22, 0.05, 0.5 * 0.040 * factor[:, 5:6]),
        (zero, zero + lower_lip[:, None], 0.20, 0.055, 0.5 * 0.046 * factor[:, 5:6]),
        (zero, zero + 0.80, 0.34, 0.22, zero + 0.5 * 0.055),
        (zero, chin[:, None] * 0.88 - 0.02 * au(17), 0.17, 0.11, 0.5 * boss),
        (zero, shape.mid("lip_lower")[:, None] + 0.065, 0.19, 0.035, -0.5 * (0.030 + 0.03 * both(17)[:, None])),
        (zero, shape.mid("lip_upper")[:, None] - 0.085, 0.028, 0.055, zero - 0.5 * 0.016),
        (wing[..., 0] - 0.035, wing[..., 1] - 0.072, 0.052, 0.055, 0.075 * factor[:, 2:3]),
        (corner[..., 0] + 0.055, corner[..., 1], 0.026, 0.05, -0.034 * au(14)),
        (corner[..., 0] + 0.125, corner[..., 1], 0.05, 0.10, 0.036 * au(14)),
        (corner[..., 0] + 0.01, corner[..., 1] + 0.085, 0.07, 0.045, 0.034 * au(15)),
        (zero, shape.mid("lip_upper")[:, None] - 0.045, 0.20, 0.035, 0.5 * 0.036 * both(24)[:, None]),
        (zero, shape.mid("lip_lower")[:, None] + 0.045, 0.20, 0.035, 0.5 * 0.040 * both(24)[:, None]),
        (zero + 0.33, 0.55 - 0.04 * au(10), 0.08, 0.10, 0.036 * au(10)),
        (zero + 0.23, zero + 0.33, 0.06, 0.10, 0.034 * au(9)),
        (lower_lid[..., 0], lower_lid[..., 1] + 0.040, 0.13, 0.024, 0.026 * au(7) + 0.012 * au(6)),
        (corner[..., 0] + 0.06, corner[..., 1] - 0.01, 0.06, 0.05, 0.012 * au(12)),
    ]  # fmt: skip
    full = (len(chin), 2)
    x, y, amount = (
        torch.stack([part.expand(full) for part in parts], dim=-1)[..., None]
        for parts in ([b[0] for b in bumps], [b[1] for b in bumps], [b[4] for b in bumps])
    )
    width = torch.tensor([bump[2] for bump in bumps], device=x.device)[:, None]
    height = torch.tensor([bump[3] for bump in bumps], device=x.device)[:, None]
    across = bell(canvas.x - x, width) + bell(canvas.x + x, width)  # the other half's bump reaches over the midline
    down = bell(canvas.y - y, height) * amount
    ground.height.add_(down.transpose(-1, -2) @ across)


def _nose(ground: Ground, identity: Identity, shape: Shape) -> None:
    window = ground.canvas.window(0.0, 0.45, -0.35, 0.75)
    factor = identity.relief
    tip, foot = shape.mid("nose_tip"), shape.mid("nose_foot")
    rows = len(tip)
    ones = torch.ones_like(tip)
    y = window.y.view(1, -1).expand(rows, -1)
    at = torch.stack([-0.32 * ones, -0.10 * ones, 0.30 * tip, tip - 0.025, foot - 0.07, foot + 0.005, foot + 0.06], -1)
    bridge, point = factor[:, 0] * ones, factor[:, 1] * ones
    none = 0 * ones
    high = [none, 0.035 * bridge, 0.125 * bridge, 0.255 * point, 0.215 * point, none + 0.05, none]
    profile = graph_curve(y, at, torch.stack(high, -1)).view(rows, 1, -1, 1)
    wide = torch.tensor([0.10, 0.075, 0.085, 0.115, 0.12, 0.10, 0.10], device=ones.device).expand(rows, -1)
    spread = graph_curve(y, at, wide).view(rows, 1, -1, 1)
    window.of(ground.height).add_(profile * bell(window.x, spread))


def _upper_folds(ground: Ground, identity: Identity, shape: Shape) -> None:
    canvas, au, both = ground.canvas, shape.au, shape.au_both
    age = grid(identity.age)
    # Forehead: horizontal lines that bend with the brow.
    window = canvas.window(0.0, 0.80, -0.92, -0.33)
    x, y = window.x, window.y
    inner, outer = grid(au(1)), grid(au(2))
    middle = grid(both(1))
    near = smooth_step(x, 0.0, 0.15)
    inner = middle + near * (inner - middle)
    across = inner * bell(x, 0.26) + outer * bell(x - 0.50, 0.20) + 0.12 * age * bell(x, 0.6)
    lift = -0.05 * (inner * bell(x, 0.25) + outer * bell(x - 0.50, 0.22))
    for height, share in ((-0.47, 1.0), (-0.585, 1.0), (-0.70, 0.8)):
        line = height + lift + 0.03 * (x / 0.5) ** 2
        ground.fold(window, y - line, 0.020, share * across.clamp_max(1.3))
    # Between the brows: vertical lines, a bulge, and a horizontal one at the root of the nose.
    window = canvas.window(0.0, 0.30, -0.45, 0.02)
    x, y = window.x, window.y
    frown = grid(both(4)) + 0.10 * age
    brow = grid(shape.points[:, :, 4, 1].mean(1))
    ground.fold(window, x - 0.062 - 0.10 * (y - brow) ** 2, 0.017, frown * bell(y - brow + 0.01, 0.10), 1.2)
    window.of(ground.height).add_(0.022 * frown * bell(x, 0.045) * bell(y - brow, 0.10))
    window.of(ground.height).add_(0.020 * grid(au(4)) * bell(x - 0.17, 0.07) * bell(y - brow + 0.01, 0.05))
    # Root and sides of the nose (AU9).
    window = canvas.window(0.0, 0.30, -0.16, 0.36)
    x, y = window.x, window.y
    wrinkle = grid(both(9))
    for height in (-0.045, 0.03, 0.105):
        ground.fold(window, y - height - 2.4 * x**2, 0.016, wrinkle * bell(x - 0.05, 0.09), 1.3)
    # Around the eye: crow's feet, the furrow under the eye, the lower lid.
    window = canvas.window(0.10, 0.80, -0.20, 0.36)
    x, y = window.x, window.y
    cheek = grid(au(6))
    eye = shape.point("eye_outer")
    ex, ey = grid(eye[..., 0]), grid(eye[..., 1])
    reach = smooth_step(x - ex, 0.02, 0.08) * smooth_step(x - ex, 0.26, 0.14)
    for slope in (-0.50, -0.05, 0.42):
        line = ey + 0.015 + slope * (x - ex + 0.02)
        ground.fold(window, (y - line) / (1 + slope**2) ** 0.5, 0.014, (1.1 * cheek + 0.15 * age) * reach)
    inner_eye = shape.point("eye_inner")
    ix, iy = grid(inner_eye[..., 0]), grid(inner_eye[..., 1])
    t = (x - ix) / (ex - ix)
    bow = iy + 0.125 - 0.03 * cheek + 0.06 * t * (1 - t) * 2 - 0.05 * t
    ground.fold(window, y - bow, 0.022, (1.0 * cheek + 0.30 * grid(au(9)) + 0.22 * age) * bell(t - 0.42, 0.55), 0.9)
    lid = grid(shape.point("eye_lower_inner")[..., 1]) * (1 - t) + grid(shape.point("eye_lower_outer")[..., 1]) * t
    ground.fold(window, y - lid - 0.062, 0.014, (0.9 * grid(au(7)) + 0.10) * bell(t - 0.5, 0.48), 0.9)


def _lower_folds(ground: Ground, identity: Identity, shape: Shape) -> None:
    canvas, au, both = ground.canvas, shape.au, shape.au_both
    age = grid(identity.age)
    wing, corner = shape.point("nose_wing"), shape.point("mouth_corner")
    wx, wy, cx, cy = grid(wing[..., 0]), grid(wing[..., 1]), grid(corner[..., 0]), grid(corner[..., 1])
    smile, lift, sneer = grid(au(12)), grid(au(10)), grid(au(9))
    # Nasolabial furrow: from the wing of the nose around the corner of the mouth.
    window = canvas.window(0.10, 0.80, 0.28, 1.12)
    x, y = window.x, window.y
    t = ((y - (wy - 0.10)) / (cy + 0.03 - (wy - 0.10)).clamp_min(0.1)).clamp(-0.3, 1.3)
    way = t.clamp(0, 1)
    line = wx + 0.045 + (cx + 0.040 - wx) * way**0.9 + 0.035 * smile * torch.sin(torch.pi * way)
    top = smooth_step(t, -0.22, 0.08) * smooth_step(t, 0.80, 0.55)
    low = smooth_step(t, -0.05, 0.35) * smooth_step(t, 1.25, 0.85)
    depth = (0.95 * lift + 0.9 * sneer) * top + (0.95 * smile + 0.15 * grid(au(20))) * low + (0.10 + 0.35 * age) * low
    slope = (cx + 0.04 - wx) / (cy - wy).clamp_min(0.1)
    straight = torch.rsqrt(1 + slope**2)
    ground.fold(window, (x - line) * straight, 0.026, depth, 0.9)
    window.of(ground.height).add_(0.020 * depth * bell(x - line - 0.07, 0.06))
    # Beside the corner: dimple (AU14), lines of the stretched mouth (AU20), pressed corners (AU24), pouch (AU15).
    window = canvas.window(0.10, 0.80, 0.55, 1.12)
    x, y = window.x, window.y
    dimple = grid(au(14))
    arc = cx + 0.050 - 2.2 * (y - cy) ** 2
    ground.fold(window, x - arc, 0.024, 1.6 * dimple * bell(y - cy, 0.090), 1.5)
    stretch = grid(au(20))
    for away in (0.07, 0.13):
        ground.fold(window, x - cx - away + 0.8 * (y - cy) ** 2, 0.017, 0.9 * stretch * bell(y - cy - 0.01, 0.11), 0.9)
    press = grid(au(24))
    ground.fold(window, x - cx - 0.012, 0.018, 0.7 * press * bell(y - cy, 0.045), 1.0)
    sad = grid(au(15))
    ground.fold(window, x - cx - 0.02 - 0.28 * (y - cy), 0.018, 0.95 * sad * bell(y - cy - 0.055, 0.075), 1.0)
    # Chin: the furrow under the lip, and the boss that wrinkles like orange peel (AU17).
    window = canvas.window(0.0, 0.50, 0.85, 1.55)
    x, y = window.x, window.y
    chin = grid(both(17))
    lip = grid(shape.mid("lip_lower"))
    furrow = (0.95 * chin + 0.15 * age + 0.2 * grid(both(15))) * bell(x, 0.22)
    ground.fold(window, y - lip - 0.075 - 0.5 * x**2, 0.024, furrow)
    boss = grid(shape.egg.chin) * 0.88 - 0.03 * chin
    patch = bell(x, 0.17) * bell(y - boss, 0.085) * chin
    peel = torch.sin(x * 62.0 + 1.5 * torch.sin(y * 40.0)) * torch.sin(y * 58.0 + 1.3 * torch.sin(x * 47.0))
    window.of(ground.height).add_(0.013 * patch * peel)
    window.of(ground.crease).add_(0.22 * patch * (0.4 - peel).clamp_min(0))
    # Lines around tightened lips (AU23).
    window = canvas.window(0.0, 0.45, 0.55, 1.12)
    x, y = window.x, window.y
    tight = grid(both(23))
    above, below = grid(shape.mid("lip_upper")) - 0.035, lip + 0.035
    ring = (bell(y - above, 0.030) + bell(y - below, 0.030)) * smooth_step(x, 0.26, 0.18) * tight
    lines = 0.5 + 0.5 * torch.cos(x * 88.0 + 1.4 * torch.sin(x * 31.0 + 6.0 * y))
    window.of(ground.height).sub_(0.007 * ring * lines)
    window.of(ground.crease).add_(0.13 * ring * lines)
