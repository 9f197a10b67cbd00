"""Columns of numbers as files that are mapped into memory, each of their blocks with a checksum.

A mapped file is read page by page where it is touched, and its pages are shared by all processes of a machine. A block
is checked when it is first touched, so that opening costs nothing and damage is still never read without a word.
"""

from __future__ import annotations

import io
import math
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError

BLOCK_BYTES: Final = 2**16
"""Of a column under one checksum, rounded down to whole rows."""
_MANY: Final = 4096


class DamagedError(Exception):
    """A file of the index is not what was written."""


def _header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What a `.npy` file of an array begins with."""
    stream = io.BytesIO()
    described = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(stream, described)
    return stream.getvalue()


def save_npy(path: Path, values: NDArray[Any], dtype: str) -> None:
    """Writes an array as `map_npy` reads it."""
    with path.open("wb") as file:
        file.write(_header(dtype, values.shape))
        file.write(np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())


def map_npy(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A `.npy` file as an array, read-only. What its header says is not read but compared: it must be this array.

    Raises:
        DamagedError: when the file is missing or of another type or length.
    """
    kind, header = np.dtype(dtype).newbyteorder("<"), _header(dtype, shape)
    length = kind.itemsize * math.prod(shape)
    try:
        with path.open("rb") as file:
            if file.read(len(header)) != header or file.seek(0, os.SEEK_END) != len(header) + length:
                raise DamagedError(f"{path}: is of another type or length")
            if not length:  # nothing cannot be mapped
                return np.empty(shape, dtype=kind)
            return np.asarray(np.memmap(file, dtype=kind, mode="r", offset=len(header), shape=shape))
    except OSError as error:
        raise DamagedError(f"{path}: {error}") from error


class Column:
    """A column on the disk, read-only: `column[rows]` for a slice of step 1 (nothing is copied), numbers, or one.

    Args:
        path: of the `.npy` file.
        dtype: of the values, as numpy writes it.
        shape: (rows, ...).
        sums: (blocks,) checksums of its blocks.
        limits: the lowest and the highest value that there may be, checked with the checksum: a file that somebody
            else made may have right checksums of values that cannot be. NaN may be anywhere.

    Raises:
        DamagedError: when the file is missing or of another type or length.
    """

    def __init__(
        self, path: Path, dtype: str, shape: tuple[int, ...], sums: NDArray[np.uint32], limits: tuple[float, float]
    ) -> None:
        self.path, self._kind, self._sums, self._limits = path, (dtype, shape), sums, limits
        self._open()

    def _open(self) -> None:
        values = map_npy(self.path, *self._kind)
        self._values = values
        self._step = rows_of_block(values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
        if len(self._sums) != -(-len(values) // self._step):
            raise DamagedError(f"{self.path}: has another number of checksums")
        self._good = np.zeros(len(self._sums), dtype=np.bool_)

    def __getstate__(self) -> dict[str, Any]:  # every process maps the file itself
        return {"path": self.path, "_kind": self._kind, "_sums": self._sums, "_limits": self._limits}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        try:
            self._open()
        except DamagedError as error:
            raise damaged(self.path) from error

    def __len__(self) -> int:
        return len(self._values)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, ...)."""
        return self._values.shape

    def __getitem__(self, rows: slice | NDArray[np.integer] | int) -> NDArray[Any]:
        """The values of some rows.

        Raises:
            InputError: when a block that they lie in is damaged.
        """
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            if start < stop:
                blocks = slice(start // self._step, (stop - 1) // self._step + 1)
                if not self._good[blocks].all():
                    self._check(np.flatnonzero(~self._good[blocks]) + blocks.start)
        else:
            blocks_of = np.atleast_1d(rows) // self._step
            unchecked = blocks_of[~self._good[blocks_of]]
            if len(unchecked) > _MANY:  # sorting them would take longer than a flag for every block
                flags = np.zeros_like(self._good)
                flags[unchecked] = True
                unchecked = np.flatnonzero(flags)
            if len(unchecked):
                self._check(np.unique(unchecked))
        found: NDArray[Any] = self._values[rows]
        return found

    def _check(self, blocks: NDArray[Any]) -> None:
        for block in blocks.tolist():
            start = block * self._step
            values = self._values[start : start + self._step]
            if zlib.crc32(values.data) != self._sums[block] or not self._possible(values):
                raise damaged(self.path)
            self._good[block] = True

    def _possible(self, values: NDArray[Any]) -> bool:
        low, high = self._limits
        return bool(np.fmin.reduce(values, axis=None) >= low and np.fmax.reduce(values, axis=None) <= high) or bool(
            np.isnan(values).all()
        )


def damaged(path: Path) -> InputError:
    """What to say of a file of the index that is not what was written."""
    return InputError(f"{path}: is damaged; delete the folder {path.parent}, it is made again from frames.parquet.")


def rows_of_block(row_bytes: int) -> int:
    """How many rows lie under one checksum."""
    return max(1, BLOCK_BYTES // row_bytes)


class ColumnWriter:
    """Writes a column from its first row to its last; a context manager.

    Args:
        path: of the `.npy` file.
        dtype: of the values.
        shape: (rows, ...) of the whole.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        self._dtype, self._shape = np.dtype(dtype).newbyteorder("<"), shape
        self._step = self._dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._step *= rows_of_block(self._step)
        self._sums: list[int] = []
        self._rest = b""
        self._rows = 0
        self._file = path.open("wb")
        self._file.write(_header(dtype, shape))

    def write(self, values: NDArray[Any]) -> None:
        """Adds rows."""
        content = np.ascontiguousarray(values, dtype=self._dtype)
        self._rows += len(content)
        raw = self._rest + content.tobytes()
        whole = len(raw) - len(raw) % self._step
        self._file.write(raw[len(self._rest) :])
        view = memoryview(raw)
        self._sums += [zlib.crc32(view[start : start + self._step]) for start in range(0, whole, self._step)]
        self._rest = raw[whole:]

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and self._rows != self._shape[0]:
            raise ValueError(f"{self._rows} rows were written of {self._shape[0]}")
        if self._rest:
            self._sums.append(zlib.crc32(self._rest))
            self._rest = b""

    @property
    def sums(self) -> NDArray[np.uint32]:
        """(blocks,) checksums, once it is closed."""
        return np.array(self._sums, dtype=np.uint32)
