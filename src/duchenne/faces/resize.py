"""Pictures at another size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def resized(picture: NDArray[np.uint8], width: int, height: int | None = None) -> NDArray[np.uint8]:
    """A picture at another size: averaged over areas where it shrinks, bilinear where it grows.

    Args:
        picture: (H, W, 3) or (H, W) uint8.
        width: of the result, in pixels.
        height: of the result; None: as the width.

    Returns:
        (height, width, 3) or (height, width) uint8; the same array where nothing changes.
    """
    size = (width, width if height is None else height)
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    way = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), dtype=np.uint8)
