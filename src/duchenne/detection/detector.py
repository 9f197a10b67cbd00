"""From pictures to faces with action units: find, track, align, score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from duchenne.config import Count, Workers
from duchenne.detection.results import DetectedFace, FrameResult, batches
from duchenne.detection.settings import FaceSettings
from duchenne.detectors.base import DUCHENNE, AuModel, score_scale
from duchenne.detectors.opening import open_model
from duchenne.devices import Precision
from duchenne.errors import UsageError
from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.batch import FaceBatch
from duchenne.faces.decode import Found, Picture, read_pictures
from duchenne.faces.find import Face, FaceFinder
from duchenne.faces.recordings.listing import Assembly
from duchenne.faces.track import FaceTracker
from duchenne.files import shown_name
from duchenne.keywords import from_keywords
from duchenne.parallel import ahead

_TOGETHER: Final = 16  # frames whose faces go through a model of pixels as one batch,
_TOGETHER_BYTES: Final = 96 * 2**20  # or fewer where they are large
_AHEAD: Final = 4  # pictures that wait between two stages at most: decoded, searched, landmarked
_NO_BLENDSHAPES: Final = np.full(52, np.nan, dtype=np.float32)
_PLAIN: Final = Assembly()
_NO_MESH: Final = np.full((478, 3), np.nan, dtype=np.float32)
Channels = Literal["rgb", "bgr"]
_Found = tuple[Picture, list[Face], list[int]]


@dataclass(frozen=True, kw_only=True)
class _Numbers(FaceSettings):
    """What `Detector` and its methods take as whole numbers, each with its range."""

    threads: Workers | None = None
    every: Count = 1


class Detector:
    """Finds everyone in pictures and reads their action units. Build it once; use it in a `with` block, or close it.

    Threads may share one: what they get is what one thread alone gets. Finding faces in a picture takes turns.

    Example:
        >>> detector = duchenne.Detector()
        >>> detector(picture).au["AU12"]
    """

    def __init__(
        self,
        model: str | Path | AuModel = DUCHENNE,
        *,
        min_face: int = 32,
        threads: int | None = None,
        sides: bool = False,
        all_aus: bool = False,
        device: str = "auto",
        precision: Precision = "float32",
    ) -> None:
        """Opens the models.

        Args:
            model: the name of one, as in `duchenne.detect`, or one that is open already.
            min_face: narrower faces (pixels) are reported with flag `small` and without action units.
            threads: that put landmarks on faces; None for one per core, at most 4. Results are the same for any number.
            sides: of a named model, see `duchenne.detect`; `all_aus`, `device` and `precision` likewise.
            all_aus: see there.
            device: see there.
            precision: see there.

        Raises:
            UsageError: when the model is unknown, or an option is not for it, or a number cannot be.
            InputError: when a model file is missing.
        """
        numbers = from_keywords(_Numbers, {"min_face": min_face, "threads": threads}, where="Detector")
        self.min_face = numbers.min_face
        self.model = open_model(model, sides=sides, all_aus=all_aus, device=device, precision=precision)
        self._finder = FaceFinder(min_face_px=self.min_face, threads=numbers.threads)
        self._closed = False

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the models; nothing can be asked of it afterwards."""
        self._closed = True
        self._finder.close()

    def __repr__(self) -> str:
        """Short: the model is named."""
        count = len({column.partition("_")[0] for column in self.model.columns})
        return f"<detector {self.model.name}: {count} action units{', closed' * self._closed}>"

    @overload
    def __call__(self, pictures: NDArray[np.uint8], *, channels: Channels = "rgb") -> FrameResult: ...

    @overload
    def __call__(self, pictures: Sequence[NDArray[np.uint8]], *, channels: Channels = "rgb") -> list[FrameResult]: ...

    def __call__(
        self, pictures: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, channels: Channels = "rgb"
    ) -> FrameResult | list[FrameResult]:
        """Everyone in pictures that have nothing to do with each other.

        Args:
            pictures: (H, W, 3) uint8, or several: a list, or (N, H, W, 3).
            channels: their order; OpenCV's own reading gives `bgr`.

        Returns:
            Of one picture its result, of several a list; faces from left to right, numbered from 0 in each.

        Raises:
            UsageError: when something is no such picture, or the detector is closed.
        """
        self._check_open()
        if isinstance(pictures, np.ndarray):
            several = pictures.ndim == 4
        else:  # tensors are iterable, and texts
            several = isinstance(pictures, Iterable) and not (hasattr(pictures, "dtype") or isinstance(pictures, str))
        if not several:
            return self._pictures([checked_picture(pictures, channels)])[0]
        return self._pictures([checked_picture(picture, channels) for picture in pictures])

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this Detector is closed; make another one, and close it when nothing needs it any more.")

    def _pictures(self, images: list[NDArray[np.uint8]]) -> list[FrameResult]:
        """Results of pictures, each as that of its file would be; scored together where the model sees pixels."""
        together = [
            (picture, faces, list(range(len(faces))))
            for number, image in enumerate(images)
            for picture, faces in self._finder.follow([Picture(image, number, 0.0)])
        ]
        return [result for batch in batches(together, _is_full) for result in self._scored("", batch)]

    def frames(
        self,
        source: str | Path | Iterable[Picture],
        *,
        every: int = 1,
        start_s: float = 0.0,
        end_s: float | None = None,
        assembly: Assembly = _PLAIN,
        found: Found | None = None,
    ) -> Iterator[FrameResult]:
        """The frames of one image or video, in order.

        Args:
            source: a file; or pictures as they come, from a camera for example.
            every: only frames 0, N, 2N ...
            start_s: frames before this are looked at, so that everybody's number is that of the whole video, but not
                given.
            end_s: frames from this on are not given, nor read further than it takes to know that it is reached; deep
                pictures are looked through for the largest value first.
            assembly: how a file, several or a folder become one recording.
            found: is filled with what else reading shows.

        Raises:
            UsageError: when `every` is no whole number from 1, or the detector is closed.
            InputError: when nothing can be read; after the last frame that could be, when the file is damaged.
        """
        self._check_open()
        every = from_keywords(_Numbers, {"every": every}, where="frames").every
        if isinstance(source, str | Path):
            pictures = ahead(read_pictures(source, assembly, found, end_s), _AHEAD)
            faces = self._found(pictures, every, start_s, _AHEAD)
            # Whole batches wait, so that a batch can be found while the one before it is scored.
            is_full, depth = (_is_full, 1) if self.model.crop_px else (bool, _AHEAD)
            for batch in ahead(batches(faces, is_full), depth):
                yield from self._scored(shown_name(source), batch)
        else:
            taken = takewhile(lambda picture: end_s is None or picture.time_s < end_s, _given(source))
            for one in self._found(taken, every, start_s, 0):
                yield from self._scored("", [one])

    def _found(self, pictures: Iterable[Picture], every: int, start_s: float, depth: int) -> Iterator[_Found]:
        tracker = FaceTracker()
        chosen = (picture for picture in pictures if picture.frame % every == 0)
        for picture, faces in self._finder.follow(chosen, depth=depth, start_s=start_s):
            numbers = tracker.update(faces, picture.image, picture.time_s)
            if picture.time_s >= start_s:
                yield picture, faces, numbers

    def _scored(self, source: str, batch: list[_Found]) -> Iterator[FrameResult]:
        chosen = [(picture, face) for picture, faces, _ in batch for face in faces if _is_readable(face)]
        scores = iter(self._score(chosen))
        missing = np.full(len(self.model.columns), np.nan, dtype=np.float32)
        scale = score_scale(self.model)
        for picture, faces, numbers in batch:
            detected = tuple(
                DetectedFace(number, face, next(scores) if _is_readable(face) else missing, self.model.columns)
                for face, number in zip(faces, numbers, strict=True)
            )
            yield FrameResult(source, picture.frame, picture.time_s, detected, picture.image, scale, self.model.columns)

    def _score(self, chosen: list[tuple[Picture, Face]]) -> NDArray[np.float32]:
        if not chosen:
            return np.empty((0, len(self.model.columns)), dtype=np.float32)
        landmarks = np.stack([face.landmarks for _, face in chosen if face.landmarks is not None])
        blendshapes = np.stack(
            [_NO_BLENDSHAPES if face.blendshapes is None else face.blendshapes for _, face in chosen]
        )
        mesh = np.stack([_NO_MESH if face.mesh is None else face.mesh for _, face in chosen])
        side = self.model.crop_px
        crops = None
        if side is not None:
            crops = np.stack(
                [
                    crop_face(picture.image, crop_matrix(points, side), side)
                    for (picture, _), points in zip(chosen, landmarks, strict=True)
                ]
            )
        return self.model.score(FaceBatch(landmarks, blendshapes, crops, mesh))


