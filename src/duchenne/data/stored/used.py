"""Which clips some rows belong to, without anything that is as long as the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.stored.making import clip_pieces
from duchenne.data.stored.spilled import parts_of


def ranges(first: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers from each of `first` on, as many as `lengths` says: (2, 7), (3, 1) -> 2 3 4 7."""
    end = np.cumsum(lengths)
    return np.asarray(np.arange(end[-1] if len(end) else 0) + np.repeat(first - (end - lengths), lengths))


class Used(NamedTuple):
    """Some clips, of which some frames may be used.

    Attributes:
        numbers: (C,) of the clips.
        lengths: (C,) how many of their frames may be used, at least 1.
        whole: (C,) whether all of them may.
        first: (C,) where they begin in `Prepared.in_clips`.
        rows: (sum of lengths,) the frames that may be used, clip by clip, in order of time.
    """

    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]
    whole: NDArray[np.bool_]
    first: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def begin(self) -> NDArray[np.int64]:
        """(C,) where a clip begins in `rows`."""
        return np.cumsum(self.lengths) - self.lengths


def used_clips(data: Prepared, rows: NDArray[np.int64]) -> Iterator[Used]:
    """The clips that some rows belong to, some clips at a time.

    Args:
        data: the frames.
        rows: those that may be used, ascending.
    """
    frames, first = data.clip_column("frames"), data.clip_column("first")
    counts, before = np.zeros(data.clips, dtype=np.int64), -1
    for part in parts_of(len(rows)):
        own = rows[part]
        if own[0] <= before or (np.diff(own) <= 0).any():
            raise ValueError("rows must ascend")
        before = own[-1]
        near = own[-1] - own[0] + 1 == len(own)  # a range is read without looking for its rows
        counts += np.bincount(
            data.clip_ids(slice(int(own[0]), int(own[-1]) + 1) if near else own), minlength=data.clips
        )
    for start, stop in clip_pieces(np.append(first, len(data))):
        own = np.flatnonzero(counts[start:stop]) + start
        if not len(own):
            continue
        lengths, whole = counts[own], counts[own] == frames[own]
        found = data.in_clips(slice(int(first[start]), int(first[stop - 1] + frames[stop - 1])))
        if len(own) < stop - start or not whole.all():
            place = np.searchsorted(rows, found)
            found = found[rows[np.minimum(place, len(rows) - 1)] == found]
        yield Used(own, lengths, whole, first[own], found)
