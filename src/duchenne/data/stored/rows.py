"""Which rows are meant: whatever numpy would take to choose some, as numbers or a range, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import UsageError

Rows = slice | Sequence[int] | Sequence[bool] | NDArray[np.integer[Any]] | NDArray[np.bool_] | None
"""Which rows: a slice, numbers of any order (negative ones count from the end), a mask of all rows, or None for all."""


def chosen(rows: Rows, count: int) -> slice | NDArray[np.int64]:
    """The rows as a slice of step 1 within 0 to `count`, from which nothing need be copied, or as their numbers.

    Args:
        rows: as a caller gave them.
        count: how many there are.

    Returns:
        A slice with `start` <= `stop`, or (n,) numbers from 0 to `count` - 1.

    Raises:
        UsageError: when it is a mask of another length, or holds what is no whole number or beyond the last row.
    """
    if rows is None:
        return slice(0, count)
    if isinstance(rows, slice):
        start, stop, step = rows.indices(count)
        return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
    given = np.asarray(rows)
    if given.ndim != 1:
        raise UsageError(
            f"rows: must be a slice, a mask or a list of numbers, not of shape {given.shape}; give one dimension."
        )
    if given.dtype == np.bool_:
        if len(given) != count:
            raise UsageError(f"rows: the mask has {len(given)} values for {count} rows; give one for each row.")
        return np.flatnonzero(given)
    if not len(given):
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(given.dtype, np.integer):
        raise UsageError(f"rows: must be whole numbers or a mask, not {given.dtype}; convert them.")
    low, high = int(given.min()), int(given.max())
    if low < -count or high >= count:
        raise UsageError(
            f"rows: there is no row {high if high >= count else low} among {count}; give numbers from 0 to {count - 1}."
        )
    numbers = given.astype(np.int64, copy=False)
    return numbers if low >= 0 else np.where(numbers < 0, numbers + count, numbers)


def numbered(rows: Rows, count: int) -> NDArray[np.int64]:
    """The same, always as (n,) numbers."""
    own = chosen(rows, count)
    return np.arange(own.start, own.stop) if isinstance(own, slice) else own
