"""The tables of a prepared folder (`frames.parquet`, `missing.parquet`), read and checked: types, ranges, known words.

Whatever reads such a table reads it here, so that a damaged or foreign one is refused in one sentence, once, where it
is opened, instead of moving a score without a word.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from duchenne.config import parse_json
from duchenne.data.stored.parquet import BROKEN, broken, read_blocks, read_parquet
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column, intensity_column
from duchenne.files import check_file

FRAMES_FILE: Final = "frames.parquet"
NOTE: Final = b"duchenne.dataset"
SPLITS: Final = ("train", "validation", "test")
"""What `split` may say, unless `dataset.yaml` says that it holds parts of the data set's own."""
LANDMARKS_LENGTH: Final = 136
BLENDSHAPES_LENGTH: Final = 52
_NULLABLE: Final = {pa.int8(): pd.Int8Dtype(), pa.string(): pd.StringDtype()}
TEXTS: Final = ("subject", "split", "emotion", "source")
"""Columns of texts that may be null; where another program left one out, all of it is."""
_NEEDED: Final = ("clip", "frame", "shard", "offset", "size")
_NEVER_NULL: Final = {*_NEEDED, "crc32"}
_TYPES: Final = {
    **dict.fromkeys(("subject", "clip", "shard", "split", "emotion", "source"), pa.string()),
    **dict.fromkeys(("frame", "offset", "size"), pa.int64()),
    "crc32": pa.uint32(), "time_s": pa.float64(), "score": pa.float32(),
}  # fmt: skip
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "frame": (0, 2**53), "offset": (0, 2**53), "size": (1, 2**31), "time_s": (0, 1e9), "score": (-1e-3, 1 + 1e-3),
}  # fmt: skip
_FARTHEST: Final = 16.0
"""Sides of the crop that a landmark may lie from it."""
LISTS: Final = {"landmarks": LANDMARKS_LENGTH, "blendshapes": BLENDSHAPES_LENGTH}
_PICTURE: Final = {"shard", "offset", "size", "crc32"}
_CODED: Final = {column(au) for au in ACTION_UNITS for column in (au_column, intensity_column)}


@dataclass(frozen=True)
class Layout:
    """What `dataset.yaml` says of the columns of its tables.

    Attributes:
        aus: FACS numbers that have label columns.
        label_kind: none, occurrence or intensity.
        positive_from: the lowest intensity that counts as present.
        size_px: side of the crops.
        own_parts: whether `split` holds parts of the data set's own in place of `SPLITS`.
        summed: whether every crop has a checksum: of version 2.
    """

    aus: Sequence[int]
    label_kind: str
    positive_from: float
    size_px: int
    own_parts: bool = False
    summed: bool = False

    def note(self) -> dict[str, Any]:
        """What the tables repeat of it, so that a change in either of them shows."""
        values = {"aus": list(self.aus), "label_kind": self.label_kind, "size_px": self.size_px}
        return {**values, "positive_from": float(self.positive_from)}

    def metadata(self) -> dict[bytes, bytes]:
        """`note` as a table's metadata."""
        return {NOTE: json.dumps(self.note()).encode()}


def read_table(path: Path, layout: Layout, *, pictures: bool = True) -> pd.DataFrame:
    """Every scalar column of `frames.parquet` or `missing.parquet`, checked.

    Args:
        path: of the file.
        layout: what it must hold.
        pictures: whether its rows are of crops (`frames.parquet`).

    Returns:
        Texts and occurrences in pandas' nullable types; texts that the file leaves out are null.

    Raises:
        InputError: when the file cannot be read, a column is missing or of another type, or a value is impossible.
    """
    table = read_parquet(path, lambda name: name not in LISTS)
    _check_note(table, layout, path)
    table = _checked(table.replace_schema_metadata(None), layout, path, pictures)
    try:
        frames: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    except BROKEN as error:  # texts that are no UTF-8
        raise broken(path, error) from error
    for name in TEXTS:
        if name not in frames:
            frames[name] = pd.array([None] * len(frames), dtype="string")
    return frames


def read_column(path: Path, column: str) -> pd.Series[Any]:
    """One column of `frames.parquet` as `read_table` gives it; its values were checked when the index was made."""
    table = read_parquet(path, lambda name: name == column)
    if column not in table.column_names:
        raise KeyError(column)
    kind = _TYPES.get(column)
    if kind is not None:
        table = table.set_column(0, column, _typed(table[column], kind, column, path))
    try:
        found: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(types_mapper=_NULLABLE.get)
    except BROKEN as error:
        raise broken(path, error) from error
    return found[column]


