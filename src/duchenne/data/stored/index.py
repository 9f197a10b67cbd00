"""The index of a prepared folder: the columns of `frames.parquet` as files that are mapped into memory.

    index/1/index.json      what it was made from, and what lies beside it
    index/1/*.npy           a column each, see `columns`; `sums.npy` are their checksums
    index/1/*.arrow         the names of subjects, clips and shards, and the words of `split` and `emotion`
    index/1/landmarks.npy   and `blendshapes.npy`: made where they are first asked for

`frames.parquet` remains the truth. The index is made when a folder is first opened (that is, when it was written) and
whenever it does not fit: of another `frames.parquet`, made for another `dataset.yaml`, of another version, or damaged.
Where the folder cannot be written it lies in the user's cache, and where that cannot be written either, in a temporary
folder.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from duchenne.data.stored.binding import (
    VERSION,
    cache_of,
    facts_of,
    is_bound,
    load_sealed,
    refuse_change,
    sealed,
    stated,
)
from duchenne.data.stored.columns import Column, DamagedError, damaged, map_npy, rows_of_block
from duchenne.data.stored.frames import FRAMES_FILE, LISTS, RANGES, Layout, list_range, read_column, shard_sizes
from duchenne.data.stored.making import KINDS, WORDS, make_columns, make_list, sums_path
from duchenne.data.stored.parquet import broken, count_rows
from duchenne.data.stored.texts import read_texts
from duchenne.errors import InputError

INDEX_FOLDER: Final = "index"
_MANY: Final = 2_000_000
"""Rows from which on making an index takes so long that it is said."""
_log = logging.getLogger("duchenne.data")
_said: set[Path] = set()


class Index:
    """The columns of one folder, checked when they are touched; see `open_index`.

    Attributes:
        folder: the prepared folder.
        place: where the index lies.
        rows: of the table.
        clips: their number.
        names: the columns of the table that `Prepared.frames` has, in order.
        graded: AUs that have a column of intensities.
        columns: name -> column, but landmarks and blendshapes.
    """

    def __init__(self, folder: Path, layout: Layout, place: Path, facts: dict[str, Any]) -> None:
        """Opens the files that the facts name.

        Raises:
            DamagedError: when one is not what was written.
        """
        self.folder, self.layout, self.place, self._facts = folder, layout, place, facts
        self.rows: int = facts["rows"]
        self.clips: int = facts["clips"]
        self.names: list[str] = facts["names"]
        self.graded: tuple[int, ...] = tuple(facts["graded"])
        sums = map_npy(place / "sums.npy", "u4", (sum(facts["columns"].values()),))
        self._texts: dict[str, pa.Table] = {}
        self._words: dict[str, list[str]] = {}
        limits = self._limits()
        self.columns: dict[str, Column] = {}
        first = 0
        for name, number in facts["columns"].items():
            shape: tuple[int, ...] = (self.clips if name.startswith("clip_") else self.rows,)
            if name in ("occurrence", "intensity"):
                shape = (self.rows, len(layout.aus if name == "occurrence" else self.graded))
            own = sums[first : first + number]
            self.columns[name] = Column(place / f"{name}.npy", KINDS[name], shape, own, limits[name])
            first += number
        self._lists: dict[str, Column | None] = {}
        if not (place / "clip.arrow").is_file():  # the one that is not read before it is needed
            raise DamagedError(f"{place / 'clip.arrow'}: is missing")

    def _limits(self) -> dict[str, tuple[float, float]]:
        """What the values of a column may be, whatever its checksums say."""
        words = {name: (0 if name == "shard" else -1, len(self.texts(name)) - 1) for name in WORDS}
        return {
            **RANGES, **words, "clip": (0, self.clips - 1), "by_clip": (0, self.rows - 1), "occurrence": (-1, 1),
            "intensity": (0, 5), "crc32": (0, 2**32 - 1), "clip_first": (0, self.rows - 1),
            "clip_frames": (1, self.rows), "clip_spacing": (0, np.inf), "clip_gap": (0, np.inf),
        }  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_texts": {}}

    @property
    def table(self) -> Path:
        """`frames.parquet`."""
        return self.folder / FRAMES_FILE

    def texts(self, name: str) -> pa.Table:
        """The texts that the codes of a column mean: `clip` (clip, subject), `subject`, `shard`, `split`, `emotion`.

        Raises:
            InputError: when the file is damaged.
        """
        if name not in self._texts:
            path = self.place / f"{name}.arrow"
            try:
                self._texts[name] = read_texts(path, self._facts["texts"][name])
            except DamagedError as error:
                raise damaged(path) from error
        return self._texts[name]

    def words(self, name: str) -> list[str]:
        """The texts of a column as a list, not to be written to; empty where the table has no such column."""
        if name not in self._words:
            self._words[name] = self.texts(name)[name].to_pylist()
        return self._words[name]

    def lists(self, name: str) -> Column | None:
        """`landmarks` (rows, 136) or `blendshapes` (rows, 52), made where first asked for; None: nobody has any.

        Raises:
            InputError: when the table holds what cannot be.
        """
        if name not in self._lists:
            self._lists[name] = self._open_list(name)
        return self._lists[name]

    def check_current(self) -> None:
        """Refuses to read on from a table that was replaced since it was opened.

        Raises:
            InputError: in one sentence.
        """
        if not is_bound(self.table, self._facts["table"]):
            raise InputError(f"{self.table}: was changed since it was opened; run again.")

    def stored(self, name: str) -> pd.Series[Any]:
        """(rows,) a column that only the table has; null where the file leaves texts out.

        Raises:
            InputError: when it cannot be read.
        """
        self.check_current()
        if name in self.names:
            with suppress(KeyError):
                return read_column(self.table, name)
        return pd.Series(pd.array([None] * self.rows, dtype="string"), name=name)

    def _open_list(self, name: str) -> Column | None:
        """A list beside the index, or where that cannot be written, where the index of such a folder would be."""
        reason: OSError | None = None
        for place, where in (
            (self.place, "in the index"),
            (cache_of(self.folder) / str(VERSION), "in the user's cache"),
        ):
            found = self._stored_list(name, place)
            if found is not None:
                return found[0]
            try:
                with locked_place(place.parent):
                    place.mkdir(exist_ok=True)
                    column = (self._stored_list(name, place) or self._make_list(name, place))[0]
            except OSError as error:
                reason = reason or error
                continue
            _say(self.folder, reason, where)
            return column
        kept = tempfile.TemporaryDirectory(prefix="duchenne-index-")
        weakref.finalize(self, kept.cleanup)
        _say(self.folder, reason, "for this process alone")
        return self._make_list(name, Path(kept.name))[0]

    def _stored_list(self, name: str, place: Path) -> tuple[Column | None] | None:
        """A list that was made before; None where there is none that fits."""
        facts = load_sealed(place / f"{name}.json")
        if facts is None or facts.get("sha256") != self._facts["table"]["sha256"]:
            return None
        try:
            return (self._list(place / f"{name}.npy", name) if facts["known"] else None,)
        except (DamagedError, LookupError):
            return None

    def _list(self, path: Path, name: str) -> Column:
        shape = self.rows, LISTS[name]
        blocks = -(-self.rows // rows_of_block(np.dtype(KINDS[name]).itemsize * LISTS[name]))
        sums = map_npy(sums_path(path), "u4", (blocks,))
        return Column(path, KINDS[name], shape, sums, list_range(name, self.layout))

    def _make_list(self, name: str, place: Path) -> tuple[Column | None]:
        """Makes a list at a place that is locked.

        Raises:
            OSError: when the place cannot be written.
        """
        out, part = place / f"{name}.npy", place / f"{name}.part.npy"
        self.check_current()
        _tell(self.folder, self.rows, f"reading the {name}")
        for left in (part, sums_path(part)):  # of a process that was killed, or a link of somebody else's
            left.unlink(missing_ok=True)
        try:
            known = make_list(self.table, name, self.layout, self.rows, part)
            self.check_current()
            if known:
                part.replace(out)
                sums_path(part).replace(sums_path(out))
            facts = {"sha256": self._facts["table"]["sha256"], "known": known}
            part.write_text(sealed(facts))
            part.replace(place / f"{name}.json")
        finally:
            for left in (part, sums_path(part)):
                left.unlink(missing_ok=True)
        return (self._list(out, name) if known else None,)


def open_index(folder: Path, layout: Layout) -> Index:
    """The index of a prepared folder, made where there is none that fits; and whether every crop lies in its shard.

    Args:
        folder: the prepared folder.
        layout: what its `dataset.yaml` says.

    Raises:
        InputError: when the table cannot be read or holds what cannot be, or a shard ends before one of its crops.
    """
    if not (folder / FRAMES_FILE).exists():
        raise broken(folder / FRAMES_FILE, FileNotFoundError("there is no such file"))
    place = folder / INDEX_FOLDER
    index = _fitting(folder, layout, place)
    if index is None:
        try:
            index = _made(folder, layout, place)
        except OSError as error:
            index = _elsewhere(folder, layout, error)
    return _checked(index)


def _elsewhere(folder: Path, layout: Layout, error: OSError) -> Index:
    """The index of a folder that cannot be written: in the user's cache, or in a temporary folder."""
    place, instead = cache_of(folder), "in the user's cache"
    index = _fitting(folder, layout, place)
    if index is not None:
        return index
    kept = None
    try:
        index = _made(folder, layout, place)
    except OSError:
        instead = "for this process alone"
        kept = tempfile.TemporaryDirectory(prefix="duchenne-index-")
        index = _made(folder, layout, Path(kept.name))
        weakref.finalize(index, kept.cleanup)
    _say(folder, error, instead)
    return index