def checked_picture(picture: Any, channels: Channels) -> NDArray[np.uint8]:
    """A picture as RGB.

    Raises:
        UsageError: when it is none that faces can be looked for in.
    """
    if channels not in get_args(Channels):
        raise UsageError(f"there are no channels `{channels}`; choose {' or '.join(get_args(Channels))}.")
    kind: Any = getattr(picture, "dtype", type(picture).__name__)
    shape: tuple[int, ...] = tuple(getattr(picture, "shape", ()))
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        what = f"{kind} {shape}" if shape else kind
        advice = "multiply values of 0 to 1 by 255, and repeat a grey channel three times"
        if not isinstance(picture, np.ndarray):
            advice = "convert it (numpy.asarray), and give files to duchenne.detect"
        raise UsageError(
            f"a picture must be a NumPy array (height, width, 3) of uint8, 0 to 255, not {what}; {advice}."
        )
    return np.ascontiguousarray(picture if channels == "rgb" else picture[:, :, ::-1])


def _given(pictures: Iterable[Any]) -> Iterator[Picture]:
    """Pictures as they come, each looked at before faces are looked for in it.

    Raises:
        UsageError: for anything else: arrays have no times, by which faces are followed.
    """
    kind = type(pictures).__name__
    if not isinstance(pictures, Iterable):
        raise UsageError(f"source {kind}: is no recording; give a file, or pictures as they come.")
    for picture in pictures:
        time_s: object = getattr(picture, "time_s", None)
        if not isinstance(picture, Picture) or not isinstance(time_s, Real):
            what = "one without a time" if isinstance(picture, Picture) else type(picture).__name__
            raise UsageError(
                f"source {kind}: gives {what}, not Picture(image, frame, time_s) of duchenne.faces.decode; give "
                "pictures that do not follow each other to a Detector itself."
            )
        checked_picture(picture.image, "rgb")
        yield picture


def _is_full(batch: list[_Found]) -> bool:
    return len(batch) == _TOGETHER or sum(picture.image.nbytes for picture, _, _ in batch) >= _TOGETHER_BYTES


def _is_readable(face: Face) -> bool:
    return not face.flag and face.landmarks is not None
