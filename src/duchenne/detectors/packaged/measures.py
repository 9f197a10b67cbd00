"""What MediaPipe says of a face that bears on action units: log odds of blendshapes, and geometry with pose taken out.

The 478 points are three-dimensional. Before anything is measured they are turned, scaled and moved so that points
which the face hardly moves (nose bridge, temples, upper forehead, eye corners) lie on those of a neutral mean face, so
that a height is a height of the face and not of the picture. The unit is the distance of the eyes of that mean face.

Everything here is written in operations that numpy and torch share, because the exported graph must compute the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.faces.landmarks import BLENDSHAPES

MESH_POINTS: Final = 478
RIGID: Final = (
    10, 151, 9, 8, 168, 6, 197, 195, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454,
    133, 362, 33, 263, 4, 5, 98, 327,
)  # fmt: skip
"""Mesh points that expressions hardly move, by which faces are aligned."""
_TURNS: Final = 24
_TINY: Final = 1e-7
"""Added to a blendshape before its logarithm: cheekSquint and noseSneer never exceed 1e-5, and still rank."""
_FULL: Final = 1e-3
_Entries = list[tuple[int, float]]  # rows and weights of a column
Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""Mesh points of the subject's right and left side, in corresponding order; midline points stand on both."""


@dataclass(frozen=True)
class LogOdds:
    """log((p + 1e-7) / (1 - p + 1e-3)) of a blendshape; `name` without Left or Right where it has sides."""

    name: str


@dataclass(frozen=True)
class Height:
    """How far `points` lie above `over`, up being the aligned face's."""

    points: Pair
    over: Pair


@dataclass(frozen=True)
class Distance:
    """Mean distance of corresponding points; as a share of `per`'s where that is given."""

    start: Pair
    end: Pair
    per: tuple[Pair, Pair] | None = None


def _mid(*points: int) -> Pair:
    return points, points


_EYE_CORNERS: Final[Pair] = ((33, 133), (263, 362))
_LIP_LINE: Final = _mid(13, 14)
_NOSE_BASE: Final = _mid(2, 94)

MEASURES: Final[dict[str, LogOdds | Height | Distance]] = {
    **{
        name: LogOdds(name)
        for name in (
            "browInnerUp", "browOuterUp", "browDown", "eyeWide", "eyeSquint", "eyeBlink", "cheekSquint", "noseSneer",
            "mouthUpperUp", "mouthSmile", "mouthDimple", "mouthFrown", "mouthStretch", "mouthPress", "mouthRollLower",
            "mouthRollUpper", "mouthShrugLower", "jawOpen",
        )
    },
    "inner_brow_height": Height(((107, 66, 55, 65), (336, 296, 285, 295)), ((133,), (362,))),
    "outer_brow_height": Height(((70, 63, 105, 53), (300, 293, 334, 283)), ((33,), (263,))),
    "brow_gap": Distance(((107, 55), (336, 285)), _mid(9, 8)),
    "eye_opening": Distance(((159, 158, 160), (386, 385, 387)), ((145, 153, 144), (374, 380, 373)), (
        ((33,), (263,)), ((133,), (362,)),
    )),
    "upper_lid_height": Height(((159, 158, 160), (386, 385, 387)), _EYE_CORNERS),
    "lower_lid_height": Height(((145, 153, 144), (374, 380, 373)), _EYE_CORNERS),
    "cheek_height": Height(((50, 117, 101, 118, 36, 205), (280, 346, 330, 347, 266, 425)), _EYE_CORNERS),
    "nose_wing_height": Height(((48, 64, 129), (278, 294, 358)), _EYE_CORNERS),
    "upper_lip_height": Height(((37, 39, 0), (267, 269, 0)), _NOSE_BASE),
    "lip_corner_height": Height(((61, 78), (291, 308)), _LIP_LINE),
    "mouth_width": Distance(((61,), (291,)), _mid(0)),
    "lip_thickness": Distance(((0, 37, 17, 84), (0, 267, 17, 314)), ((13, 82, 14, 87), (13, 312, 14, 317))),
    "inner_lip_gap": Distance(((13, 82, 81), (13, 312, 311)), ((14, 87, 178), (14, 317, 402))),
    "jaw_height": Height(_mid(152, 175), _NOSE_BASE),
}  # fmt: skip
"""Every measure by name. Heights and distances are in inter-ocular distances of the mean face."""

COMBINATIONS: Final[dict[int, dict[str, float]]] = {
    1: {"browInnerUp": 1, "inner_brow_height": 1},
    2: {"browOuterUp": 1, "outer_brow_height": 1},
    4: {"browDown": 1, "brow_gap": -1, "inner_brow_height": -0.5},
    5: {"eyeWide": 1, "upper_lid_height": 1},
    6: {"cheekSquint": 1, "cheek_height": 1, "eye_opening": -1},
    7: {"eyeSquint": 1, "lower_lid_height": 1, "eye_opening": -1},
    9: {"noseSneer": 1, "nose_wing_height": 1, "inner_brow_height": -0.5},
    10: {"mouthUpperUp": 1, "upper_lip_height": 1},
    12: {"mouthSmile": 1, "mouth_width": 1},
    14: {"mouthDimple": 1},
    15: {"mouthFrown": 1, "lip_corner_height": -1},
    17: {"mouthShrugLower": 1},
    20: {"mouthStretch": 1, "mouth_width": 1, "lip_corner_height": -0.5},
    23: {"mouthRollLower": 1, "mouthRollUpper": 1, "lip_thickness": -1},
    24: {"mouthPress": 1, "lip_thickness": -1},
    25: {"inner_lip_gap": 1},
    26: {"jawOpen": 1, "jaw_height": -1},
    45: {"eyeBlink": 1, "eye_opening": -1},
}
"""Action unit -> its measures and their weights, each measure in standard deviations over neutral faces.

Ours, and set by hand from what the FACS manual says moves; no label had a part in them. Equal weights unless a measure
also belongs to another movement that comes with this one (brows go up and down in sadness): then half.
"""


