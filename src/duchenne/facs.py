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

FACIAL_AREAS: Final[dict[int, str]] = {
    1: "forehead",
    2: "right brow and eye",
    3: "left brow and eye",
    4: "glabella and nose root",
    5: "right cheek and nasolabial furrow",
    6: "left cheek and nasolabial furrow",
    7: "mouth",
    8: "chin",
}
"""Eight rectangular areas of the face, numbered as in the knowledge-driven paper (see `methods/knowledge_driven`).

Right and left are the subject's. Inference: the paper prints numbers only; what each shows follows from its Table 1
(AUs judged in each) and its text (2 and 3 are counterparts, 5 and 6 hold the nasolabial furrows); which of a pair is
the right one is ours.
"""

AREA_BOXES: Final[tuple[str, ...]] = (
    "17; min 17-26 -0.9; 26; min 17-26",
    "17 -0.1; min 17-21 -0.1; 27; max 40,41 +0.15",
    "27; min 22-26 -0.1; 26 +0.1; max 46,47 +0.15",
    "21 -0.15; min 20-23; 22 +0.15; 29",
    "mean 1,17; 41 +0.1; 33; 48",
    "33; 46 +0.1; mean 15,26; 54",
    "48 -0.2; 33; 54 +0.2; 57 +0.15",
    "48; 57; 54; 8",
)
"""Where the areas 1 to 8 lie: left; top; right; bottom edge, each a landmark or the min, max or mean of several
(`17-26` a range, `40,41` a list), shifted by a share of the distance of the eye centres (down and right positive).

Ours: the paper shows the boxes in a figure and does not say which landmarks bound them. Read by
`duchenne.faces.areas.parse_box`.
"""

AU_AREAS: Final[dict[int, tuple[int, ...]]] = {
    1: (1, 2, 3),
    2: (1, 2, 3),
    4: (2, 3, 4),
    5: (2, 3),
    6: (2, 3, 5, 6),
    7: (2, 3),
    9: (4, 5, 6),
    10: (5, 6, 7),
    12: (5, 6, 7),
    14: (7,),
    15: (7, 8),
    17: (7, 8),
    20: (5, 6, 7),
    23: (7,),
    24: (7,),
    25: (7, 8),
    26: (7, 8),
    45: (2, 3),
}
"""AU -> the areas in which it is judged: the knowledge-driven paper, Table 1; AU5, AU20 and AU45 are ours."""

AREA_GROUPS: Final[dict[tuple[int, ...], tuple[int, ...]]] = {
    (1, 2, 3, 4): (1, 2, 4),
    (2, 3, 5, 6): (5, 6, 7, 45),
    (4, 5, 6, 7): (9, 10, 12, 20),
    (7,): (14, 23, 24),
    (7, 8): (15, 17, 25, 26),
}
"""Areas -> the AUs that one classifier judges from them: the knowledge-driven paper, Table 2; AU5, AU20 and AU45 are
ours. Each group holds the areas of all its AUs, so some AUs are judged from more areas than `AU_AREAS` says."""

SYMMETRIC_AREAS: Final[tuple[tuple[int, int], ...]] = ((2, 3), (5, 6))
"""Right and left counterparts. Inference: the paper names 2 and 3; 5 and 6 follow from Table 1."""

AREA_RELATIONS: Final[dict[tuple[int, int], tuple[int, ...]]] = {
    (1, 2): (1, 2),
    (1, 3): (1, 2),
    (2, 3): (1, 2, 4, 6, 7),
    (2, 4): (4,),
    (2, 5): (6,),
    (3, 4): (4,),
    (3, 6): (6,),
    (4, 5): (9,),
    (4, 6): (9,),
    (5, 6): (6, 9, 10, 12),
    (5, 7): (10, 12),
    (6, 7): (10, 12),
    (7, 8): (15, 17, 25, 26),
}
"""Related areas -> the AUs of the paper's Table 1 that both show.

The paper says that there are 26 arrows and draws them. Inference: pairs that share an AU in Table 1 are 15; without
eye and cheek of opposite sides (2-6 and 3-5, joined by AU6 alone), which is the only anatomically senseless pair of
pairs, 13 remain, and 26 directions.
"""

AREA_EDGES: Final[tuple[tuple[int, int], ...]] = tuple(
    sorted(edge for pair in AREA_RELATIONS for edge in (pair, pair[::-1]))
)
"""The 26 directed edges (source, target): the source's embedding predicts the target's."""
