"""Wrinkles as height maps over the skin's texture: where each kind lies, and which action units deepen it.

Lines are drawn on the front view of the mean head, in distances of the outer eye corners, with (0, 0) between the eyes,
x outward and y down, and carried over to the texture.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from duchenne.synthetic.modelled.mesh import Floats

Line = list[tuple[float, float]]


def _fan(x: float, y: float, angles: tuple[float, ...], near: float, far: float) -> list[Line]:
    """Lines that run outward from a point."""
    lines = []
    for angle in angles:
        across, down = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        middle = 0.5 * (near + far)
        bend = 0.012 * np.sign(angle + 1e-9)
        lines.append(
            [(x + near * across, y + near * down), (x + middle * across, y + middle * down + bend),
             (x + far * across, y + far * down + 2.5 * bend)]
        )  # fmt: skip
    return lines


def _across(heights: tuple[float, ...], start: float, end: float, sag: float) -> list[Line]:
    """Lines across half of the forehead or of the nose."""
    return [
        [(start + (end - start) * t, y + sag * (1 - (2 * t - 1) ** 2)) for t in (0, 0.25, 0.5, 0.75, 1)]
        for y in heights
    ]


KINDS: Final[dict[str, tuple[list[Line], float, float, dict[int, float]]]] = {
    # name: lines, half width, depth, action units that deepen it (at intensity 5)
    "crow's feet": (_fan(0.53, 0.0, (-38, -16, 6, 28, 48), 0.02, 0.22), 0.011, 0.019, {6: 1.0, 7: 0.2}),
    "infraorbital furrow": (
        [[(0.17, 0.075), (0.24, 0.125), (0.34, 0.145), (0.44, 0.115), (0.52, 0.06)],
         [(0.22, 0.20), (0.32, 0.225), (0.42, 0.195)]],
        0.018, 0.022, {6: 1.0, 7: 0.4},
    ),
    "nose root": (
        [*_across((0.02, 0.075, 0.13), 0.0, 0.085, -0.012), [(0.06, 0.10), (0.10, 0.20), (0.105, 0.30)]],
        0.012, 0.020, {9: 1.0},
    ),
    "glabella": ([[(0.055, -0.13), (0.062, -0.20), (0.055, -0.30)], [(0.10, -0.17), (0.12, -0.25)]], 0.014, 0.016,
                 {4: 1.0, 9: 0.35}),
    "inner forehead": (_across((-0.42, -0.50, -0.58), 0.0, 0.26, -0.015), 0.017, 0.015, {1: 1.0}),
    "outer forehead": (_across((-0.40, -0.48, -0.56), 0.22, 0.52, 0.02), 0.017, 0.014, {2: 1.0}),
    "nasolabial": ([[(0.165, 0.42), (0.235, 0.52), (0.30, 0.64), (0.345, 0.76), (0.35, 0.84)]], 0.022, 0.020,
                   {12: 0.8, 9: 0.8, 10: 0.9, 14: 0.3, 20: 0.3}),
    "dimple": ([[(0.335, 0.735), (0.355, 0.775), (0.345, 0.825)]], 0.020, 0.022, {14: 1.0, 12: 0.25}),
    "chin": (
        [[(0.02, 1.04), (0.05, 1.03), (0.07, 1.06)], [(0.0, 1.10), (0.03, 1.11), (0.06, 1.10)],
         [(0.09, 1.07), (0.11, 1.11)], [(0.0, 0.965), (0.08, 0.97), (0.16, 0.995)]],
        0.016, 0.012, {17: 1.0},
    ),
    "mouth corner": ([[(0.30, 0.80), (0.335, 0.87), (0.34, 0.94)]], 0.016, 0.014, {15: 1.0, 20: 0.5}),
}  # fmt: skip


def relief_maps(
    front: Floats, uv: Floats, corner: tuple[int, int], shape: tuple[int, int], scale: float, rng: np.random.Generator
) -> tuple[NDArray[np.int8], Floats]:
    """Slopes of every kind's heights over the texture.

    Args:
        front: (V, 2) places of vertices in the front view. uv: (V, 2) their texels.
        corner: first column and row. shape: rows and columns of the map.
        scale: texels in one distance of the outer eye corners.
        rng: every person's lines run a little otherwise.

    Returns:
        (rows, columns, 2, C) slopes along u and v, 127 the steepest; and what 127 stands for, (C,), in distances of the
        outer eye corners per texel.
    """
    look_up = LinearNDInterpolator(front, uv)
    maps, steepest = [], []
    for lines, width, depth, _ in KINDS.values():
        drawn = np.zeros(shape, np.float32)
        for line in lines:
            wobble = rng.normal(0, 0.008, (len(line), 2)) * [1, 1]
            deep = rng.uniform(0.55, 1.0)
            for side in (-1.0, 1.0):
                knots = np.array(line) + wobble + rng.normal(0, 0.004, (len(line), 2))
                fine = np.linspace(0, len(line) - 1, 6 * len(line))
                path = np.stack([np.interp(fine, np.arange(len(line)), knots[:, i]) for i in (0, 1)], axis=1)
                texels = look_up(path * [side, 1]) - np.array(corner)
                texels = texels[np.isfinite(texels).all(axis=1)]
                own = np.zeros(shape, np.float32)
                if len(texels) > 1:
                    cv2.polylines(own, [np.round(texels * 16).astype(np.int32)], False, deep, 2, cv2.LINE_AA, 4)
                drawn = np.maximum(drawn, own)
        blurred = cv2.GaussianBlur(drawn, (0, 0), max(width * scale, 0.8))
        wide = cv2.GaussianBlur(drawn, (0, 0), 2.2 * max(width * scale, 0.8))
        # A furrow between two low folds: the skin that it takes in is pushed up beside it.
        height = -(blurred - 0.55 * wide)
        height *= 1.4 * depth / max(float(np.abs(height).max()), 1e-6)
        along_v, along_u = np.gradient(height)
        slopes = np.stack([along_u, along_v], axis=-1)
        most = max(float(np.abs(slopes).max()), 1e-9)
        maps.append(np.round(slopes / most * 127))
        steepest.append(most)
    return np.stack(maps, axis=-1).astype(np.int8), np.array(steepest)


def strengths(aus: Floats, order: tuple[int, ...], age: float, depth: float) -> Floats:
    """(2, C) how deep each kind is on the subject's right and left.

    Args:
        aus: (2, A) intensities 0 to 5. order: their numbers.
        age: 0 young to 1 old: lines that stay, and deeper ones.
        depth: of this person's skin.
    """
    out = np.zeros((2, len(KINDS)))
    for place, (_, _, _, moved_by) in enumerate(KINDS.values()):
        for au, weight in moved_by.items():
            out[:, place] += weight * (aus[:, order.index(au)] / 5) ** 1.2
    resting = 0.55 * max(age - 0.3, 0.0)
    return np.asarray(depth * (resting + (0.55 + 0.8 * age) * np.clip(out, 0, 1.3)))
