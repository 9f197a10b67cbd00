"""The crops of new faces as prepared data hold them, for whatever looks at pixels. Imports no torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.shards import encode_jpeg
from duchenne.faces.align import crop_matrix, transform_points
from duchenne.faces.batch import FaceBatch
from duchenne.faces.resize import resized


def stored_crops(batch: FaceBatch) -> list[NDArray[np.uint8]]:
    """The crops, (S, S, 3) each, with the traces of JPEG, to which an encoder may be sensitive."""
    if batch.crops is None:
        raise ValueError("this part looks at pixels, and the batch has no crops")
    stored = [np.frombuffer(encode_jpeg(crop), dtype=np.uint8) for crop in batch.crops]
    return [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8) for data in stored]


def encoder_pictures(batch: FaceBatch, side_px: int) -> NDArray[np.uint8]:
    """(N, side, side, 3), as an encoder is shown them."""
    return np.stack([resized(crop, side_px) for crop in stored_crops(batch)])


def aligned_points(batch: FaceBatch) -> NDArray[np.float32]:
    """(N, 136): landmarks of the aligned faces as shares of the crop's side."""
    aligned = [transform_points(points, crop_matrix(points, 1)) for points in batch.landmarks]
    return np.asarray(aligned, dtype=np.float32).reshape(len(batch), -1)
