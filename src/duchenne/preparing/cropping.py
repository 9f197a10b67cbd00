"""One face of one picture as a stored crop, and what every part of a `prepare` job counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.data.writing import encode_jpeg
from duchenne.errors import InputError
from duchenne.faces.align import Fit, crop_face, crop_matrix, transform_points
from duchenne.faces.find import Face, FaceFinder

COUNTS = (
    "files", "frames", "skipped_frames", "faceless_frames", "faces", "small_faces", "no_landmarks", "other_faces",
    "coded",
)  # fmt: skip
"""What is counted beside crops and failures. Of the faces found, `small_faces`, `no_landmarks` and `other_faces`
(beside the largest one, in tables of images) are not kept; `coded` crops have labels."""


@dataclass(frozen=True)
class Cropper:
    """How faces are cut out of pictures; picklable.

    Attributes:
        size_px: side of the crops.
        min_face_px: narrower faces are counted and not kept.
        fps: frames per second to keep of videos; None for all.
        smooth: whether the alignment is smoothed over time.
        fit: what is aligned by.
        own_points: align images by the landmarks that their data set brings, without looking for faces.
    """

    size_px: int
    min_face_px: float
    fps: float | None = None
    smooth: bool = False
    fit: Fit = "rigid"
    own_points: bool = False

    def crop(
        self, image: NDArray[np.uint8], face: Face, steady: NDArray[np.floating] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """One face as columns and JPEG.

        Args:
            image: the picture it was found in.
            face: with landmarks.
            steady: (68, 2) landmarks to align by instead of its own.

        Raises:
            ValueError: when its landmarks define no crop.
        """
        assert face.landmarks is not None
        matrix = crop_matrix(face.landmarks if steady is None else steady, self.size_px, self.fit)
        row = {
            "landmarks": transform_points(face.landmarks, matrix),
            "blendshapes": face.blendshapes,
            "score": face.score,
        }
        return row, encode_jpeg(crop_face(image, matrix, self.size_px))


def reason(error: InputError, path: Path) -> str:
    """The sentence of an error without the path that it begins with."""
    return str(error).removeprefix(f"{path}: ")


@lru_cache(maxsize=1)
def process_finder(min_face_px: float) -> FaceFinder:
    """The one face finder of this process; it is closed when the process ends or another one is asked for."""
    return FaceFinder(min_face_px, threads=1)  # there may be a process per core
