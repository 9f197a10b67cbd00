"""Long lists of row numbers: in memory, or where that would be much, in a temporary file that is mapped into it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError

AT_ONCE = 2**20
"""Rows that are looked at together, and that are kept in memory."""


def spilled(pieces: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The pieces as one array, not to be written to; a long one lies in a file without a name in the temporary folder.

    Raises:
        InputError: when that cannot be written.
    """
    found: list[NDArray[np.int64]] = []
    length, file = 0, None
    try:
        for piece in pieces:
            length += len(piece)
            if file is None and length > AT_ONCE:
                file = tempfile.TemporaryFile(prefix="duchenne-rows-")  # noqa: SIM115 -- closed below
                for earlier in found:
                    file.write(np.ascontiguousarray(earlier, dtype=np.int64).data)
                found = []
            if file is None:
                found.append(piece)
            else:
                file.write(np.ascontiguousarray(piece, dtype=np.int64).data)
        if file is None:
            return np.concatenate([np.zeros(0, dtype=np.int64), *found])
        file.flush()
        return np.asarray(np.memmap(file, dtype=np.int64, mode="r", shape=(length,)))
    except OSError as error:
        where = tempfile.gettempdir()
        raise InputError(f"{where}: cannot be written ({error.strerror}); free some space or set TMPDIR.") from error
    finally:
        if file is not None:
            file.close()


def distinct(read: Callable[[NDArray[np.int64]], NDArray[np.int64]], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values that `read` gives of rows, ascending."""
    found = np.zeros(0, dtype=np.int64)
    for part in parts_of(len(rows)):
        found = np.union1d(found, read(rows[part]))
    return found


def parts_of(length: int) -> Iterator[slice]:
    """Ranges of `AT_ONCE` rows each."""
    for start in range(0, length, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, length))
