"""Making the index of a prepared folder: its table is read once in pieces, checked, and written as columns.

Nothing here is as long as the table but the files: pieces are a few hundred thousand rows, and what is kept is per
clip, subject, shard and word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from duchenne.data.stored.columns import Column, ColumnWriter, save_npy
from duchenne.data.stored.frames import LISTS, TEXTS, Layout, checked_blocks, list_blocks
from duchenne.data.stored.parquet import count_rows
from duchenne.data.stored.texts import write_texts
from duchenne.errors import InputError
from duchenne.facs import au_column, intensity_column

AT_ONCE: Final = 2**18
"""Rows that are held at a time."""
WORDS: Final = ("subject", "shard", "split", "emotion")
_PLAIN: Final = ("frame", "time_s", "offset", "size", "crc32")
KINDS: Final = {
    **dict.fromkeys(WORDS, "i4"), **dict.fromkeys(("frame", "offset", "size", "by_clip"), "i8"), "clip": "i4",
    "time_s": "f8", "crc32": "u4", "occurrence": "i1", "intensity": "f4", **dict.fromkeys(LISTS, "f4"),
    "clip_first": "i8", "clip_frames": "i8", "clip_spacing": "f8", "clip_gap": "f8",
}  # fmt: skip
"""The type of every column of an index."""


def make_columns(table: Path, layout: Layout, out: Path) -> dict[str, Any]:
    """Writes the columns of `frames.parquet` but its lists, and what follows from them, into an empty folder.

    Args:
        table: the file.
        layout: what it must hold.
        out: the folder.

    Returns:
        What `Index` needs to know of them.

    Raises:
        InputError: when the table cannot be read or holds what cannot be, or `out` cannot be written.
    """
    rows = count_rows(table)
    sums: dict[str, NDArray[np.uint32]] = {}
    names, graded, clips, texts = _scalars(table, layout, out, rows, sums)
    texts["clip"] = _clip_column(clips, texts["subject"], out, rows, sums)
    count = len(texts["clip"]["clip"])
    _clip_order(out, rows, count, sums)
    save_npy(out / "sums.npy", np.concatenate(list(sums.values())), "u4")
    return {
        "rows": rows, "clips": count, "names": names, "graded": list(graded),
        "columns": {name: len(own) for name, own in sums.items()},
        "texts": {name: write_texts(out / f"{name}.arrow", own) for name, own in texts.items()},
    }  # fmt: skip


def make_list(table: Path, column: str, layout: Layout, rows: int, out: Path) -> bool:
    """Writes `landmarks` or `blendshapes` as a column `out`, its checksums beside it; False where no row has any.

    Raises:
        InputError: when the table cannot be read or holds what cannot be.
    """
    length, before = LISTS[column], 0
    gap = np.full((2**12, length), np.nan, dtype=np.float32)
    with ExitStack() as stack:
        writer: ColumnWriter | None = None
        for values in list_blocks(table, column, layout):
            if writer is None and not np.isnan(values).all():
                writer = stack.enter_context(ColumnWriter(out, "f4", (rows, length)))
                for start in range(0, before, len(gap)):
                    writer.write(gap[: before - start])
            if writer is not None:
                writer.write(values)
            before += len(values)
        _check_rows(table, before, rows if before else 0)
    if writer is None:
        return False
    save_npy(sums_path(out), writer.sums, "u4")
    return True


def _check_rows(table: Path, read: int, stated: int) -> None:
    if read != stated:
        raise InputError(f"{table}: has {read} rows, not {stated} as it says; make it again.")


def sums_path(column: Path) -> Path:
    """Where the checksums of a list lie."""
    return column.with_suffix(".sums.npy")


def _scalars(
    table: Path, layout: Layout, out: Path, rows: int, sums: dict[str, NDArray[np.uint32]]
) -> tuple[list[str], tuple[int, ...], _Clips, dict[str, dict[str, pa.Array]]]:
    """Writes the columns whose values are known row by row, and provisional numbers of clips into `clip.part`.

    Returns:
        The names of the table's columns, the AUs with intensities, the clips, and the texts.
    """
    words: dict[str, dict[str, int]] = {name: {} for name in WORDS}
    ends: list[int] = []
    clips, names, graded = _Clips(), list[str](), tuple[int, ...]()
    writers: dict[str, ColumnWriter] = {}
    read = 0
    with ExitStack() as stack:
        provisional = stack.enter_context((out / "clip.part").open("wb"))
        for block in checked_blocks(table, layout):
            there = block.column_names
            if not writers:
                names = [name for name in there if name != "crc32"]
                names += [name for name in TEXTS if name not in names]
                graded = tuple(au for au in layout.aus if intensity_column(au) in there)
                shapes: dict[str, tuple[int, ...]] = {name: (rows,) for name in (*_PLAIN, *WORDS) if name in there}
                shapes |= {name: (rows, len(aus)) for name, aus in _coded(layout, graded).items() if aus}
                writers = {
                    name: stack.enter_context(ColumnWriter(out / f"{name}.npy", KINDS[name], shape))
                    for name, shape in shapes.items()
                }
            if not len(block):
                continue
            read += len(block)
            codes = {name: _codes(block[name], words[name]) for name in WORDS if name in there}
            for name, writer in writers.items():
                writer.write(_values(name, block, codes, layout, graded))
            ends += [0] * (len(words["shard"]) - len(ends))
            _extend(ends, codes["shard"], _plain(block["offset"]) + _plain(block["size"]))
            subject = codes.get("subject", np.full(len(block), -1, dtype=np.int32))
            provisional.write(clips.add(subject, words["subject"].get("", -1), block["clip"]).tobytes())
        _check_rows(table, read, rows)
    sums |= {name: writer.sums for name, writer in writers.items()}
    texts = {name: {name: pa.array(list(words[name]), pa.string())} for name in WORDS}
    texts["shard"]["end"] = pa.array(ends, pa.int64())
    return names, graded, clips, texts


def _coded(layout: Layout, graded: tuple[int, ...]) -> dict[str, Sequence[int]]:
    return {"occurrence": layout.aus, "intensity": graded}


def _values(
    name: str, block: pa.Table, codes: dict[str, NDArray[np.int32]], layout: Layout, graded: tuple[int, ...]
) -> NDArray[Any]:
    if name in codes:
        return codes[name]
    if name == "occurrence":
        return np.stack([_plain(pc.fill_null(block[au_column(au)], -1)) for au in layout.aus], axis=1)
    if name == "intensity":
        return np.stack([_plain(block[intensity_column(au)]) for au in graded], axis=1)
    return _plain(block[name])


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy()
    return values


def _codes(column: pa.ChunkedArray, known: dict[str, int]) -> NDArray[np.int32]:
    """(n,) the place of each text in `known`, to which new ones are added as they come; -1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    own = np.array([known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()], dtype=np.int32)
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(own, np.int32(-1))[places])