def checked_blocks(path: Path, layout: Layout) -> Iterator[pa.Table]:
    """Every scalar column of `frames.parquet` in pieces, checked as `read_table` does.

    Raises:
        InputError: as `read_table`.
    """
    first = 0
    for block in read_blocks(path, lambda name: name not in LISTS):
        if not first:
            _check_note(block, layout, path)
        table = _checked(block.replace_schema_metadata(None), layout, path, True, first)
        try:
            table.validate(full=True)  # texts that are no UTF-8
        except BROKEN as error:
            raise broken(path, error) from error
        yield table
        first += len(block)


def list_blocks(path: Path, column: str, layout: Layout) -> Iterator[NDArray[np.float32]]:
    """(n, 136) `landmarks` or (n, 52) `blendshapes` of `frames.parquet` in pieces, NaN where unknown.

    A file without the column gives nothing.

    Args:
        path: of the file.
        column: one of the two.
        layout: what it must hold.

    Raises:
        InputError: when the file cannot be read, a list has another length, or a number is impossible.
    """
    first = 0
    for block in read_blocks(path, lambda name: name == column, rows=2**14):
        if column not in block.column_names:
            return
        yield _lists(block[column].combine_chunks(), column, layout, path, first)
        first += len(block)


def list_range(column: str, layout: Layout) -> tuple[float, float]:
    """The lowest and the highest number of `landmarks` or `blendshapes`."""
    return (-_FARTHEST * layout.size_px, _FARTHEST * layout.size_px) if column == "landmarks" else (-0.01, 1.01)


def _lists(values: pa.Array, column: str, layout: Layout, path: Path, first: int) -> NDArray[np.float32]:
    length, kind = LISTS[column], values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise InputError(f"{path}: column `{column}` must be lists of {length} numbers; prepare the data again.")
    out = np.full((len(values), length), np.nan, dtype=np.float32)
    known = ~values.is_null().to_numpy(zero_copy_only=False)
    there = values.drop_null()
    lengths = pc.list_value_length(there).to_numpy(zero_copy_only=False)
    if (lengths != length).any():
        place = int(np.flatnonzero(lengths != length)[0])
        row = first + int(np.flatnonzero(known)[place])
        raise InputError(
            f"{path}: `{column}` of row {row} has {lengths[place]} numbers, not {length}; prepare the data again."
        )
    numbers = there.flatten().to_numpy(zero_copy_only=False).reshape(-1, length)
    low, high = list_range(column, layout)
    if len(numbers) and not (np.nanmin(numbers, initial=low) >= low and np.nanmax(numbers, initial=high) <= high):
        with np.errstate(invalid="ignore"):
            wrong = ((numbers < low) | (numbers > high)).any(axis=1)
        row = first + int(np.flatnonzero(known)[np.flatnonzero(wrong)[0]])
        raise InputError(f"{path}: `{column}` of row {row} is impossible (not {low:g} to {high:g}); prepare it again.")
    out[known] = numbers
    return out


