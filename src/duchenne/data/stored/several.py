"""The columns of several prepared folders, one after another as if they were one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.data.stored.columns import Column
from duchenne.data.stored.index import Index
from duchenne.data.stored.rows import Rows, chosen


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
        own = chosen(rows, int(self.starts[-1]))
        if isinstance(own, slice):
            ends = np.clip(self.starts, own.start, own.stop)
            return np.repeat(np.arange(len(self.indexes)), ends[1:] - ends[:-1])
        return np.asarray(np.searchsorted(self.starts, own, side="right") - 1, dtype=np.int64)

    def read(
        self, name: str, rows: Rows = None, *, fill: Any = np.nan, then: Callable[[int, Any], Any] | None = None
    ) -> NDArray[Any]:
        """(n,) a column, `fill` in folders that lack it; of one folder and a range nothing is copied.

        Args:
            name: of the column.
            rows: which, see `Rows`.
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
        wanted = chosen(rows, int(self.starts[-1]))
        if len(self.indexes) == 1:
            return np.asarray(part(0, wanted))
        if isinstance(wanted, slice):
            ends = np.clip(self.starts, wanted.start, wanted.stop)
            found = [
                part(number, slice(int(first - begin), int(last - begin)))
                for number, (begin, first, last) in enumerate(zip(self.starts, ends, ends[1:]))
                if last > first
            ]
            return np.asarray(found[0]) if len(found) == 1 else np.concatenate(found or [part(0, slice(0, 0))])
        folder = self.folders(wanted)
        there = np.unique(folder).tolist() or [0]
        if len(there) == 1:
            return np.asarray(part(there[0], wanted - self.starts[there[0]]))
        own = [folder == number for number in there]
        values = [np.asarray(part(number, wanted[own_] - self.starts[number])) for number, own_ in zip(there, own)]
        out = np.empty((len(wanted), *values[0].shape[1:]), dtype=np.result_type(*values))
        for place, given in zip(own, values):
            out[place] = given
        return out


def _length(own: slice | NDArray[np.int64]) -> int:
    return own.stop - own.start if isinstance(own, slice) else len(own)
