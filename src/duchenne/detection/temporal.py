"""What is done to values over time: smoothing, and subtracting a person's resting face."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duchenne.detection.results import DetectedFace, FrameResult
from duchenne.errors import InputError, UsageError

NO_BASELINE = "no_baseline"
"""Flag of a face whose resting face was never seen."""


def smooth(results: Iterable[FrameResult], width_s: float, columns: Sequence[str] = ()) -> Iterator[FrameResult]:
    """A centred moving average of every value: the mean over the frames within `width_s / 2` seconds before and after.

    Only frames of the same face count, and only values that are there; a value that is missing stays missing. Nothing
    is shifted in time. Frames come out as soon as those after them are known.

    Args:
        results: frames of one video in order.
        width_s: of the window, seconds; 0 changes nothing.
        columns: of the model; those of decisions (`AUxx_c`) take the majority of the window, a tie counts as present.

    Raises:
        InputError: that of `results`, after everything that came before it was given.
    """
    window: deque[FrameResult] = deque()
    ready = 0  # how many of the window have been given
    half = width_s / 2 + 1e-9
    decisions = [index for index, column in enumerate(columns) if column.endswith("_c")]
    failure: InputError | None = None
    iterator = iter(results)
    while True:
        try:
            latest = next(iterator, None)
        except InputError as error:
            latest, failure = None, error
        if latest is not None:
            window.append(latest)
        while ready < len(window) and (latest is None or latest.time_s - window[ready].time_s > half):
            yield _averaged(window[ready], window, half, decisions)
            # Its picture is not needed any more, its values are.
            window[ready] = window[ready].without_image()
            ready += 1
            while ready < len(window) and window[ready].time_s - window[0].time_s > half:
                window.popleft()
                ready -= 1
        if latest is None:
            break
    if failure is not None:
        raise failure


def _averaged(result: FrameResult, window: Iterable[FrameResult], half: float, decisions: Sequence[int]) -> FrameResult:
    near: dict[int, list[NDArray[np.float32]]] = defaultdict(list)
    for other in window:
        if abs(other.time_s - result.time_s) <= half:
            for face in other.faces:
                near[face.number].append(face.scores)
    return replace(result, faces=tuple(_averaged_face(face, near[face.number], decisions) for face in result.faces))


def _averaged_face(face: DetectedFace, near: list[NDArray[np.float32]], decisions: Sequence[int]) -> DetectedFace:
    values = np.stack(near).astype(np.float64)
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    mean[decisions] = mean[decisions] >= 0.5
    return replace(face, scores=np.where(np.isfinite(face.scores), mean, np.nan).astype(np.float32))


@dataclass(frozen=True)
class Baseline:
    """Resting faces.

    Attributes:
        by_face: face -> (C,) values to subtract; face None stands for everybody.
    """

    by_face: Mapping[int | None, NDArray[np.float32]]

    def subtract(self, results: Iterable[FrameResult]) -> Iterator[FrameResult]:
        """The frames with every value relative to the person's resting face.

        A face whose resting face was never seen gets no values and the flag `no_baseline`.
        """
        for result in results:
            yield replace(result, faces=tuple(map(self._relative, result.faces)))

    def _relative(self, face: DetectedFace) -> DetectedFace:
        rest = self.by_face.get(None, self.by_face.get(face.number))
        if face.face.flag or rest is not None:
            return face if rest is None else replace(face, scores=face.scores - rest)
        missing = np.full_like(face.scores, np.nan)
        return replace(face, scores=missing, face=replace(face.face, flag=NO_BASELINE))


def check_baseline_columns(columns: Sequence[str]) -> None:
    """A resting face can be subtracted from raw scores and intensities.

    Raises:
        UsageError: when the model gives probabilities or decisions.
    """
    wrong = [column for column in columns if not column.endswith(("_s", "_r", "_left", "_right"))]
    if wrong:
        scores = any(column.endswith("_s") for column in columns)
        raise UsageError(
            f"a baseline cannot be subtracted from {wrong[0]}: only raw scores (_s) and intensities (_r) have a zero"
            f"{'; open the model by load_model(NAME, decisions=False)' if scores else ''}."
        )


def resting_faces(results: Iterable[FrameResult]) -> dict[int, NDArray[np.float32]]:
    """Face -> the median of each value over the frames in which it was read; faces never read are left out."""
    values: dict[int, list[NDArray[np.float32]]] = defaultdict(list)
    for result in results:
        for face in result.faces:
            if not face.face.flag:
                values[face.number].append(face.scores)
    # A column that the model never gives stays NaN.
    return {number: np.median(np.stack(rows), axis=0).astype(np.float32) for number, rows in values.items()}
