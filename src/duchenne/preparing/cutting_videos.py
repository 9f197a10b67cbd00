"""Cutting the faces of one video: who is who, where clips end, steady crops, and the codes of each frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.joined_times import outside_note
from duchenne.data.shards import PartWriter
from duchenne.errors import InputError
from duchenne.faces.decode import Found, Picture, read_pictures
from duchenne.faces.find import Face
from duchenne.faces.track import FaceTracker
from duchenne.preparing.codes.names import own_name
from duchenne.preparing.codes.video_codes import Labels, VideoCodes
from duchenne.preparing.cropping import Cropper, process_finder, reason
from duchenne.preparing.sources.parts import VideoPart

SMOOTHING_S: Final = 0.1
"""Standard deviation in time of the Gaussian that steadies the alignment."""
_REACH_S: Final = 2 * SMOOTHING_S
_AHEAD: Final = 2  # pictures decoded and searched while landmarks are put on the faces of earlier ones


@dataclass
class _Seen:
    """One face in one picture, waiting for its crop."""

    picture: Picture
    face: Face
    run: int


def cut_video(
    cropper: Cropper, writer: PartWriter, part: VideoPart, on_picture: Callable[[], None] | None = None
) -> None:
    """Finds, follows and cuts everyone in one video; where it cannot be read further, that is noted.

    Of a video that shows one person (`part.subject`) the largest face of every frame is kept. `on_picture` is called
    for every decoded picture.
    """
    writer.count("files")
    tracker, runs, sampler = FaceTracker(), _Runs(), _Sampler(cropper.fps)
    people, found = _People(cropper, writer, part), Found()

    def taken() -> Iterator[Picture]:
        for picture in _readable(writer, part, found):
            if on_picture is not None:
                on_picture()
            if sampler.takes(picture.time_s):
                yield picture
            else:
                writer.count("skipped_frames")
                people.passed_over.add(picture.frame + part.first_frame)

    for picture, faces in process_finder(cropper.min_face_px).follow(taken(), depth=_AHEAD):
        everyone = faces
        if part.subject is not None and faces:
            faces = [max(faces, key=lambda face: face.box[2] * face.box[3])]
        numbers = tracker.update(faces, picture.image, picture.time_s)
        if part.subject is not None:
            numbers = [0] * len(faces)
        kept = {number: face for number, face in zip(numbers, faces) if face.landmarks is not None}
        people.see(picture, kept, runs.update(set(kept), tracker.cut))
        writer.count("frames")
        writer.count("faces", len(everyone))
        writer.count("other_faces", len(everyone) - len(faces))
        writer.count("faceless_frames", not faces)
        writer.count("small_faces", sum(face.flag == "small" for face in faces))
        writer.count("no_landmarks", sum(face.flag == "no_landmarks" for face in faces))
    notes = [*found.notes, *_outside(part, found), *people.finish()]
    if found.frames:
        writer.recording(part.source, frames=found.frames, start_s=found.start_s, end_s=found.end_s, notes=notes)


def _outside(part: VideoPart, found: Found) -> Iterator[str]:
    """Sentences on codes that lie outside the recording, which would not be noticed: they label nothing."""
    for codes in part.codes.faces.values() if part.codes is not None else ():
        places = [(place, place) for place in codes.rows]
        last = part.first_frame + found.frames - 1
        for sentence in (
            outside_note("events", codes.spans, found.end_s),
            outside_note("rows", places, found.end_s)
            if codes.by_time
            else outside_note("rows", places, last, begin=part.first_frame, slack=0, unit="frames"),
        ):
            if sentence is not None:
                yield sentence


def _readable(writer: PartWriter, part: VideoPart, found: Found) -> Iterator[Picture]:
    try:
        yield from read_pictures(part.path, part.assembly, found)
    except InputError as error:
        writer.fail(part.source, reason(error, part.path))


class _Sampler:
    """Which pictures to take so that they come at a given rate by their time stamps."""

    def __init__(self, fps: float | None) -> None:
        self._fps = fps
        self._due_s: float | None = None

    def takes(self, time_s: float) -> bool:
        if self._fps is None:
            return True
        if self._due_s is None:
            self._due_s = time_s
        if time_s < self._due_s - 1e-4:  # time stamps are rounded by their container
            return False
        steps = int((time_s - self._due_s + 1e-4) * self._fps) + 1
        self._due_s += steps / self._fps
        return True


class _Runs:
    """Numbers the runs of every face: a new one where it was missing in the frame before, or the shot was cut."""

    def __init__(self) -> None:
        self._runs: dict[int, int] = {}
        self._before: set[int] = set()

    def update(self, numbers: set[int], cut: bool) -> dict[int, int]:
        """Face number -> run number, for the faces kept of the next frame."""
        for number in numbers:
            if number not in self._before or cut:
                self._runs[number] = self._runs.get(number, -1) + 1
        self._before = numbers
        return {number: self._runs[number] for number in numbers}


class _People:
    """The faces of a video on their way into the shard.

    With smoothing a crop waits until the frames after it are known; otherwise it is cut at once.
    """

    def __init__(self, cropper: Cropper, writer: PartWriter, part: VideoPart) -> None:
        self._cropper, self._writer, self._part = cropper, writer, part
        self._waiting: dict[int, list[_Seen]] = defaultdict(list)
        self._past: dict[int, list[_Seen]] = defaultdict(list)
        self._rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._widths: dict[int, float] = defaultdict(float)
        self._times_s: dict[int, float] = {}  # of every frame that was searched
        self.passed_over: set[int] = set()

    def see(self, picture: Picture, faces: Mapping[int, Face], runs: Mapping[int, int]) -> None:
        self._times_s[picture.frame + self._part.first_frame] = picture.time_s
        for number in sorted(self._waiting):
            if runs.get(number) != self._past[number][-1].run:  # the run ended
                self._cut_until(number, np.inf)
                self._past[number].clear()
                del self._waiting[number]
        for number, face in faces.items():
            seen = _Seen(picture, face, runs[number])
            self._waiting[number].append(seen)
            if self._cropper.smooth:
                self._past[number] = [
                    p for p in self._past[number] if p.picture.time_s >= picture.time_s - 2.5 * _REACH_S
                ]
            else:
                self._past[number].clear()
            self._past[number].append(seen)
            self._cut_until(number, picture.time_s - _REACH_S if self._cropper.smooth else np.inf)

    def finish(self) -> list[str]:
        """Cuts what still waits, and labels the rows; returns sentences on codes without a crop."""
        for number in sorted(self._waiting):
            self._cut_until(number, np.inf)
        if self._part.codes is None:
            return []
        notes = list(self._label(self._part.codes))
        if self._part.subject is None:
            return notes
        self._lose(self._part.codes, self._part.subject)
        return []

    def _cut_until(self, number: int, time_s: float) -> None:
        waiting = self._waiting[number]
        while waiting and waiting[0].picture.time_s <= time_s:
            seen = waiting.pop(0)
            try:
                row, jpeg = self._cropper.crop(seen.picture.image, seen.face, self._steady(number, seen))
            except ValueError:
                self._writer.count("no_landmarks")
                continue
            self._widths[number] += seen.face.box[2]
            names = {
                "subject": self._part.subject or own_name(self._part.source, number),
                "clip": f"{self._part.source}#{number}.{seen.run}",
                "frame": seen.picture.frame + self._part.first_frame,
                "time_s": seen.picture.time_s,
                "split": self._part.split,
                "source": self._part.source,
            }
            self._rows[number].append(self._writer.add({**row, **names}, jpeg))

    def _steady(self, number: int, seen: _Seen) -> NDArray[np.float64] | None:
        if not self._cropper.smooth:
            return None
        near = [p for p in self._past[number] if abs(p.picture.time_s - seen.picture.time_s) <= _REACH_S]
        apart = np.array([p.picture.time_s - seen.picture.time_s for p in near]) / SMOOTHING_S
        weights = np.exp(-0.5 * apart**2)
        points = np.array([p.face.landmarks for p in near], dtype=np.float64)
        steady: NDArray[np.float64] = np.tensordot(weights / weights.sum(), points, axes=1)
        return steady

    def _lose(self, codes: VideoCodes, subject: str) -> None:
        """Notes the labels of frames of which there is no crop."""
        kept = {row["frame"] for rows in self._rows.values() for row in rows}
        names = {"subject": subject, "clip": self._part.source, "source": self._part.source, "split": self._part.split}
        for frame, labels in sorted(codes.faces[None].rows.items()):
            if frame not in kept and frame not in self.passed_over:
                self._writer.lose({**names, **labels, "frame": int(frame)}, "no face, no landmarks or no such frame")

    def _label(self, codes: VideoCodes) -> Iterator[str]:
        """Adds the codes of each face; those that name none belong to the face seen largest and longest.

        Yields:
            Sentences on codes that label nothing, or frames of which there is no crop.
        """
        wanted = self._rows.keys() - self._part.left_out
        wanted = wanted - self._part.others or wanted
        main = max(wanted, key=lambda number: (self._widths[number], -number), default=None)
        if main is not None and {None, main} <= codes.faces.keys():
            codes = codes.unsure_of(main)
        for face in codes.faces:
            number = main if face is None else face
            if number is None or number not in self._rows:
                there = f"faces kept: {', '.join(map(str, sorted(self._rows)))}" if self._rows else "no face was kept"
                yield f"codes of {_called(face)} label nothing: there is no such face ({there})"
                continue
            if face is None and main in codes.faces:
                yield (
                    f"codes without a face label nothing, and what they are about is unknown of face {main}: it is the "
                    "main one and has codes of its own"
                )
                continue
            labels = codes.labels(face, list(self._times_s), list(self._times_s.values()))
            coded = {frame: found for frame, found in zip(self._times_s, labels) if _is_coded(found)}
            for row in self._rows[number]:
                row.update(coded.get(row["frame"], {}))
            lost = len(coded.keys() - {row["frame"] for row in self._rows[number]})
            self._writer.count("coded", len(coded) - lost)
            if lost:
                yield f"{lost} of {len(coded)} labelled frames of {_called(face)} have no crop"


def _called(face: int | None) -> str:
    return "the main face" if face is None else f"face {face}"


def _is_coded(labels: Labels) -> bool:
    return any(value is not None for value in labels.values())
