"""The work on one part of a `prepare` job: decode, find, follow, align, cut, store. Runs in worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.errors import InputError
from duchenne.faces.align import crop_face, crop_matrix, transform_points
from duchenne.faces.decode import read_picture
from duchenne.faces.recordings.stills import decode_still
from duchenne.faces.resize import resized
from duchenne.preparing.cropping import COUNTS, Cropper, process_finder, reason
from duchenne.preparing.cutting_videos import cut_video
from duchenne.preparing.sources.parts import ImagesPart, TableImage, VideoPart, VideosPart
from duchenne.preparing.sources.points import FIVE
from duchenne.preparing.sources.tree import Stored, read_stored


@dataclass(frozen=True)
class Cutter(Cropper):
    """Produces a part's crops; picklable, called as `cutter(writer, part)`."""

    def __call__(self, writer: PartWriter, part: VideoPart | VideosPart | ImagesPart) -> None:
        """Cuts a video or a group of images; inputs that fail are noted, not raised."""
        for name in COUNTS:
            writer.count(name, 0)
        if isinstance(part, ImagesPart):
            for image in part.images:
                self._cut_image(writer, image, part.detect)
                writer.advance()
        elif isinstance(part, VideoPart):
            cut_video(self, writer, part, writer.advance)
        else:
            for video in part.videos:
                cut_video(self, writer, video)
                writer.advance()

    def _cut_image(self, writer: PartWriter, item: TableImage, detect: bool) -> None:
        writer.count("files")
        cut = self._by_points if self.own_points else self._found if detect else self._as_is
        values = {**item.values, "source": item.source}
        try:
            row, jpeg = cut(writer, item)
        except InputError as error:
            why = reason(error, Path(item.path, item.member))
            writer.fail(item.source, why)
            writer.lose(values, why)
            return
        if not jpeg:
            writer.lose(values, row["reason"])
        else:
            writer.add({**row, **values}, jpeg)
            writer.count(
                "coded", any(name.startswith("AU") and value is not None for name, value in item.values.items())
            )

    def _found(self, writer: PartWriter, item: TableImage) -> tuple[dict[str, Any], bytes]:
        """The largest face of an image; no bytes, but the reason, where there is none to keep."""
        image = _picture(item)
        faces = process_finder(self.min_face_px).find(image)
        writer.count("frames")
        writer.count("faces", len(faces))
        writer.count("faceless_frames", not faces)
        if not faces:
            return {"reason": "no face was found"}, b""
        face = max(faces, key=lambda face: face.box[2] * face.box[3])
        writer.count("other_faces", len(faces) - 1)
        if face.landmarks is None:
            writer.count("small_faces" if face.flag == "small" else "no_landmarks")
            return {"reason": "its face is too small" if face.flag == "small" else "no landmarks were found"}, b""
        try:
            return self.crop(image, face)
        except ValueError:
            writer.count("no_landmarks")
            return {"reason": "no landmarks were found"}, b""

    def _by_points(self, writer: PartWriter, item: TableImage) -> tuple[dict[str, Any], bytes]:
        """An image aligned by the landmarks of its data set, which are kept where the scheme has all 68."""
        if item.points is None:
            writer.count("no_landmarks")
            return {"reason": "the data set has no landmarks of it"}, b""
        points, image = item.points.load(), _picture(item)
        writer.count("frames")
        writer.count("faces")
        try:
            matrix = crop_matrix(points, self.size_px, "five" if len(points) == FIVE else "rigid")
        except ValueError:
            writer.count("no_landmarks")
            return {"reason": "the landmarks of the data set define no crop"}, b""
        whole = len(points) != FIVE and not np.isnan(points).any()
        row = {"landmarks": transform_points(points, matrix) if whole else None}
        return row, encode_jpeg(crop_face(image, matrix, self.size_px))

    def _as_is(self, writer: PartWriter, item: TableImage) -> tuple[dict[str, Any], bytes]:
        """An image that is an aligned crop already; its bytes are kept where it is a JPEG of the right size."""
        image = _picture(item)
        if image.shape[0] != image.shape[1]:
            raise InputError(
                f"{Path(item.path, item.member)}: is {image.shape[1]} x {image.shape[0]} pixels, but aligned crops are "
                "square; crop it, or choose another alignment."
            )
        data = read_stored(Stored(item.path, item.member))
        if image.shape[0] == self.size_px and data.startswith(b"\xff\xd8"):
            return {}, data
        return {}, encode_jpeg(resized(image, self.size_px))


def _picture(item: TableImage) -> NDArray[np.uint8]:
    if item.member:
        return decode_still(read_stored(Stored(item.path, item.member)), str(Path(item.path, item.member)))
    return read_picture(item.path)
