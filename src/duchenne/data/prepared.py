"""Prepared data, reading side: a folder of aligned face crops that every method and protocol reads.

    dataset.yaml      what it is: name, AUs, label kind, alignment, counts, licence, version; written last: a folder
                      without it is not whole
    frames.parquet    one row per aligned face crop; `shard, offset, size` say where its JPEG lies
    shards/*.tar      the crops as JPEG, uncompressed (`tar tf` and WebDataset read them)
    failures.csv      the inputs that could not be read, each with its reason
    recordings.csv    of videos: frames, what their own clock says at their start, where they end, what to know
    missing.parquet   labels of inputs of which there is no crop, each with the reason

Columns: docs/prepared_data.md. The writing side is `duchenne.data.writing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from duchenne.config import Range, Side, check_ranges, from_mapping, load_mapping
from duchenne.data.stored.crops import Crops, Place
from duchenne.data.stored.frames import BLENDSHAPES_LENGTH, LANDMARKS_LENGTH, Layout, read_table
from duchenne.data.stored.index import open_index
from duchenne.data.stored.making import WORDS
from duchenne.data.stored.rows import Rows, numbered
from duchenne.data.stored.several import Several
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS, au_column, intensity_column
from duchenne.files import each_once, shown_name

FORMAT_VERSION: Final = 2
"""Since 2 every crop has a checksum; folders of version 1 are read, too."""
MISSING_FILE: Final = "missing.parquet"
RECORDINGS_FILE: Final = "recordings.csv"


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What `dataset.yaml` holds.

    Attributes:
        name: of the data set; subjects are namespaced by it where several are used together.
        aus: FACS numbers that have label columns, ascending; empty where nothing is coded.
        label_kind: whether AUs are coded by intensity (occurrence follows from `positive_from`), occurrence or not.
        positive_from: the lowest intensity (0 to 5) that counts as present.
        alignment: how the crops were aligned, in words.
        size_px: side of the crops.
        licence: of the data; it travels into checkpoints and model cards.
        settings: the arguments that made the folder.
        counts: what was found: inputs, frames, faces, failures ...
        format_version: of this layout.
    """

    name: str
    aus: tuple[Annotated[int, Range(1, 99)], ...]
    label_kind: Literal["none", "occurrence", "intensity"]
    alignment: str
    size_px: Side
    licence: str
    positive_from: Annotated[float, Range(0, 5, above=True)] = 2.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    format_version: Annotated[int, Range(1, FORMAT_VERSION)] = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Checks that it can be.

        Raises:
            ValueError: when a number is out of range, or an AU unknown, twice or out of order.
        """
        check_ranges(self)
        if not self.name:
            raise ValueError("name is empty")
        if tuple(sorted(set(self.aus) & set(ACTION_UNITS))) != self.aus:
            raise ValueError(f"aus must be known action units, each once, ascending, not {list(self.aus)}")
        if self.aus and self.label_kind == "none":
            raise ValueError("label_kind is none, but aus names action units")
        for name, count in self.counts.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise ValueError(f"counts: {name} must be a whole number, at least 0")

    def layout(self) -> Layout:
        """What its tables must hold."""
        own_parts = self.settings.get("parts_of") == "pictures"
        summed = self.format_version > 1
        return Layout(self.aus, self.label_kind, self.positive_from, self.size_px, own_parts=own_parts, summed=summed)


class Prepared:
    """One or several prepared folders, opened for reading as one table of frames.

    What it holds in memory does not grow with the frames: columns are files that are mapped into it (`index/` in each
    folder), read where touched and shared by all processes of a machine. Methods that take `rows` (a slice, numbers or
    a mask, else UsageError) read those alone; without, they give all N, for numbers of one folder the mapped file
    itself: not to be written to.

    Attributes:
        paths: of the folders.
        infos: what each folder says of itself, in the order given.
        clips: how many clips they have together.
    """

    def __init__(self, paths: Data) -> None:
        """Opens one folder or several.

        Raises:
            UsageError, InputError: for no folder, one named twice, not whole, of another format version or empty.
        """
        self.paths = folders_of(paths)
        self.infos = [read_info(path) for path in self.paths]
        self._all = Several([open_index(path, info.layout()) for path, info in zip(self.paths, self.infos)])
        if not len(self):
            raise InputError(f"{self.paths[0]}: holds no face crops; prepare it again from other inputs.")
        self.clips = int(self._all.clip_starts[-1])
        self._frames: pd.DataFrame | None = None
        self._crops = Crops(self._all)
        self._words: dict[tuple[str, ...], tuple[list[NDArray[np.int32]], list[str]]] = {}

    def __len__(self) -> int:
        return int(self._all.starts[-1])

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(info.name for info in self.infos))
        return f"<{names}: {len(self)} images of {len(self.subject_list())} people, AUs {list(self.aus)}>"

    def _repr_html_(self) -> str:
        """A table for notebooks: a row per folder."""
        rows = [
            (shown_name(path), info.name, own.rows, len(own.words("subject")), [*info.aus], info.size_px, info.licence)
            for path, info, own in zip(self.paths, self.infos, self._all.indexes)
        ]
        names = ["folder", "data set", "images", "people", "action units", "px", "licence"]
        return str(pd.DataFrame(rows, columns=names).to_html(index=False))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_frames": None, "_words": {}}

    @property
    def frames(self) -> pd.DataFrame:
        """A table of everything: one row per crop with every scalar column, plus `dataset` (index into `infos`).

        `subject` and `clip` are as stored; `subject_ids` and `clip_ids` give numbers that are unique over all folders.
        It is read when it is first asked for, and takes some 500 bytes a row: ask for `column` where a few will do. It
        is a copy: what is changed in it changes nothing else.
        """
        if self._frames is None:
            tables = []
            for number, (index, info) in enumerate(zip(self._all.indexes, self.infos)):
                index.check_current()
                table = read_table(index.table, info.layout()).drop(columns="crc32", errors="ignore")
                table.insert(0, "dataset", number)
                tables.append(table)
            self._frames = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        return self._frames

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that `frames` has and `column` gives."""
        return ("dataset", *dict.fromkeys(name for index in self._all.indexes for name in index.names))

    def column(self, name: str, rows: Rows = None) -> pd.Series[Any]:
        """(n,) one column of `frames`, as it is there; numbers that `index/` holds are read of `rows` alone.

        Raises:
            KeyError: when no folder has it.
            InputError: when it cannot be read.
        """
        if name not in self.columns:
            raise KeyError(name)
        if name == "dataset":
            found: Any = self.datasets(rows)
        elif name in WORDS:
            codes, words = self.codes(name, rows)
            found = pd.array(words, dtype="string").take(codes, allow_fill=True)
        elif name == "clip":
            found = self._clip_names().take(self.clip_ids(rows))
        elif name in ("frame", "time_s", "offset", "size"):
            found = self._all.read(name, rows)
        elif name in {column(au) for info in self.infos for au in info.aus for column in (au_column, intensity_column)}:
            au, graded = int(name[2:4]), name.endswith("_i")
            values = (self.intensity if graded else self.occurrence)([au], rows)[:, 0]
            found = values if graded else pd.array(np.nan_to_num(values).astype("int8"), dtype="Int8")
            if not graded:
                found[np.isnan(values)] = pd.NA
        else:
            return self._stored(name) if rows is None else self._stored(name).iloc[numbered(rows, len(self))]
        return pd.Series(found, index=None if rows is None else numbered(rows, len(self)), name=name)

    def datasets(self, rows: Rows = None) -> NDArray[np.int64]:
        """(n,) the data set of each row, its place in `infos`."""
        return self._all.folders(rows)

    def times(self, rows: Rows = None) -> NDArray[np.float64]:
        """(n,) time stamps, seconds; NaN where unknown."""
        return self._all.read("time_s", rows)

    def codes(self, name: str, rows: Rows = None) -> tuple[NDArray[np.int32], list[str]]:
        """(n,) the place of a text in a list of those that occur, and that list; -1 for none.

        Args:
            name: `subject`, `split`, `emotion` or `shard`.
            rows: which.
        """
        places, known = self._meanings(name, [""] * len(self.infos))
        read = self._all.read(name, rows, fill=np.int32(-1), then=lambda number, codes: places[number][codes])
        return read, known

    @property
    def aus(self) -> tuple[int, ...]:
        """The AUs that all folders code, ascending."""
        return tuple(sorted(set.intersection(*(set(info.aus) for info in self.infos))))

    def occurrence(self, aus: Sequence[int] | None = None, rows: Rows = None) -> NDArray[np.float32]:
        """(n, A) occurrence of AUs: 0, 1 or NaN where not coded."""
        codes = self.presence(self.aus if aus is None else aus, rows)
        return np.where(codes < 0, np.float32(np.nan), codes.astype(np.float32))

    def presence(self, aus: Sequence[int], rows: Rows = None) -> NDArray[np.int8]:
        """The same as 0, 1 or -1 where not coded."""
        missing = [au_column(au) for au in aus if not any(au in info.aus for info in self.infos)]
        if missing:
            raise InputError(f"{self.paths[0]}: has no labels for {', '.join(missing)}; choose coded AUs.")
        return self._labels("occurrence", [info.aus for info in self.infos], aus, rows, np.int8(-1))

    def intensity(self, aus: Sequence[int], rows: Rows = None) -> NDArray[np.float32]:
        """(n, A) intensity of AUs, 0 to 5; NaN where not coded by intensity."""
        graded = [index.graded for index in self._all.indexes]
        return self._labels("intensity", graded, aus, rows, np.float32(np.nan))

    def subject_ids(self, rows: Rows = None) -> NDArray[np.int64]:
        """(n,) a number per subject, unique over folders by data-set name; -1 where the subject is unknown."""
        return self._people(rows)[0].astype(np.int64)

    def subject_names(self, rows: Rows = None) -> pd.Series[str]:
        """(n,) `dataset:subject`, null where unknown."""
        codes, names = self._people(rows)
        found = pd.array(names, dtype="string").take(codes, allow_fill=True)
        return pd.Series(found, index=None if rows is None else numbered(rows, len(self)))

    def subject_list(self) -> list[str]:
        """`dataset:subject` of every number of `subject_ids`; not to be written to."""
        return self._people(slice(0, 0))[1]

    def clip_ids(self, rows: Rows = None) -> NDArray[np.int64]:
        """(n,) a number per clip of a subject, unique over folders, ascending in order of appearance.

        Data sets name the clips of every subject alike (BP4D's tasks T1 to T8), so the subject is part of it.
        """
        first = self._all.clip_starts
        return self._all.read("clip", rows, then=lambda number, own: own.astype(np.int64) + first[number])

    def clip_column(self, name: str) -> NDArray[Any]:
        """(C,) of every clip: `first` (its place in `in_clips`), `frames`, `spacing` and `gap` (median and largest step
        between its time stamps, seconds; NaN where some are unknown)."""
        own = [index.columns[f"clip_{name}"][:] for index in self._all.indexes]
        if name == "first":
            own = [values + start for values, start in zip(own, self._all.starts)]
        return own[0] if len(own) == 1 else np.concatenate(own)

    def clip_texts(self) -> list[tuple[pa.ChunkedArray, pa.ChunkedArray]]:
        """Of every folder the subjects (empty: unknown) and the names of its clips."""
        tables = [index.texts("clip") for index in self._all.indexes]
        return [(table["subject"], table["clip"]) for table in tables]

    def in_clips(self, places: Rows = None) -> NDArray[np.int64]:
        """(n,) rows clip by clip, those of a clip in order of time: of some places of that order, or all."""
        first = self._all.starts
        return self._all.read("by_clip", places, then=lambda number, own: own + first[number] if first[number] else own)

    def knows(self, name: str) -> bool:
        """Whether any row has `landmarks` or `blendshapes`."""
        return any(index.lists(name) is not None for index in self._all.indexes)

    def landmarks(self, rows: Rows = None) -> NDArray[np.float32]:
        """(n, 68, 2) in crop pixels; NaN where unknown."""
        return self._all.lists("landmarks", LANDMARKS_LENGTH, rows).reshape(-1, 68, 2)

    def blendshapes(self, rows: Rows = None) -> NDArray[np.float32]:
        """(n, 52) in [0, 1]; NaN where unknown."""
        return self._all.lists("blendshapes", BLENDSHAPES_LENGTH, rows)

    def jpeg(self, row: int) -> bytes:
        """The JPEG of one row, as stored."""
        return self._crops.content(self._crops.places([row])[0]).tobytes()

    def image(self, row: int, size_px: int | None = None) -> NDArray[np.uint8]:
        """One crop, (H, W, 3) RGB uint8, resized to `size_px` where given.

        Raises:
            InputError: when its bytes are damaged.
        """
        return self._crops.image(self._crops.places([row])[0], size_px)

    def images(self, rows: Rows, size_px: int, pool: ThreadPoolExecutor | None = None) -> NDArray[np.uint8]:
        """(n, size_px, size_px, 3) RGB uint8 of several rows, decoded by the threads of `pool` where given."""
        places = self._crops.places(rows)
        out = np.empty((len(places), size_px, size_px, 3), dtype=np.uint8)

        def fill(number: int, place: Place) -> None:
            out[number] = self._crops.image(place, size_px)

        list((pool.map if pool else map)(fill, range(len(places)), places))
        return out

    def _people(self, rows: Rows) -> tuple[NDArray[np.int32], list[str]]:
        """(n,) numbers of subjects, and their names."""
        places, names = self._meanings("subject", [f"{info.name}:" for info in self.infos])
        return self._all.read("subject", rows, fill=np.int32(-1), then=lambda number, own: places[number][own]), names

    def _meanings(self, name: str, before: Sequence[str]) -> tuple[list[NDArray[np.int32]], list[str]]:
        """Of every folder what its codes of a text become, the last of none; and the texts after `before` of theirs."""
        key = name, *before
        if key not in self._words:
            known: dict[str, int] = {}
            places = []
            for prefix, index in zip(before, self._all.indexes):
                own = [known.setdefault(prefix + word, len(known)) for word in index.words(name)]
                places.append(np.array([*own, -1], dtype=np.int32))
            self._words[key] = places, list(known)
        return self._words[key]

    def _labels(
        self, name: str, coded: Sequence[Sequence[int]], aus: Sequence[int], rows: Rows, unknown: Any
    ) -> NDArray[Any]:
        """(n, A) a column with one value for each of the AUs that its folder codes; `unknown` for others."""

        def part(number: int, own: slice | NDArray[np.int64]) -> NDArray[Any]:
            column, known = self._all.indexes[number].columns.get(name), coded[number]
            length = own.stop - own.start if isinstance(own, slice) else len(own)
            if column is None:
                return np.full((length, len(aus)), unknown)
            if tuple(aus) == tuple(known):
                return column[own]
            out = column[own][:, [known.index(au) if au in known else 0 for au in aus]]
            out[:, [au not in known for au in aus]] = unknown
            return out

        return self._all.each(part, rows)

    def _stored(self, name: str) -> pd.Series[Any]:
        """(N,) a column that only the table has."""
        found = [index.stored(name) for index in self._all.indexes]
        return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]

    def _clip_names(self) -> Any:
        chunks = [chunk for _, names in self.clip_texts() for chunk in names.chunks]
        return pd.array(pa.chunked_array(chunks).to_pandas(), dtype="string")


