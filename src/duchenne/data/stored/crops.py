"""The crops of prepared folders: JPEGs in shards that are mapped into memory."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.stored.rows import Rows, numbered
from duchenne.data.stored.several import Several
from duchenne.errors import InputError
from duchenne.faces.resize import resized

_SHARDS: Final = 4096
"""That are open at a time."""


class Place(NamedTuple):
    """Where a crop lies; `crc32` is -1 where there is none."""

    shard: int
    offset: int
    size: int
    crc32: int
    dataset: int
    row: int


class Crops:
    """Reads crops by row."""

    def __init__(self, folders: Several) -> None:
        self._all = folders
        self._shards: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # every process opens its own

    def places(self, rows: Rows) -> list[Place]:
        """Where the crops of some rows lie."""
        own = numbered(rows, int(self._all.starts[-1]))
        columns = [self._all.read(name, own) for name in ("shard", "offset", "size")]
        columns += [self._all.read("crc32", own, fill=np.int64(-1)), self._all.folders(own), own]
        return list(map(Place._make, zip(*(column.tolist() for column in columns))))

    def image(self, place: Place, size_px: int | None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB uint8, resized to `size_px` where given.

        Raises:
            InputError: when its bytes are damaged.
        """
        decoded = cv2.imdecode(self.content(place), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            raise self._unusable(place, "is damaged")
        picture = np.asarray(decoded, dtype=np.uint8)
        return picture if size_px is None else resized(picture, size_px)

    def content(self, place: Place) -> NDArray[np.uint8]:
        """The bytes of its JPEG.

        Raises:
            InputError: when they are not what was written, or cannot be read.
        """
        key = place.dataset, place.shard
        opened = self._shards.get(key)
        if opened is None:
            path = self._path(place)
            try:
                opened = np.memmap(path, dtype=np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot be read ({error}); prepare the data again.") from error
            if len(self._shards) >= _SHARDS:  # a process may map some 65,000 files
                self._shards = {}
            self._shards[key] = opened
        if place.offset + place.size > len(opened):
            raise InputError(
                f"{self._path(place)}: ends before the picture of row {place.row}; prepare the data again."
            )
        data = opened[place.offset : place.offset + place.size]
        if place.crc32 >= 0 and zlib.crc32(data.tobytes()) != place.crc32:
            raise self._unusable(place, "is damaged")
        return data

    def _unusable(self, place: Place, why: str) -> InputError:
        return InputError(f"{self._path(place)}: the picture of row {place.row} {why}; prepare the data again.")

    def _path(self, place: Place) -> Path:
        index = self._all.indexes[place.dataset]
        return index.folder / "shards" / index.words("shard")[place.shard]
