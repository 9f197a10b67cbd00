"""The work on one part of a `prepare` job: decode, find, follow, align, cut, store. Runs in worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from duchenne.data.datasets.parts import VideoPart
from duchenne.data.writing import PartWriter, encode_jpeg
from duchenne.errors import InputError
from duchenne.faces.align import crop_face, crop_matrix, transform_points
from duchenne.faces.decode import Picture, read_pictures
from duchenne.faces.find import Face, FaceFinder
from duchenne.faces.track import FaceTracker

COUNTS = ("files", "frames", "faceless_frames", "faces", "small_faces", "no_landmarks")
"""What is counted beside crops and failures; `small_faces` and `no_landmarks` are faces that were not kept."""


@dataclass(frozen=True)
class Cutter:
    """Produces a part's crops; picklable, called as `cutter(writer, part)`.

    Attributes:
        size_px: side of the crops.
        min_face_px: narrower faces are counted and not kept.
    """

    size_px: int
    min_face_px: float

    def __call__(self, writer: PartWriter, part: VideoPart) -> None:
        """Finds and cuts everyone in one video; what fails is noted, not raised."""
        finder = process_finder(self.min_face_px)
        tracker, runs = FaceTracker(), _Runs()
        for name in COUNTS:
            writer.count(name, 0)
        writer.count("files")
        pictures = read_pictures(part.path)
        while True:
            try:
                picture = next(pictures, None)
            except InputError as error:
                writer.fail(part.source, str(error).removeprefix(f"{part.path}: "))
                return
            if picture is None:
                return
            faces = finder.find(picture.image)
            numbers = tracker.update(faces, picture.image, picture.time_s)
            kept = [self._keep(writer, part, picture, face) for face in faces]
            places = runs.update([n for n, crop in zip(numbers, kept) if crop], tracker.cut)
            for number, crop in zip(numbers, kept):
                if crop:
                    row, jpeg = crop
                    stem = PurePosixPath(part.source).with_suffix("")
                    names = {"subject": f"{stem}#{number}", "clip": f"{part.source}#{number}.{places[number]}"}
                    writer.add({**row, **names}, jpeg)
            writer.count("frames")
            writer.count("faces", len(faces))
            writer.count("faceless_frames", not faces)
            writer.advance()

    def _keep(
        self, writer: PartWriter, part: VideoPart, picture: Picture, face: Face
    ) -> tuple[dict[str, object], bytes] | None:
        """A face as row and JPEG; None, counted, where it is small or has no landmarks."""
        if face.landmarks is None:
            writer.count("small_faces" if face.flag == "small" else "no_landmarks")
            return None
        try:
            matrix = crop_matrix(face.landmarks, self.size_px)
        except ValueError:
            writer.count("no_landmarks")
            return None
        row = {
            "frame": picture.frame,
            "time_s": picture.time_s,
            "landmarks": transform_points(face.landmarks, matrix),
            "blendshapes": face.blendshapes,
            "score": face.score,
            "source": part.source,
        }
        return row, encode_jpeg(crop_face(picture.image, matrix, self.size_px))


class _Runs:
    """Numbers the runs of every face: a new one where it was missing in the frame before, or the shot was cut."""

    def __init__(self) -> None:
        self._runs: dict[int, int] = {}
        self._before: set[int] = set()

    def update(self, numbers: list[int], cut: bool) -> dict[int, int]:
        """Face number -> run number, for the faces kept of the next frame."""
        for number in numbers:
            if number not in self._before or cut:
                self._runs[number] = self._runs.get(number, -1) + 1
        self._before = set(numbers)
        return {number: self._runs[number] for number in numbers}


@lru_cache(maxsize=1)
def process_finder(min_face_px: float) -> FaceFinder:
    """The one face finder of this process; it is closed when the process ends or another one is asked for."""
    return FaceFinder(min_face_px)
