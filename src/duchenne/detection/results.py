"""What detection finds in a frame, and the plain table of it: one row per face per frame, or one empty row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError, UsageError
from duchenne.faces.find import Face
from duchenne.tables.episodes import SCALE_COLUMN

T = TypeVar("T")
FACE_COLUMNS: Final = ("source", "frame", "time_s", "face", "score", "x", "y", "width", "height", "flag")
POSE_COLUMNS: Final = ("pitch", "yaw", "roll")
QUALITY_COLUMN: Final = "quality"


@dataclass(frozen=True, repr=False)
class DetectedFace:
    """One face of one frame.

    Attributes:
        number: the same for the same person over the frames of a video, from 0.
        face: box, landmarks, pose and flag, as found.
        scores: (C,) in the order of the model's columns; NaN where the model gives none.
        columns: names of the scores, see `duchenne.detectors.base.AuModel`.
    """

    number: int
    face: Face
    scores: NDArray[np.float32]
    columns: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """Column -> value, as in a row of the table: `AU12_p`, `AU12_c` ...; NaN where the model gives none."""
        return dict(zip(self.columns, map(float, self.scores), strict=True))

    @property
    def au(self) -> dict[str, float]:
        """Action unit -> its finest measure: probability, else intensity, else raw score; `au["AU12"]`."""
        found: dict[str, float] = {}
        for ending in ("_p", "_r", "_s"):
            for column, value in self.values.items():
                if column.endswith(ending):
                    found.setdefault(column.removesuffix(ending), value)
        return found

    def __repr__(self) -> str:
        """Short: landmarks and what is not known are left out."""
        x, y, width, height = self.face.box
        known = [f"{name} {value:.2f}" for name, value in self.au.items() if not np.isnan(value)]
        what = ", ".join(known) or self.face.flag or "no action units"
        return f"<face {self.number} at {x:.0f}, {y:.0f} ({width:.0f} x {height:.0f} px): {what}>"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        return str(pd.DataFrame([self.au]).to_html(index=False, na_rep="", max_cols=40, float_format="{:.2f}".format))


@dataclass(frozen=True, repr=False)
class FrameResult:
    """One decoded frame and its faces, from left to right.

    Attributes:
        source: the input as the user named it.
        frame: decode order, from 0.
        time_s: the container's time; 0 for pictures.
        faces: everyone found.
        image: (H, W, 3) uint8 RGB, as displayed; None where it was dropped to save memory.
        scale: what raw scores count, see `duchenne.detectors.base.score_scale`.
        columns: names of the scores that a face would have.
    """

    source: str
    frame: int
    time_s: float
    faces: tuple[DetectedFace, ...]
    image: NDArray[np.uint8] | None
    scale: str | None = None
    columns: tuple[str, ...] = ()

    def without_image(self) -> FrameResult:
        """The same, without the pixels."""
        return replace(self, image=None)

    @property
    def au(self) -> dict[str, float]:
        """That of the only face, see `DetectedFace.au`.

        Raises:
            UsageError: when there is none, or are several: use those of `faces`.
        """
        if len(self.faces) != 1:
            raise UsageError(f"the picture shows {len(self.faces)} faces; use the `au` of each of result.faces.")
        return self.faces[0].au

    def table(self) -> pd.DataFrame:
        """A row per face, or an empty one, as `detect` gives it."""
        columns = self.faces[0].columns if self.faces else self.columns
        return plain_table(Rows([self], columns, self.scale))

    def __repr__(self) -> str:
        """Short: pictures and landmarks are left out."""
        where = f"{self.source or 'picture'}, frame {self.frame}, {self.time_s:g} s"
        return f"<{where}: {len(self.faces)} {'face' if len(self.faces) == 1 else 'faces'}>"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        return str(self.table().to_html(index=False, na_rep="", max_cols=40))


def batches(items: Iterable[T], is_full: Callable[[list[T]], bool]) -> Iterator[list[T]]:
    """Lists of items that `is_full` says are full, the last one shorter.

    Raises:
        InputError: that of `items`, after everything that came before it was given.
    """
    waiting: list[T] = []
    failure: InputError | None = None
    iterator = iter(items)
    while True:
        try:
            waiting.append(next(iterator))
        except StopIteration:
            break
        except InputError as error:
            failure = error
            break
        if is_full(waiting):
            yield waiting
            waiting = []
    if waiting:
        yield waiting
    if failure is not None:
        raise failure


class Rows:
    """Frames as columns of equal length, the common ground of all table formats; NaN or None where there is nothing.

    Attributes:
        columns: names of the model's columns.
        source, flag, quality: lists of text; flag is None for faces with AUs and for frames without a face, quality
            where nothing makes the numbers less sure.
        frame: (N,) int64. time_s: (N,) float64. number: (N,) float64, the face. score: (N,) float64.
        box: (N, 4) x, y, width, height in pixels. pose: (N, 3) pitch, yaw, roll in degrees.
        landmarks: (N, 68, 2) pixels. values: (N, C) of the model.
        scale: what raw scores count, see `duchenne.detectors.base.score_scale`.
    """

    def __init__(self, results: Sequence[FrameResult], columns: Sequence[str], scale: str | None = None) -> None:
        pairs = [(result, face) for result in results for face in (result.faces or (None,))]
        count = len(pairs)
        self.columns = tuple(columns)
        self.scale = scale
        self.source = [result.source for result, _ in pairs]
        self.flag = [face.face.flag or None if face else None for _, face in pairs]
        self.quality = [" ".join(face.face.quality) or None if face else None for _, face in pairs]
        self.frame = np.array([result.frame for result, _ in pairs], dtype=np.int64)
        self.time_s = np.array([result.time_s for result, _ in pairs], dtype=np.float64)
        self.number = np.full(count, np.nan)
        self.score = np.full(count, np.nan)
        self.box = np.full((count, 4), np.nan)
        self.pose = np.full((count, 3), np.nan)
        self.landmarks = np.full((count, 68, 2), np.nan)
        self.values = np.full((count, len(self.columns)), np.nan)
        for row, (_, face) in enumerate(pairs):
            if face is None:
                continue
            self.number[row], self.score[row], self.box[row] = face.number, face.face.score, face.face.box
            self.values[row] = face.scores
            if face.face.pose is not None:
                self.pose[row] = face.face.pose
            if face.face.landmarks is not None:
                self.landmarks[row] = face.face.landmarks

    def __len__(self) -> int:
        return len(self.source)

    def face_numbers(self) -> pd.arrays.IntegerArray:
        """The faces as nullable integers."""
        return whole_numbers(self.number)

    def scale_columns(self) -> dict[str, pd.api.extensions.ExtensionArray]:
        """`SCALE_COLUMN`, where the scale of raw scores is known; what reads scores relies on it in every format."""
        if not self.scale:
            return {}
        return {SCALE_COLUMN: pd.array([None if np.isnan(one) else self.scale for one in self.number], dtype="str")}


def whole_numbers(values: NDArray[np.float64]) -> pd.arrays.IntegerArray:
    """(N,) whole numbers or NaN as nullable integers."""
    missing = np.isnan(values)
    return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int64), missing)


def plain_table(rows: Rows) -> pd.DataFrame:
    """The library's own table: `FACE_COLUMNS`, the model's columns, `POSE_COLUMNS`, `QUALITY_COLUMN`.

    `SCALE_COLUMN` follows where the scale of raw scores is known, and says which.

    Numbers are rounded to what they carry (microseconds, hundredths of a pixel and of a degree, five decimals of a
    score), so that a CSV file reads back as the same table.
    """
    box, pose, values = np.round(rows.box, 2), np.round(rows.pose, 2), np.round(rows.values, 5)
    return pd.DataFrame(
        {
            "source": pd.array(rows.source, dtype="str"),
            "frame": rows.frame,
            "time_s": np.round(rows.time_s, 6),
            "face": rows.face_numbers(),
            "score": np.round(rows.score, 5),
            **{name: box[:, column] for column, name in enumerate(("x", "y", "width", "height"))},
            "flag": pd.array(rows.flag, dtype="str"),
            **{
                name: whole_numbers(values[:, column]) if name.endswith("_c") else values[:, column]
                for column, name in enumerate(rows.columns)
            },
            **{name: pose[:, column] for column, name in enumerate(POSE_COLUMNS)},
            QUALITY_COLUMN: pd.array(rows.quality, dtype="str"),
            **rows.scale_columns(),
        }
    )