Data = str | Path | Prepared | Sequence[str | Path | Prepared]
"""What functions take as `data`: prepared folders, or prepared data that is open; one or several."""


def open_prepared(data: Data) -> Prepared:
    """Opens a folder, or several as one, and raises as `Prepared` does; what is open already is given back as it is."""
    return data if isinstance(data, Prepared) else Prepared(data)


def folders_of(data: Data, flag: str = "--data") -> list[Path]:
    """The folders of prepared data, in order; raises as `Prepared` does where it is none, or one is there twice."""
    items = [data] if isinstance(data, str) or not isinstance(data, Iterable) else [*data]
    others = [type(item).__name__ for item in items if not isinstance(item, str | Path | Prepared)]
    if others:
        raise UsageError(f"{flag} {others[0]}: is no prepared data; name a folder, or give what Prepared opens.")
    folders = [path for item in items for path in (item.paths if isinstance(item, Prepared) else [Path(item)])]
    if not folders:
        raise InputError("no prepared data was given; name at least one folder made by `duchenne prepare`.")
    return each_once(folders)  # else its faces would count twice


def read_info(path: str | Path) -> DatasetInfo:
    """Reads the `dataset.yaml` of a prepared folder.

    Raises:
        InputError: when the folder is missing, not whole, or of another format version.
        UsageError: when `dataset.yaml` holds an unknown key or an impossible value.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder; make it with `duchenne prepare` or `duchenne synth`.")
    if not (path / "dataset.yaml").is_file():
        unfinished = (path / "job.yaml").is_file()
        remedy = "run the command that made it again, it goes on where it stopped" if unfinished else "prepare it first"
        raise InputError(f"{path}: is not {'complete' if unfinished else 'prepared data'} (no dataset.yaml); {remedy}.")
    file = path / "dataset.yaml"
    values = load_mapping(file)
    version = values.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            f"{file}: has format version {version}, this version of duchenne reads 1 to {FORMAT_VERSION}; prepare the "
            "data again."
        )
    return from_mapping(DatasetInfo, values, where=str(file))
