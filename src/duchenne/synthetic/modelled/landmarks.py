"""The 68 landmarks as vertices of MakeHuman's base mesh.

Found by rendering 70 neutral heads in many poses, letting MediaPipe find their landmarks, and taking for each the
visible vertex that lies nearest over all of them, the two sides being mirror images, and those of the lower lip going
with the jaw.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.synthetic.modelled.bake import heads

VERTICES: Final[tuple[int, ...]] = (
    718, 5185, 5203, 5238, 5241, 737, 5295, 5292, 5296, 11898, 11901, 7457, 11850, 11847, 11814, 11797, 7441,  # jaw
    255, 225, 224, 205, 208, 6983, 6980, 6998, 6999, 7024,  # brows
    136, 131, 201, 294, 358, 313, 317, 7076, 7119,  # nose
    6758, 7, 4865, 70, 1071, 1068, 6854, 11483, 6791, 13354, 7760, 7763,  # eyes
    3736, 410, 456, 455, 7215, 7170, 10404, 7233, 7245, 492, 490, 478,  # outer lip
    499, 453, 468, 7213, 7248, 7236, 523, 481,  # inner lip
)  # fmt: skip
"""Numbers in the base mesh, in the order of `duchenne.facs.LANDMARK_GROUPS`."""


@cache
def landmark_rows() -> NDArray[np.int64]:
    """(68,) rows of the kept vertices (see `bake.Heads.vertices`)."""
    places = {int(number): row for row, number in enumerate(heads().vertices)}
    return np.array([places[number] for number in VERTICES])