def _made(folder: Path, layout: Layout, place: Path) -> Index:
    """The index at a place, made there unless another process has just done it.

    Raises:
        OSError: when the place cannot be written.
    """
    with locked_place(place):
        return _fitting(folder, layout, place) or _make(folder, layout, place)


@contextmanager
def locked_place(place: Path) -> Iterator[None]:
    """Waits until no other process makes an index there.

    Raises:
        OSError: when it cannot be written.
    """
    from filelock import FileLock  # here: few openings need it

    if place.is_symlink() or (place / str(VERSION)).is_symlink():  # somebody else's folder must not write elsewhere
        raise OSError(0, "it is a link")
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / ".lock", thread_local=False)
    try:
        lock.acquire()
    except NotImplementedError as error:  # a file system without locks
        raise OSError(0, "it has no locks") from error
    try:
        yield
    finally:
        with suppress(OSError):  # whoever waits for it notices that it is another file
            (place / ".lock").unlink()
        lock.release()


def _fitting(folder: Path, layout: Layout, place: Path) -> Index | None:
    """The index at a place if it is whole, of this version, of this table and for this layout."""
    own = place / str(VERSION)
    facts = load_sealed(own / "index.json")
    if facts is None or facts.get("version") != VERSION or facts.get("layout") != _layout(layout):
        return None
    if not is_bound(folder / FRAMES_FILE, facts["table"]):
        return None
    try:
        return Index(folder, layout, own, facts)
    except (DamagedError, InputError, LookupError, TypeError, ValueError) as error:
        _log.info("%s; it is made again.", error)
        return None


