"""Labels of frames as arrays: what a method or protocol reads beside the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
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

    def read(self, data: Prepared) -> dict[str, NDArray[Any]]:
        """Labels of all N rows by name; see `ClipBatch.labels` for shapes and the marks of unknown values.

        Raises:
            InputError: when the data lacks a column that is needed.
        """
        found: dict[str, NDArray[Any]] = {}
        if self.aus:
            occurrence = data.occurrence(self.aus)
            found["aus"] = np.where(np.isnan(occurrence), -1, occurrence).astype(np.int8)
        if self.emotions:
            names = data.frames["emotion"].astype("string")
            classes = {name: place for place, name in enumerate(self.emotions)}
            codes = names.map(classes).fillna(-1).to_numpy(dtype=np.int64)
            found["emotion"] = codes
            if not (codes >= 0).any():
                raise InputError(
                    f"{data.paths[0]}: column `emotion` of frames.parquet names none of {', '.join(self.emotions)}; "
                    "prepare data with emotion labels."
                )
        if self.landmarks:
            points = data.landmarks()
            if np.isnan(points).all():
                raise InputError(
                    f"{data.paths[0]}: column `landmarks` of frames.parquet is empty; prepare the data with face "
                    "detection (without --no-detect)."
                )
            if self.size_px is not None:
                sides = np.array([info.size_px for info in data.infos], dtype=np.float32)
                points = points * (self.size_px / sides[data.frames["dataset"].to_numpy()])[:, None, None]
            found["landmarks"] = points.astype(np.float32)
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
