"""Facts of the Facial Action Coding System (FACS): action units, their muscles, the sets that the data sets code,
and the 68-point landmark scheme. Imports nothing heavy.

Source: Ekman, Friesen & Hager, Facial Action Coding System, 2002; AU sets of the data sets: as used by all five
papers that this library implements.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class ActionUnit(NamedTuple):
    """One action unit: its FACS number, name, and the muscles that produce it."""

    number: int
    name: str
    muscles: str


_TABLE = (
    (1, "inner brow raiser", "frontalis, pars medialis"),
    (2, "outer brow raiser", "frontalis, pars lateralis"),
    (4, "brow lowerer", "corrugator supercilii, depressor supercilii, procerus"),
    (5, "upper lid raiser", "levator palpebrae superioris"),
    (6, "cheek raiser", "orbicularis oculi, pars orbitalis"),
    (7, "lid tightener", "orbicularis oculi, pars palpebralis"),
    (9, "nose wrinkler", "levator labii superioris alaeque nasi"),
    (10, "upper lip raiser", "levator labii superioris"),
    (12, "lip corner puller", "zygomaticus major"),
    (14, "dimpler", "buccinator"),
    (15, "lip corner depressor", "depressor anguli oris"),
    (17, "chin raiser", "mentalis"),
    (20, "lip stretcher", "risorius, platysma"),
    (23, "lip tightener", "orbicularis oris"),
    (24, "lip pressor", "orbicularis oris"),
    (25, "lips part", "depressor labii inferioris, or relaxed mentalis or orbicularis oris"),
    (26, "jaw drop", "masseter, relaxed temporalis and internal pterygoid"),
    (45, "blink", "relaxed levator palpebrae superioris, orbicularis oculi, pars palpebralis"),
)
ACTION_UNITS: Final[dict[int, ActionUnit]] = {row[0]: ActionUnit(*row) for row in _TABLE}
"""Every action unit that the library knows, by FACS number, in ascending order."""

AU_SETS: Final[dict[str, tuple[int, ...]]] = {
    "bp4d": (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
    "disfa": (1, 2, 4, 6, 9, 12, 25, 26),
    "gft": (1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
    "emotionet": (1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26),
}
"""The AUs that published results report, by data set."""

EMOTIONS: Final[tuple[str, ...]] = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
)  # fmt: skip
"""Emotion labels, in AffectNet's order of codes 0 to 7."""


def au_column(number: int) -> str:
    """The column of an AU's occurrence (0, 1 or null): `AU01` for 1."""
    return f"AU{number:02d}"


def intensity_column(number: int) -> str:
    """The column of an AU's intensity (0 to 5 or null): `AU01_i` for 1."""
    return f"AU{number:02d}_i"


LANDMARK_GROUPS: Final[dict[str, range]] = {
    "jaw": range(17),
    "right_brow": range(17, 22),
    "left_brow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nose_base": range(31, 36),
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "outer_lip": range(48, 60),
    "inner_lip": range(60, 68),
}
"""The 68-point scheme (0-based). Right and left are the subject's: the right eye is on the picture's left."""

LANDMARK_FLIP: Final[tuple[int, ...]] = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""Point i of a mirrored face is point LANDMARK_FLIP[i] of the original one."""
