"""The 68 landmarks as vertices of MakeHuman's base mesh.

Found by rendering neutral heads from the front, letting MediaPipe find their landmarks, and taking for each the visible
vertex that lies nearest over all of them, the two sides being mirror images, and those of the lower lip going with the
jaw.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.synthetic.modelled.bake import heads

VERTICES: Final[tuple[int, ...]] = (
    5769, 5236, 5750, 5205, 5241, 893, 5295, 727, 747, 7449, 11901, 7595, 11850, 11816, 12347, 11845, 12366,  # jaw
    261, 225, 224, 205, 208, 6983, 6980, 6998, 6999, 7030,  # brows
    136, 131, 201, 294, 358, 313, 317, 7076, 7119,  # nose
    1061, 7, 4865, 4870, 1071, 1068, 11488, 11483, 6791, 7753, 7760, 7763,  # eyes
    3736, 411, 456, 455, 7215, 7171, 10404, 7233, 7241, 492, 486, 478,  # outer lip
    499, 453, 468, 7213, 7248, 7280, 540, 535,  # inner lip
)  # fmt: skip
"""Numbers in the base mesh, in the order of `duchenne.facs.LANDMARK_GROUPS`."""


@cache
def landmark_rows() -> NDArray[np.int64]:
    """(68,) rows of the kept vertices (see `bake.Heads.vertices`)."""
    places = {int(number): row for row, number in enumerate(heads().vertices)}
    return np.array([places[number] for number in VERTICES])
