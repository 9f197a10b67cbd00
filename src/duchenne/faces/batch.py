"""Faces found in pictures, on their way to whatever reads action units or features from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FaceBatch:
    """Faces with landmarks, of one or several frames.

    Attributes:
        landmarks: (N, 68, 2) pixels of the displayed picture.
        blendshapes: (N, 52) in 0 to 1; a row of NaN where the face has none.
        crops: (N, S, S, 3) uint8 RGB, aligned, with S = the model's `crop_px`; None where that is None.
        mesh: (N, 478, 3) MediaPipe's points, x and y in pixels of the displayed picture, z in the same unit and
            smaller nearer to the camera; None where nobody needs them.
    """

    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    crops: NDArray[np.uint8] | None
    mesh: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.landmarks)
