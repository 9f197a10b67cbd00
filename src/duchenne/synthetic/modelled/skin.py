"""Skin as a texture: one of MakeHuman's maps or a procedural one, with what makes people differ painted on it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from duchenne.synthetic.modelled.assets import asset, known
from duchenne.synthetic.modelled.bake import Heads
from duchenne.synthetic.modelled.mesh import Floats

SIDE: Final = 1024
"""Texels of the whole texture; the head takes about 370 x 700 of them."""
CORNER: Final = (625, 150)
"""First column and row of the head's part."""
SHAPE: Final = (728, 395)
"""Its rows and columns; its middle row is the midline of the face."""
_ABSORBS: Final = np.array([0.55, 1.0, 1.45])
"""How much melanin takes of red, green and blue."""
_PLAIN: Final = np.array([0.80, 0.60, 0.49])  # of the procedural skin, linear
_INSIDE: Final = ((0.85, 1.0, 0.74, 0.94), (0.92, 0.99, 0.61, 0.66), (0.35, 0.47, 0.0, 0.16))
"""Where the texture holds the inside of the mouth, the tongue and the sockets: top, bottom, left, right."""
Front = NDArray[np.float32]


def skins() -> dict[str, tuple[bool, bool]]:
    """MakeHuman's skins: name -> whether of a woman, whether dark."""
    names = [name for name in known() if "skinned" in name or "caucasian" in name]
    return {name: ("female" in name, "dark" in name) for name in names}


