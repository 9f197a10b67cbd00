"""The first detector: MediaPipe's 52 blendshapes read as raw action unit scores, by one table.

Blendshapes are animation controls, each close to one facial movement and in 0 to 1. They are not calibrated: 0.4 is
neither a probability nor an intensity, and the same movement gives other values on another person. So the columns are
`AUxx_s`, raw scores; compare them within a person, against that person's resting face.

Source: the pairing is ours, by the movement that each blendshape's name describes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.detectors.base import Shown
from duchenne.faces.batch import FaceBatch
from duchenne.faces.landmarks import BLENDSHAPES
from duchenne.facs import au_column

AU_BLENDSHAPES: Final[dict[int, tuple[str, ...]]] = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    6: (),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    9: (),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    17: ("mouthShrugLower",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    24: ("mouthPressLeft", "mouthPressRight"),
    26: ("jawOpen",),
    45: ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""Action unit -> the blendshapes whose mean is its raw score; pairs are the subject's left and right side.

AU 6 and 9 have none and stay null: the model's cheekSquint and noseSneer are always 0, so the score would claim that
no cheek was ever raised. AU 11, 23, 25, 27 and 28 are left out: no blendshape describes them alone.
"""


def score_column(au: int) -> str:
    """The column of an AU's raw, uncalibrated score: `AU01_s` for 1."""
    return f"{au_column(au)}_s"


def side_columns() -> dict[str, tuple[str, ...]]:
    """`AUxx_left`, `AUxx_right` (the subject's) -> their blendshape, for the AUs that have one on each side."""
    found: dict[str, tuple[str, ...]] = {}
    for au, names in AU_BLENDSHAPES.items():
        if len(names) == 2:
            found |= {f"{au_column(au)}_left": names[:1], f"{au_column(au)}_right": names[1:]}
    return found


class BlendshapeModel(Shown):
    """`--model blendshapes`: the table `AU_BLENDSHAPES` as an `AuModel`."""

    name = "blendshapes"
    crop_px = None

    def __init__(self, *, sides: bool = False) -> None:
        """Builds the table.

        Args:
            sides: also give the left and the right side of those AUs that have them.
        """
        self._names = {score_column(au): names for au, names in AU_BLENDSHAPES.items()}
        if sides:
            self._names |= side_columns()
        self.columns = tuple(self._names)
        # One row per blendshape, one column per value: the mean as a product of matrices.
        self._weights = np.zeros((len(BLENDSHAPES), len(self.columns)), dtype=np.float32)
        for column, names in enumerate(self._names.values()):
            for name in names:
                self._weights[BLENDSHAPES.index(name), column] = 1.0 / len(names)
        self._blind = [column for column, names in enumerate(self._names.values()) if not names]

    def score(self, batch: FaceBatch) -> NDArray[np.float32]:
        """Raw scores of a batch of faces.

        Args:
            batch: its `blendshapes` (N, 52) in 0 to 1 are used; a row of NaN is a face without any.

        Returns:
            (N, len(columns)) in 0 to 1; NaN for AU 6 and 9 and for faces without blendshapes.
        """
        scores: NDArray[np.float32] = batch.blendshapes.astype(np.float32) @ self._weights
        scores[:, self._blind] = np.nan
        return scores

    def describe(self) -> dict[str, Any]:
        """The table, for the record beside the output."""
        return {
            "kind": "raw scores, not calibrated",
            "blendshapes": {column: list(names) for column, names in self._names.items()},
        }