def aligned(mesh: Any, template: Any) -> Any:
    """(N, 478, 3) points turned, scaled and moved onto the mean face by their rigid points.

    The least-squares similarity (Horn 1987; Umeyama 1991). The rotation is the orthogonal factor of the cross
    covariance, found by Newton-Schulz steps, X <- 1.5 X - 0.5 X X'X, which any runtime computes alike.

    Args:
        mesh: (N, 478, 3) with x to the right, y down, z away from the camera, all in one unit.
        template: (R, 3) the rigid points of the mean face, of mean 0, in inter-ocular distances.
    """
    rigid = mesh[:, list(RIGID)]
    middle = rigid.mean(1)[:, None]
    centred = rigid - middle
    cross = centred.swapaxes(1, 2) @ template
    turn = cross / ((cross * cross).sum(2).sum(1) ** 0.5)[:, None, None]
    for _ in range(_TURNS):
        turn = 1.5 * turn - 0.5 * (turn @ turn.swapaxes(1, 2) @ turn)
    scale = (cross * turn).sum(2).sum(1) / (centred * centred).sum(2).sum(1)
    return ((mesh - middle) @ turn) * scale[:, None, None]


def log_odds(blendshapes: Any, xp: Any) -> Any:
    """The log odds of `LogOdds`, of all 52 blendshapes: (N, 52) of `xp`, which is `numpy` or `torch`."""
    return xp.log((blendshapes + _TINY) / (1 - blendshapes + _FULL))


def measured(mesh: Any, blendshapes: Any, xp: Any) -> Any:
    """All measures of faces.

    Args:
        mesh: (N, 478, 3) as `aligned` gives it.
        blendshapes: (N, 52) in 0 to 1.
        xp: `numpy` or `torch`, of which the two arrays are.

    Returns:
        (N, 2, len(MEASURES)): right and left side of the subject; equal where there is only one value.
    """
    plan = _plan()

    def matrix(values: NDArray[np.float64]) -> Any:
        return xp.asarray(values, dtype=mesh.dtype)

    odds = log_odds(blendshapes, xp)[:, plan.blendshapes]
    heights = mesh[:, :, 1] @ matrix(plan.heights)
    apart = mesh[:, plan.starts] - mesh[:, plan.ends]
    lengths = (apart * apart).sum(2) ** 0.5
    distances = (lengths @ matrix(plan.distances)) / (lengths @ matrix(plan.per) + matrix(plan.alone))
    kinds = [one.reshape(-1, 2, one.shape[1] // 2) for one in (odds, heights, distances)]
    return xp.concatenate(kinds, 2)[:, :, plan.order]


@dataclass(frozen=True)
class _Plan:
    """`MEASURES` as indices and averaging matrices; columns: all of the right side, then all of the left.

    Attributes:
        blendshapes: of the log odds.
        heights: (478, 2 H) from y, which points down, to heights.
        starts, ends: (P,) of all pairs of points.
        distances: (P, 2 D) from their lengths to mean distances. per: the same to what they are a share of.
        alone: (2 D,) 1 for distances that are no share of another.
        order: of `MEASURES` among log odds, heights, distances.
    """

    blendshapes: list[int]
    heights: NDArray[np.float64]
    starts: list[int]
    ends: list[int]
    distances: NDArray[np.float64]
    per: NDArray[np.float64]
    alone: NDArray[np.float64]
    order: list[int]


@cache
def _plan() -> _Plan:
    names: dict[type, list[str]] = {LogOdds: [], Height: [], Distance: []}
    for name, measure in MEASURES.items():
        names[type(measure)].append(name)
    pairs: list[tuple[int, int]] = []
    shapes: list[int] = []
    heights: list[_Entries] = []
    distances: list[_Entries] = []
    pers: list[_Entries] = []
    for side in (0, 1):
        for measure in MEASURES.values():
            if isinstance(measure, LogOdds):
                own = measure.name if measure.name in BLENDSHAPES else measure.name + ("Right", "Left")[side]
                shapes.append(BLENDSHAPES.index(own))
            elif isinstance(measure, Height):
                heights.append(
                    [(point, 1 / len(measure.over[side])) for point in measure.over[side]]
                    + [(point, -1 / len(measure.points[side])) for point in measure.points[side]]
                )
            else:
                for kept, two in ((distances, (measure.start, measure.end)), (pers, measure.per)):
                    own_pairs = list(zip(two[0][side], two[1][side], strict=True)) if two else []
                    kept.append([(len(pairs) + place, 1 / len(own_pairs)) for place in range(len(own_pairs))])
                    pairs += own_pairs

    def columns(rows: int, given: list[_Entries]) -> NDArray[np.float64]:
        out = np.zeros((rows, len(given)))
        for column, entries in enumerate(given):
            for row, weight in entries:
                out[row, column] += weight
        return out

    sorted_names = [name for kind in names.values() for name in kind]
    return _Plan(
        shapes,
        columns(MESH_POINTS, heights),
        [start for start, _ in pairs],
        [end for _, end in pairs],
        columns(len(pairs), distances),
        columns(len(pairs), pers),
        np.array([0.0 if own else 1.0 for own in pers]),
        [sorted_names.index(name) for name in MEASURES],
    )
