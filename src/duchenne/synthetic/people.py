"""Identity, expression, pose and scene: the tensors that a picture is rendered from, and how they are drawn.

Everything is drawn from numpy generators that the caller seeds, in float64 on the CPU, so that the same seed gives the
same faces on every device and for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from duchenne.synthetic.anatomy import CHIN, CROWN, PAIRED, SYNTH_AUS

STYLES: Final = ("natural", "drawn")
"""Rendering styles: shaded skin with texture; flat tones with lines."""
NOISE_SIDE: Final = 48


@dataclass
class TensorRows:
    """A dataclass whose fields are tensors with one row per picture."""

    def to(self, device: torch.device | str) -> Self:
        """The same rows on another device."""
        return type(self)(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Rows of several one after the other."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass
class Identity(TensorRows):
    """Who is seen; one row per person (or one row for all pictures of a batch).

    Attributes:
        head: (B, 5) half width, depth, crown, chin, jaw of `head.Egg`.
        points: (B, 21, 2) offsets of the paired control points (`anatomy.PAIRED`) from the average face.
        skew: (B, 21, 2) asymmetry: added on the subject's left, subtracted on the right.
        middle: (B, 9) offsets of the midline control points.
        relief: (B, 8) factors of nose bridge, nose tip, nose wings, brow ridge, cheekbones, lips, chin, sockets.
        brow: (B, 3) thickness (units), density 0-1, darkness 0-1.
        skin: (B, 3) colour in [0, 1].
        hair: (B, 3) colour.
        iris: (B, 3) colour.
        lips: (B, 3) colour.
        hairline: (B, 4) heights at the midline, the temple corner, the side; recession.
        hair_shape: (B, 3) volume (units), length below the ears (units, 0 short), present 0/1.
        age: (B,) 0 young to 1 old: resting lines.
        marks: (B, 2) freckles 0-1, moles 0-1.
        beard: (B, 3) stubble or beard, moustache, length; 0-1.
        glasses: (B, 3) present 0/1, rim thickness, darkness.
        noise: (B, 3, 48, 48) standard normal skin texture.
        clothes: (B, 3) colour.
    """

    head: Tensor
    points: Tensor
    skew: Tensor
    middle: Tensor
    relief: Tensor
    brow: Tensor
    skin: Tensor
    hair: Tensor
    iris: Tensor
    lips: Tensor
    hairline: Tensor
    hair_shape: Tensor
    age: Tensor
    marks: Tensor
    beard: Tensor
    glasses: Tensor
    noise: Tensor
    clothes: Tensor


@dataclass
class Expression(TensorRows):
    """What the face does.

    Attributes:
        aus: (B, 2, 18) intensity 0-5 of `anatomy.SYNTH_AUS` on the subject's right and left.
        gaze: (B, 2) to the picture's right and down, in degrees.
    """

    aus: Tensor
    gaze: Tensor


@dataclass
class Scene(TensorRows):
    """Everything but the person.

    Attributes:
        light: (B, 3) direction towards the key light in camera space, unit length.
        key: (B, 3) colour of the key light.
        ambient: (B, 3) colour of the light from everywhere.
        background: (B, 3, 6, 6) colours, spread smoothly over the frame.
        clutter: (B, 3) strength, orientation (rad) and frequency (cycles a frame) of the background's pattern.
        camera: (B, 3) head size (outer-eye distance as a share of the frame's side), position of the middle between
            the eyes at rest (x, y; shares of the side).
        blur: (B,) standard deviation in shares of the frame's side.
        noise: (B,) standard deviation of the sensor noise, in [0, 1] grey levels.
        style: (B,) 0 natural, 1 drawn.
    """

    light: Tensor
    key: Tensor
    ambient: Tensor
    background: Tensor
    clutter: Tensor
    camera: Tensor
    blur: Tensor
    noise: Tensor
    style: Tensor


_SKINS: Final = np.array(
    [
        (0.96, 0.82, 0.74),
        (0.93, 0.76, 0.65),
        (0.86, 0.67, 0.54),
        (0.76, 0.56, 0.42),
        (0.60, 0.42, 0.30),
        (0.42, 0.29, 0.21),
    ]
)
_HAIRS: Final = np.array(
    [
        (0.07, 0.06, 0.06),
        (0.16, 0.10, 0.07),
        (0.31, 0.20, 0.12),
        (0.50, 0.35, 0.18),
        (0.76, 0.60, 0.36),
        (0.50, 0.20, 0.09),
        (0.62, 0.61, 0.60),
    ]
)
_IRISES: Final = np.array(
    [(0.24, 0.14, 0.08), (0.38, 0.25, 0.12), (0.36, 0.40, 0.22), (0.32, 0.47, 0.60), (0.45, 0.50, 0.52)]
)


def draw_identity(rng: np.random.Generator) -> Identity:
    """One person, as a batch of one row."""
    normal, uniform = rng.standard_normal, rng.uniform
    offsets: dict[str, tuple[float, float]] = {}
    width, length = 0.03 * normal(), 0.03 * normal()  # whole features move together: this is what makes people differ
    brow_height, brow_tilt, brow_gap, brow_arch = normal(4) * (0.022, 0.020, 0.020, 0.014)
    for place, tilt, arch, gap in zip(range(5), (1, 0.4, -0.2, -0.6, -1), (0, 1, 0.8, 0.2, 0), (0.5, 0.8, 0.9, 1, 1)):
        offsets[f"brow_{place}"] = (brow_gap * gap, brow_height + brow_tilt * tilt - brow_arch * arch)
    eye_open, eye_tilt, eye_gap = normal(3) * (0.008, 0.013, 0.010)
    offsets["eye_upper_outer"] = (0.0, -eye_open - 0.4 * eye_tilt)
    offsets["eye_upper_inner"] = (0.0, -eye_open + 0.3 * eye_tilt)
    offsets["eye_lower_outer"] = (0.0, 0.35 * eye_open - 0.4 * eye_tilt)
    offsets["eye_lower_inner"] = (0.0, 0.35 * eye_open + 0.3 * eye_tilt)
    offsets["eye_inner"] = (eye_gap, 0.6 * eye_tilt)
    nose_width, nose_length = 0.022 * normal(), 0.03 * normal() + 0.5 * length
    offsets["nose_wing"] = (nose_width, nose_length)
    offsets["nose_base"] = (0.5 * nose_width, nose_length)
    mouth_width, mouth_height = 0.028 * normal() + 0.5 * width, 0.025 * normal() + length
    upper, lower, corner = normal(3) * (0.014, 0.018, 0.012)
    offsets["mouth_corner"] = (mouth_width, mouth_height + corner)
    offsets["inner_corner"] = (mouth_width, mouth_height + corner)
    offsets["lip_upper_outer"] = (0.6 * mouth_width, mouth_height - 0.5 * upper + 0.5 * corner)
    offsets["lip_upper_peak"] = (0.2 * mouth_width, mouth_height - upper)
    offsets["lip_lower_peak"] = (0.25 * mouth_width, mouth_height + lower)
    offsets["lip_lower_outer"] = (0.6 * mouth_width, mouth_height + 0.5 * lower + 0.5 * corner)
    offsets["inner_upper"] = offsets["inner_lower"] = (0.35 * mouth_width, mouth_height)
    points = np.array([offsets.get(name, (0.0, 0.0)) for name in PAIRED])
    middle = np.array([0.0, 0.3 * nose_length, 0.6 * nose_length, 0.9 * nose_length, nose_length,
                       mouth_height - 0.9 * upper, mouth_height + lower, mouth_height, mouth_height])  # fmt: skip
    chin = CHIN + 0.060 * normal() + 0.6 * length + max(0.0, mouth_height) * 0.5
    head = np.array(
        [0.80 + 0.042 * normal(), 0.98 + 0.03 * normal(), CROWN + 0.05 * normal(), chin, 1.0 + 0.085 * normal()]
    )
    age = float(np.clip(uniform(-0.2, 1.0), 0.0, 1.0))
    tone = uniform(0, len(_SKINS) - 1)
    skin = _between(_SKINS, tone) * (1 + 0.03 * normal(3))
    dark = tone > 3.2
    hair = _HAIRS[rng.integers(0, 2 if dark else 6)] * (1 + 0.1 * normal(3))
    if age > 0.7 and uniform() < 0.6:
        hair = hair * 0.35 + _HAIRS[6] * 0.65
    iris = _IRISES[0 if dark else rng.integers(0, len(_IRISES))] * (1 + 0.1 * normal(3))
    lips = skin * np.array([0.86, 0.62, 0.62]) + np.array([0.03, 0.0, 0.01]) + 0.02 * normal(3)
    if uniform() < 0.2:  # lipstick
        lips = lips * 0.55 + 0.45 * np.array([0.70, 0.12, 0.20]) * uniform(0.6, 1.1)
    bald, long_hair = uniform() < 0.08, uniform() < 0.45
    length_hair = uniform(0.7, 1.9) if long_hair and not bald else 0.0
    bearded = not long_hair and uniform() < 0.45
    beard = np.array(
        [
            uniform(0.2, 1.0) if bearded and uniform() < 0.8 else 0.0,
            uniform(0.3, 1.0) if bearded and uniform() < 0.6 else 0.0,
            uniform(),
        ]
    )
    hairline = np.array(
        [-0.86 + 0.09 * normal(), -0.62 + 0.07 * normal(), -0.10 + 0.08 * normal(), max(0.0, 0.3 * normal())]
    )
    return Identity(
        head=_row(head),
        points=_row(points),
        skew=_row(0.005 * normal((21, 2))),
        middle=_row(middle),
        relief=_row(np.clip(1 + np.array([0.3, 0.18, 0.25, 0.5, 0.4, 0.3, 0.4, 0.3]) * normal(8), 0.3, 1.9)),
        brow=_row(np.array([0.052 + 0.014 * normal(), uniform(0.55, 1.0), uniform(0.5, 1.0)])),
        skin=_row(np.clip(skin, 0.05, 1)),
        hair=_row(np.clip(hair, 0.02, 1)),
        iris=_row(np.clip(iris, 0.02, 1)),
        lips=_row(np.clip(lips, 0.03, 1)),
        hairline=_row(hairline),
        hair_shape=_row(np.array([uniform(0.03, 0.14) + 0.05 * long_hair, length_hair, 0.0 if bald else 1.0])),
        age=_row(np.array(age)),
        marks=_row(np.array([max(0.0, uniform(-1.5, 1.0)), max(0.0, uniform(-0.7, 1.0))])),
        beard=_row(beard),
        glasses=_row(np.array([float(uniform() < 0.18), uniform(0.010, 0.028), uniform(0.3, 1.0)])),
        noise=_row(normal((3, NOISE_SIDE, NOISE_SIDE))),
        clothes=_row(uniform(0.05, 0.9, 3)),
    )  # fmt: skip


def draw_scene(rng: np.random.Generator, style: int | None = None) -> Scene:
    """One scene, as a batch of one row; `style` is drawn where None."""
    azimuth, height = np.deg2rad(rng.uniform(-65, 65)), np.deg2rad(rng.uniform(0, 55))
    light = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
    warmth = rng.normal(0, 0.06)
    colour = np.array([1 + warmth, 1.0, 1 - warmth])
    strength = rng.uniform(0.45, 0.80)
    base = rng.uniform(0.1, 0.9, 3) * rng.uniform(0.4, 1.0)
    grey = base.mean() + rng.uniform(0.2, 1.0) * (base - base.mean())
    light_and_dark = rng.standard_normal((1, 6, 6)) + 0.35 * rng.standard_normal((3, 6, 6))
    cloth = grey[:, None, None] + rng.uniform(0.02, 0.16) * light_and_dark
    drawn = int(rng.integers(0, len(STYLES)))
    return Scene(
        light=_row(light),
        key=_row(colour * strength),
        ambient=_row(np.array([1 - 0.5 * warmth, 1.0, 1 + 0.5 * warmth]) * (1.18 - strength) * rng.uniform(0.85, 1.05)),
        background=_row(np.clip(cloth, 0.02, 0.98)),
        clutter=_row(np.array([max(0.0, rng.uniform(-0.1, 0.12)), rng.uniform(0, np.pi), rng.uniform(2, 9)])),
        camera=_row(np.array([rng.uniform(0.235, 0.265), 0.5 + rng.normal(0, 0.012), 0.44 + rng.normal(0, 0.012)])),
        blur=_row(np.array(abs(rng.normal(0, 0.0028)))),
        noise=_row(np.array(rng.uniform(0.003, 0.022))),
        style=_row(np.array(drawn if style is None else style)),
    )  # fmt: skip


def still_expression(rows: int = 1) -> Expression:
    """Neutral faces that look ahead."""
    return Expression(aus=torch.zeros(rows, 2, len(SYNTH_AUS)), gaze=torch.zeros(rows, 2))


def _row(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32)[None].copy())


def _between(table: np.ndarray, place: float) -> np.ndarray:
    low = min(int(place), len(table) - 2)
    return np.asarray(table[low] + (place - low) * (table[low + 1] - table[low]))
