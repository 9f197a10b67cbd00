"""The work on one part of a `prepare` job: decode, find, follow, align, cut, store. Runs in worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.datasets.parts import ImagesPart, TableImage, VideoPart
from duchenne.data.writing import PartWriter, encode_jpeg
from duchenne.errors import InputError
from duchenne.faces.align import crop_face, crop_matrix, transform_points
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import Face, FaceFinder

COUNTS = (
    "files", "frames", "skipped_frames", "faceless_frames", "faces", "small_faces", "no_landmarks", "other_faces",
    "coded",
)  # fmt: skip
"""What is counted beside crops and failures. Of the faces found, `small_faces`, `no_landmarks` and `other_faces`
(beside the largest one, in tables of images) are not kept; `coded` crops have labels."""


@dataclass(frozen=True)
class Cutter:
    """Produces a part's crops; picklable, called as `cutter(writer, part)`.

    Attributes:
        size_px: side of the crops.
        min_face_px: narrower faces are counted and not kept.
        fps: frames per second to keep of videos; None for all.
        smooth: whether the alignment is smoothed over time.
    """

    size_px: int
    min_face_px: float
    fps: float | None = None
    smooth: bool = False

    def __call__(self, writer: PartWriter, part: VideoPart | ImagesPart) -> None:
        """Cuts a video or a group of images; inputs that fail are noted, not raised."""
        for name in COUNTS:
            writer.count(name, 0)
        if isinstance(part, ImagesPart):
            for image in part.images:
                self._cut_image(writer, image, part.detect)
                writer.advance()
        else:
            from duchenne.faces.cutting_videos import cut_video  # which needs this module

            cut_video(self, writer, part)

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
        matrix = crop_matrix(face.landmarks if steady is None else steady, self.size_px)
        row = {
            "landmarks": transform_points(face.landmarks, matrix),
            "blendshapes": face.blendshapes,
            "score": face.score,
        }
        return row, encode_jpeg(crop_face(image, matrix, self.size_px))

    def _cut_image(self, writer: PartWriter, item: TableImage, detect: bool) -> None:
        writer.count("files")
        try:
            row, jpeg = self._found(writer, item) if detect else self._as_is(item)
        except InputError as error:
            writer.fail(item.source, reason(error, item.path))
            return
        if jpeg:
            writer.add({**row, **item.values, "source": item.source}, jpeg)
            writer.count(
                "coded", any(name.startswith("AU") and value is not None for name, value in item.values.items())
            )

    def _found(self, writer: PartWriter, item: TableImage) -> tuple[dict[str, Any], bytes]:
        """The largest face of an image; nothing, counted, where there is none to keep."""
        picture = next(read_pictures(item.path))
        faces = process_finder(self.min_face_px).find(picture.image)
        writer.count("frames")
        writer.count("faces", len(faces))
        writer.count("faceless_frames", not faces)
        if not faces:
            return {}, b""
        face = max(faces, key=lambda face: face.box[2] * face.box[3])
        writer.count("other_faces", len(faces) - 1)
        if face.landmarks is None:
            writer.count("small_faces" if face.flag == "small" else "no_landmarks")
            return {}, b""
        try:
            return self.crop(picture.image, face)
        except ValueError:
            writer.count("no_landmarks")
            return {}, b""

    def _as_is(self, item: TableImage) -> tuple[dict[str, Any], bytes]:
        """An image that is an aligned crop already; its bytes are kept where it is a JPEG of the right size."""
        image = next(read_pictures(item.path)).image
        if image.shape[0] != image.shape[1]:
            raise InputError(
                f"{item.path}: is {image.shape[1]} x {image.shape[0]} pixels, but aligned crops are square; "
                "crop it, or leave out --no-detect."
            )
        data = item.path.read_bytes()
        if image.shape[0] == self.size_px and data.startswith(b"\xff\xd8"):
            return {}, data
        shrinks = image.shape[0] > self.size_px
        size = (self.size_px, self.size_px)
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return {}, encode_jpeg(np.asarray(resized, dtype=np.uint8))


def reason(error: InputError, path: Path) -> str:
    """The sentence of an error without the path that it begins with."""
    return str(error).removeprefix(f"{path}: ")


@lru_cache(maxsize=1)
def process_finder(min_face_px: float) -> FaceFinder:
    """The one face finder of this process; it is closed when the process ends or another one is asked for."""
    return FaceFinder(min_face_px)