@cache
def _texture(name: str) -> NDArray[np.uint8]:
    picture = np.asarray(cv2.imread(str(asset(name)), cv2.IMREAD_COLOR_RGB))
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def front_view(places: Floats, uv: Floats) -> Front:
    """(rows, columns, 2) where each texel of the head lies in the front view; far away where it does not.

    Args:
        places: (V, 2) of vertices of the face in the front view, distances of the outer eye corners.
        uv: (V, 2) their texels.
    """
    columns, rows = np.meshgrid(np.arange(SHAPE[1]) + CORNER[0], np.arange(SHAPE[0]) + CORNER[1])
    found = LinearNDInterpolator(uv, places)(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    return np.nan_to_num(found, nan=9.0).reshape(*SHAPE, 2).astype(np.float32)


def _blob(front: Front, x: float, y: float, wide: float, high: float) -> NDArray[np.float32]:
    across = (np.abs(front[..., 0]) - x) / wide
    down = (front[..., 1] - y) / high
    return np.asarray(np.exp(-(across**2 + down**2)), dtype=np.float32)


def _noise(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    coarse = rng.standard_normal((cells * 2, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, SHAPE[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def draw_skin(
    rng: np.random.Generator, heads: Heads, front: Front, traits: Floats, *, mouth_y: float, brow: Any
) -> tuple[NDArray[np.uint8], Floats]:
    """One person's skin.

    Args:
        rng: of the person.
        heads: baked; without parts the skin is procedural.
        front: of `front_view`.
        traits: (3,) age, gender, share of African ancestry.
        mouth_y: height of the mouth in the front view.
        brow: colour of painted brows where there are no others, (3,) linear; None for none.

    Returns:
        (SIDE, SIDE, 3) uint8, square root of linear light; and the mean colour of the cheeks, (3,) linear.
    """
    _, gender, african = traits
    is_dark = rng.uniform() < 0.05 + 0.75 * african
    whole: Any
    if heads.parts:
        fitting = [
            name for name, (woman, dark) in skins().items() if dark == is_dark and (dark or woman == (gender < 0.5))
        ]
        whole = (_texture(str(rng.choice(sorted(fitting)))).astype(np.float32) / 255) ** 2
    else:
        whole = np.broadcast_to(_PLAIN, (SIDE, SIDE, 3)).astype(np.float32)
        for top, bottom, left, right in _INSIDE:
            whole[round(top * SIDE) : round(bottom * SIDE), round(left * SIDE) : round(right * SIDE)] = 0.12, 0.03, 0.03
    melanin = rng.uniform(-0.9, 0.1) if is_dark and heads.parts else rng.uniform(1.0, 2.6) if is_dark else (
        rng.choice([rng.uniform(-0.15, 0.35), rng.uniform(0.2, 1.1)])
    )  # fmt: skip
    whole *= np.exp(-melanin * _ABSORBS).astype(np.float32)
    whole *= np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    rows, columns = slice(CORNER[1], CORNER[1] + SHAPE[0]), slice(CORNER[0], CORNER[0] + SHAPE[1])
    face = whole[rows, columns]
    strength = rng.uniform(0.01, 0.06)
    face *= (1 + strength * _noise(rng, 24) + 0.5 * strength * _noise(rng, 90))[..., None]
    red = rng.uniform(-0.05, 0.30) * _blob(front, 0.42, 0.42, 0.20, 0.20)
    red += rng.uniform(-0.05, 0.25) * _blob(front, 0.0, 0.45, 0.10, 0.15)
    face *= 1 - red[..., None] * np.array([0.1, 0.55, 0.45], np.float32)
    if rng.uniform() < 0.25:
        spots = np.clip(_noise(rng, 110) - 1.0, 0, 1.2) * np.clip(_blob(front, 0.2, 0.35, 0.45, 0.35) * 1.5, 0, 1)
        face *= np.exp(-rng.uniform(0.2, 0.6) * spots[..., None] * _ABSORBS)
    dark_rings = rng.uniform(0, 0.45) * _blob(front, 0.33, 0.13, 0.16, 0.06)
    face *= 1 - dark_rings[..., None] * np.array([0.35, 0.5, 0.4], np.float32)
    if not heads.parts:
        lips = _blob(front, 0.0, mouth_y, 0.20, 0.075)
        face *= 1 - np.clip(1.3 * lips, 0, 1)[..., None] * np.array([0.15, 0.55, 0.5], np.float32)
    if gender > 0.5 and rng.uniform() < 0.6:
        _stubble(rng, face, front, mouth_y)
    if gender <= 0.5 and rng.uniform() < 0.45:
        _make_up(rng, face, front, mouth_y)
    if brow is not None:
        line = -0.24 - 0.10 * np.sin(np.clip((np.abs(front[..., 0]) - 0.10) / 0.5, 0, 1) * np.pi * 0.75)
        across = np.abs(front[..., 0])
        cover = np.exp(-(((front[..., 1] - line) / 0.035) ** 2)) * (across > 0.09) * (across < 0.58)
        cover = (cover * np.clip(0.75 + 0.3 * _noise(rng, 160), 0, 1))[..., None]
        face += cover * (np.asarray(brow, np.float32) - face)
    cheek = face[_blob(front, 0.40, 0.45, 0.12, 0.12) > 0.6].mean(axis=0)
    whole[rows, columns] = np.clip(face, 0, 1)
    return (np.sqrt(np.clip(whole, 0, 1)) * 255).astype(np.uint8), cheek.astype(np.float64)


def _stubble(rng: np.random.Generator, face: NDArray[np.float32], front: Front, mouth_y: float) -> None:
    y, x = front[..., 1], np.abs(front[..., 0])
    below = np.clip((y - (mouth_y - 0.12) + 0.55 * np.clip(x - 0.35, 0, 1)) / 0.12, 0, 1) * (y < 3)
    free = 1 - np.clip(1.6 * _blob(front, 0.0, mouth_y, 0.22, 0.075), 0, 1)
    grain = np.clip(0.65 + 0.45 * _noise(rng, 200), 0, 1)
    cover = (rng.uniform(0.1, 0.85) * below * free * grain)[..., None].astype(np.float32)
    face += cover * (np.array([0.035, 0.03, 0.03], np.float32) - face) * rng.uniform(0.5, 1.0)


def _make_up(rng: np.random.Generator, face: NDArray[np.float32], front: Front, mouth_y: float) -> None:
    lips = np.clip(1.5 * _blob(front, 0.0, mouth_y, 0.19, 0.06), 0, 1)
    colour = np.array([rng.uniform(0.3, 0.6), rng.uniform(0.02, 0.15), rng.uniform(0.04, 0.2)], np.float32)
    face += (rng.uniform(0.15, 0.6) * lips)[..., None] * (colour - face)
    lids = _blob(front, 0.33, -0.10, 0.16, 0.06)
    shade = rng.uniform(0.03, 0.4, 3).astype(np.float32)
    face += (rng.uniform(0, 0.45) * lids)[..., None] * (shade - face)