def _extend(ends: list[int], shard: NDArray[np.int32], end: NDArray[np.int64]) -> None:
    """Notes how far each shard is used."""
    there, place = np.unique(shard, return_inverse=True)
    most = np.zeros(len(there), dtype=np.int64)
    np.maximum.at(most, place, end)
    for code, last in zip(there.tolist(), most.tolist(), strict=True):
        ends[code] = max(ends[code], last)


class _Clips:
    """Numbers clips in order of appearance: pairs of subject and name, an unknown subject being one without a name.

    Pairs of a piece have provisional numbers; only what is distinct in a piece is kept.
    """

    def __init__(self) -> None:
        self._subjects: list[NDArray[np.int64]] = []
        self._names: list[pa.Array] = []
        self._count = 0

    def add(self, subject: NDArray[np.int32], nameless: int, clip: pa.ChunkedArray) -> NDArray[np.int64]:
        """(n,) provisional numbers of a piece."""
        key = np.where(subject == nameless, -1, subject).astype(np.int64) + 1
        encoded = clip.combine_chunks().dictionary_encode()
        codes, pairs = pd.factorize(key * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False))
        self._subjects.append(pairs // len(encoded.dictionary) - 1)
        self._names.append(encoded.dictionary.take(pa.array(pairs % len(encoded.dictionary))).cast(pa.large_string()))
        numbers = np.asarray(codes, dtype=np.int64) + self._count
        self._count += len(pairs)
        return numbers

    def merge(self, subjects: list[str]) -> tuple[NDArray[np.int32], dict[str, pa.Array]]:
        """The number of each provisional one; subject and name of each clip."""
        names = pa.chunked_array(self._names, pa.large_string()).combine_chunks().dictionary_encode()
        keys = (np.concatenate([np.zeros(0, dtype=np.int64), *self._subjects]) + 1) * len(names.dictionary)
        numbers, pairs = pd.factorize(keys + names.indices.to_numpy(zero_copy_only=False))
        count = max(1, len(names.dictionary))
        clips = names.dictionary.take(pa.array(pairs % count))
        place = pa.array(pairs // count - 1)
        people = pa.array([*subjects, ""], pa.large_string()).take(pc.if_else(pc.less(place, 0), len(subjects), place))
        return numbers.astype(np.int32), {"clip": clips, "subject": people}


def _clip_column(
    clips: _Clips, subjects: dict[str, pa.Array], out: Path, rows: int, sums: dict[str, NDArray[np.uint32]]
) -> dict[str, pa.Array]:
    """Writes the number of every row's clip; gives subject and name of each clip."""
    numbers, texts = clips.merge(subjects["subject"].to_pylist())
    with (
        ColumnWriter(out / "clip.npy", KINDS["clip"], (rows,)) as writer,
        (out / "clip.part").open("rb") as provisional,
    ):
        while piece := provisional.read(8 * AT_ONCE):
            writer.write(numbers[np.frombuffer(piece, dtype=np.int64)])
    (out / "clip.part").unlink()
    sums["clip"] = writer.sums
    return texts


def _clip_order(out: Path, rows: int, count: int, sums: dict[str, NDArray[np.uint32]]) -> None:
    """Writes the rows clip by clip, each in order of time (`by_clip`), and where in it a clip lies (`clip_...`)."""

    def written(name: str) -> Column:
        return Column(out / f"{name}.npy", KINDS[name], (rows,), sums[name], (-np.inf, np.inf))

    clip, times = written("clip"), written("time_s") if "time_s" in sums else None
    frames = np.zeros(count, dtype=np.int64)
    for start in range(0, rows, AT_ONCE):
        frames += np.bincount(clip[start : start + AT_ONCE], minlength=count)
    first = np.concatenate([[0], np.cumsum(frames)])
    unsorted = _scattered(clip, first, out / "by_clip.part", rows)
    spacing, gap = np.zeros(count), np.zeros(count)
    with ColumnWriter(out / "by_clip.npy", KINDS["by_clip"], (rows,)) as writer:
        for start, stop in clip_pieces(first):
            own = np.array(unsorted[first[start] : first[stop]])
            if times is not None and len(own):
                number = np.repeat(np.arange(start, stop), frames[start:stop])
                at = times[own]
                if not _ascends(at, number):
                    order = np.lexsort((at, number))
                    own, at = own[order], at[order]
                spacing[start:stop], gap[start:stop] = _spacing(at, frames[start:stop])
            writer.write(own)
    del unsorted
    (out / "by_clip.part").unlink()
    sums["by_clip"] = writer.sums
    found = {"clip_first": first[:-1], "clip_frames": frames, "clip_spacing": spacing, "clip_gap": gap}
    for name, values in found.items():
        with ColumnWriter(out / f"{name}.npy", KINDS[name], (count,)) as writer:
            writer.write(values)
        sums[name] = writer.sums


def clip_pieces(first: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of clips that have some `AT_ONCE` rows together; a longer clip is alone.

    Args:
        first: (C + 1,) where each clip begins, and the end of the last.
    """
    start = 0
    while start < len(first) - 1:
        stop = max(start + 1, int(np.searchsorted(first, first[start] + AT_ONCE, side="right")) - 1)
        yield start, stop
        start = stop


def _scattered(clip: Column, first: NDArray[np.int64], path: Path, rows: int) -> NDArray[np.int64]:
    """(rows,) rows clip by clip, each in order of the table, in a file."""
    out = np.memmap(path, dtype=np.int64, mode="w+", shape=(max(1, rows),))  # no file can be mapped that is empty
    free = first[:-1].copy()
    for start in range(0, rows, AT_ONCE):
        own = clip[start : start + AT_ONCE]
        order = np.argsort(own, kind="stable")
        there, begin, counts = np.unique(own[order], return_index=True, return_counts=True)
        out[np.repeat(free[there] - begin, counts) + np.arange(len(own))] = start + order
        free[there] += counts
    return out


def _ascends(times: NDArray[np.float64], number: NDArray[np.int64]) -> bool:
    return bool(((np.diff(times) >= 0) | (np.diff(number) > 0)).all())


def _spacing(times: NDArray[np.float64], frames: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C,) median and (C,) largest step of the times of clips that follow each other; 0 for a single frame.

    The median is taken of clips of equal length together, by the function that a single clip would be given to.
    """
    spacing, gap = np.zeros(len(frames)), np.zeros(len(frames))
    begin = np.concatenate([[0], np.cumsum(frames)])[:-1]
    for length in np.unique(frames[frames > 1]):
        own = np.flatnonzero(frames == length)
        steps = np.diff(times[begin[own, None] + np.arange(length)], axis=1)
        spacing[own], gap[own] = np.median(steps, axis=1), np.max(steps, axis=1)
    return spacing, gap