def shard_sizes(folder: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """(len(names),) how many bytes each shard has; a very high number where it is not there.

    A shard that is not there is passed over: it is an error where one of its crops is wanted.

    Raises:
        InputError: when a shard is no plain name, or no regular file.
    """
    sizes = np.full(len(names), np.iinfo(np.int64).max)
    try:
        found = {entry.name: entry for entry in os.scandir(folder / "shards")}  # one call for a whole folder's names
    except OSError:
        found = {}
    for number, name in enumerate(names):
        if not name or name in (".", "..") or any(mark in name for mark in "/\\\0"):
            raise InputError(f"{folder / FRAMES_FILE}: `shard` {name!r} is not a file name; prepare the data again.")
        entry = found.get(name)
        if entry is None:
            continue
        try:
            facts = entry.stat()
        except FileNotFoundError:  # a link that leads nowhere
            continue
        except OSError as error:
            raise InputError(f"{entry.path}: cannot be read ({error.strerror}); check its permissions.") from error
        if not stat.S_ISREG(facts.st_mode):
            check_file(entry.path)
        sizes[number] = facts.st_size
    return sizes


def _check_note(table: pa.Table, layout: Layout, path: Path) -> None:
    """Refuses a table that was written for another layout."""
    text = (table.schema.metadata or {}).get(NOTE)
    if text is None:
        return
    own, other = parse_json(text, str(path)), layout.note()
    differ = [key for key in other if not isinstance(own, dict) or own.get(key) != other[key]]
    if differ:
        raise InputError(
            f"{path}: was written with another `{differ[0]}` than dataset.yaml says; correct dataset.yaml or prepare "
            "the data again."
        )


def _checked(table: pa.Table, layout: Layout, path: Path, pictures: bool, first: int = 0) -> pa.Table:
    """The table, which begins at row `first`, with every known column in its own type; refuses what cannot be."""
    needed = [name for name in _NEEDED if pictures or name not in _PICTURE]
    needed += ["crc32"] if layout.summed and pictures else []
    needed += [au_column(au) for au in layout.aus]
    named = {au_column(au) for au in layout.aus}
    if layout.label_kind == "intensity":
        named |= {intensity_column(au) for au in layout.aus}
    there = set(table.column_names)
    lacking = [name for name in needed if name not in there]
    if lacking:
        raise InputError(f"{path}: has no column `{lacking[0]}`; prepare the data again.")
    strange = sorted(there & _CODED - named)
    if strange:
        raise InputError(
            f"{path}: has a column `{strange[0]}`, which dataset.yaml (`aus`, `label_kind: {layout.label_kind}`) does "
            "not know; correct one of the two."
        )
    for name in there - named - {*_TYPES, *LISTS}:
        meant = [known for known in (*_TYPES, *LISTS, *named) if known not in there and _is_one_off(name, known)]
        if meant:  # names have no checksum: one bit would take all labels of a kind away
            raise InputError(
                f"{path}: has a column {name!r}, one letter off `{meant[0]}`; rename or remove it, or prepare the data "
                "again."
            )
    for place, name in enumerate(table.column_names):
        kind = _TYPES.get(name)
        if name in named:
            kind = pa.float32() if name.endswith("_i") else pa.int8()
        if kind is None:
            continue
        column = _typed(table[name], kind, name, path)
        low_high = RANGES.get(name)
        if name in named:
            low_high = (0, 5) if name.endswith("_i") else (0, 1)
        _check_values(column, name, low_high, path, null=name not in _NEVER_NULL, first=first)
        table = table.set_column(place, name, column)
    if "split" in there and not layout.own_parts:
        _check_words(table["split"], SPLITS, "split", path, first)
    return table


def _is_one_off(name: str, known: str) -> bool:
    return len(name) == len(known) and sum(one != other for one, other in zip(name, known)) == 1


def _typed(column: pa.ChunkedArray, kind: pa.DataType, name: str, path: Path) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    own = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = pa.types.is_string(own) or pa.types.is_large_string(own)
    number = pa.types.is_integer(own) or pa.types.is_floating(own) or pa.types.is_boolean(own)
    fits = text if kind == pa.string() else number
    try:
        if not fits and not pa.types.is_null(own):
            raise ValueError(f"its type is {own}")
        if pa.types.is_floating(own) and not pa.types.is_floating(kind):  # how pandas writes 1, 0 and unknown
            column = pc.if_else(pc.is_nan(column), None, column)
        return column.cast(kind)
    except BROKEN as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: column `{name}` must be {kind} ({reason}); prepare the data again.") from error


def _check_values(
    column: pa.ChunkedArray, name: str, low_high: tuple[float, float] | None, path: Path, *, null: bool, first: int
) -> None:
    if column.null_count and not null:
        row = pc.index(column.is_null(), True).as_py()
        raise InputError(f"{path}: `{name}` of row {first + row} is empty; prepare the data again.")
    if low_high is None or column.null_count == len(column):
        return
    low, high = low_high
    least, most = pc.min_max(column).values()  # of numbers that may be NaN, which stands for unknown: without these
    if least.as_py() is None or (least.as_py() >= low and most.as_py() <= high):
        return
    if not (least.as_py() < low or most.as_py() > high):  # NaN alone
        return
    wrong = pc.fill_null(pc.or_(pc.less(column, pa.scalar(low)), pc.greater(column, pa.scalar(high))), False)
    row = pc.index(wrong, True).as_py()
    where = f"{path}: `{name}` of row {first + row}"
    raise InputError(f"{where} is {column[row].as_py():g}, not from {low:g} to {high:g}; prepare it again.")


def _check_words(column: pa.ChunkedArray, words: Collection[str], name: str, path: Path, first: int) -> None:
    strange = [word for word in pc.unique(column).to_pylist() if word is not None and word not in words]
    if strange:
        row = pc.index(column, strange[0]).as_py()
        where = f"{path}: `{name}` of row {first + row}"
        raise InputError(f"{where} is `{strange[0]}`, not one of {', '.join(words)}; correct it.")