def _make(folder: Path, layout: Layout, place: Path) -> Index:
    """Makes the index at a place that is locked; it is there whole or not at all.

    Raises:
        OSError: when the place cannot be written.
    """
    table, own, part = folder / FRAMES_FILE, place / str(VERSION), place / f"{VERSION}.part"
    before = stated(table)
    _tell(folder, count_rows(table), "making an index")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        facts = make_columns(table, layout, part)
        refuse_change(table, before)
        values = {"version": VERSION, "layout": _layout(layout), "table": facts_of(table), **facts}
        refuse_change(table, before)
        (part / "index.json").write_text(sealed(values))
        if own.exists():
            shutil.rmtree(own)
        part.rename(own)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Index(folder, layout, own, values)


def _say(folder: Path, reason: OSError | None, where: str) -> None:
    """Says once of a folder that cannot be written where its index is."""
    if reason is not None and folder not in _said:
        _said.add(folder)
        _log.warning("%s: cannot be written (%s); its index is kept %s.", folder, reason.strerror, where)


def _tell(folder: Path, rows: int, what: str) -> None:
    if rows >= _MANY:
        _log.warning("%s: %s of its %s rows, once.", folder, what, f"{rows:,}")


def _layout(layout: Layout) -> dict[str, Any]:
    return {**layout.note(), "own_parts": layout.own_parts, "summed": layout.summed}


def _checked(index: Index) -> Index:
    """Refuses a folder of which a shard ends before one of its crops."""
    names, ends = index.words("shard"), index.texts("shard")["end"].to_numpy()
    sizes = shard_sizes(index.folder, names)
    short = np.flatnonzero(ends > sizes)
    if not len(short):
        return index
    for start in range(0, index.rows, 2**20):
        part = slice(start, start + 2**20)
        beyond = index.columns["offset"][part] > (sizes[index.columns["shard"][part]] - index.columns["size"][part])
        if beyond.any():
            row = start + int(np.flatnonzero(beyond)[0])
            name = names[int(index.columns["shard"][row])]
            raise InputError(
                f"{index.folder / 'shards' / name}: ends before the picture of row {row}; prepare the data again."
            )
    raise AssertionError("a shard that is too short for none of its crops")
