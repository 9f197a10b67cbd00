"""Labels of frames as arrays: what a method or protocol reads beside the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.stored.rows import Rows
from duchenne.errors import InputError

_WORDS: Final = {"aus": "action unit labels", "emotion": "emotion labels", "landmarks": "landmarks"}


@dataclass(frozen=True)
class LabelSpec:
    """Which labels are read, and in which order their classes stand.

    Attributes:
        aus: FACS numbers; empty: not read.
        emotions: names, their place is the class; empty: not read.
        landmarks: whether landmarks are read.
        size_px: side of the pictures that landmarks refer to; None: the crops' own.
    """

    aus: tuple[int, ...] = ()
    emotions: tuple[str, ...] = ()
    landmarks: bool = False
    size_px: int | None = None

    def check(self, data: Prepared) -> None:
        """Refuses data in which a label that is read is known nowhere.

        Raises:
            InputError: when the data lacks a column that is needed, or all its values.
        """
        if self.aus:
            data.presence(self.aus, slice(0, 0))
        if self.emotions and not set(self.emotions) & set(data.codes("emotion", slice(0, 0))[1]):
            raise InputError(
                f"{data.paths[0]}: column `emotion` of frames.parquet names none of {', '.join(self.emotions)}; "
                "prepare data with emotion labels."
            )
        if self.landmarks and not data.knows("landmarks"):
            raise InputError(
                f"{data.paths[0]}: column `landmarks` of frames.parquet is empty; prepare the data with face "
                "detection (without --no-detect)."
            )

    def read(self, data: Prepared, rows: Rows = None) -> dict[str, NDArray[Any]]:
        """Labels of some rows, or of all N, by name; see `ClipBatch.labels` for shapes and the marks of unknown values.

        Raises:
            InputError: without `rows`, as `check`.
        """
        if rows is None:
            self.check(data)
        found: dict[str, NDArray[Any]] = {}
        if self.aus:
            found["aus"] = np.array(data.presence(self.aus, rows))
        if self.emotions:
            codes, names = data.codes("emotion", rows)
            classes = {name: place for place, name in enumerate(self.emotions)}
            found["emotion"] = np.array([*(classes.get(name, -1) for name in names), -1], dtype=np.int64)[codes]
        if self.landmarks:
            points = data.landmarks(rows)
            if self.size_px is not None and any(info.size_px != self.size_px for info in data.infos):
                sides = np.array([info.size_px for info in data.infos], dtype=np.float32)
                factor = self.size_px / sides[data.datasets(rows)]
                points = np.asarray(points * factor[:, None, None], dtype=np.float32)
            found["landmarks"] = points
        return found

    def words(self) -> list[str]:
        """What is read, in words."""
        there = {"aus": bool(self.aus), "emotion": bool(self.emotions), "landmarks": self.landmarks}
        return [_WORDS[name] for name, read in there.items() if read]


def known(name: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) where a label is known; of action units: at least one."""
    if name == "landmarks":
        return np.asarray(~np.isnan(values.astype(np.float32)).any(axis=(1, 2)))
    return np.asarray((values.astype(np.int64) >= 0).reshape(len(values), -1).any(axis=1))
