"""The columns of several prepared folders, one after another as if they were one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.data.stored.columns import Column
from duchenne.data.stored.index import Index

Rows = slice | NDArray[np.int64] | None
"""Which rows: a range, numbers of any order, or all."""


class Several:
    """Reads columns of indexes by row, counted over all of them.

    Attributes:
        starts: (F + 1,) the first row of each folder, and the number of all.
        clip_starts: (F + 1,) the same of clips.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = list(indexes)
        self.starts = np.concatenate([[0], np.cumsum([index.rows for index in indexes])]).astype(np.int64)
        self.clip_starts = np.concatenate([[0], np.cumsum([index.clips for index in indexes])]).astype(np.int64)

    def folders(self, rows: Rows = None) -> NDArray[np.int64]:
        """(n,) the folder of each row."""
        if rows is None or isinstance(rows, slice):
            part = slice(None) if rows is None else rows
            start, stop, _ = part.indices(int(self.starts[-1]))
            ends = np.clip(self.starts, start, stop)
            return np.repeat(np.arange(len(self.indexes)), np.diff(ends))
        return np.asarray(np.searchsorted(self.starts, rows, side="right") - 1, dtype=np.int64)

    def read(
        self, name: str, rows: Rows = None, *, fill: Any = np.nan, then: Callable[[int, Any], Any] | None = None
    ) -> NDArray[Any]:
        """(n,) a column, `fill` in folders that lack it; of one folder and a range nothing is copied.

        Args:
            name: of the column.
            rows: which.
            fill: of folders without it.
            then: what is made of a folder's values: its number and they are given.
        """

        def part(number: int, own: slice | NDArray[np.int64]) -> Any:
            column = self.indexes[number].columns.get(name)
            values = np.full(_length(own), fill) if column is None else column[own]
            return values if then is None else then(number, values)

        return self.each(part, rows)

    def lists(self, name: str, length: int, rows: Rows = None) -> NDArray[np.float32]:
        """(n, length) landmarks or blendshapes, NaN where unknown."""

        def part(number: int, own: slice | NDArray[np.int64]) -> Any:
            column: Column | None = self.indexes[number].lists(name)
            if column is not None:
                return column[own]
            return np.broadcast_to(np.float32(np.nan), (_length(own), length))

        return self.each(part, rows)

    def each(self, part: Callable[[int, slice | NDArray[np.int64]], Any], rows: Rows = None) -> NDArray[Any]:
        """What `part` gives of each folder and its own rows, put together in the order of the rows."""
        if len(self.indexes) == 1 and isinstance(rows, np.ndarray) and rows.dtype == np.int64:  # of every batch
            return np.asarray(part(0, rows))
        if rows is None or isinstance(rows, slice):
            start, stop, _ = (slice(None) if rows is None else rows).indices(int(self.starts[-1]))
            ends = np.clip(self.starts, start, max(start, stop))
            found = [
                part(number, slice(int(first - begin), int(last - begin)))
                for number, (begin, first, last) in enumerate(zip(self.starts, ends, ends[1:]))
                if last > first or len(self.indexes) == 1
            ]
            return np.asarray(found[0]) if len(found) == 1 else np.concatenate(found or [part(0, slice(0, 0))])
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == np.bool_ else np.asarray(rows, dtype=np.int64)
        if len(self.indexes) == 1:
            return np.asarray(part(0, rows))
        folder = self.folders(rows)
        there = np.unique(folder)
        if len(there) == 1:
            return np.asarray(part(int(there[0]), rows - self.starts[there[0]]))
        out: NDArray[Any] | None = None
        for number in there.tolist():
            own = folder == number
            values = np.asarray(part(number, rows[own] - self.starts[number]))
            if out is None:
                out = np.empty((len(rows), *values.shape[1:]), dtype=values.dtype)
            elif values.dtype != out.dtype:
                out = out.astype(np.result_type(out, values))
            out[own] = values
        return np.zeros(0) if out is None else out


def _length(own: slice | NDArray[np.int64]) -> int:
    return own.stop - own.start if isinstance(own, slice) else len(own)
