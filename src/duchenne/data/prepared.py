"""Prepared data, reading side: a folder of aligned face crops that every method and protocol reads.

    dataset.yaml      what it is: name, AUs, label kind, alignment, counts, licence, format version; written last, so
                      that a folder without it is not whole
    frames.parquet    one row per aligned face crop; `shard, offset, size` say where its JPEG lies
    shards/*.tar      the crops as JPEG, uncompressed (`tar tf` and WebDataset read them)
    failures.csv      the inputs that could not be read, each with its reason
    recordings.csv    of videos: frames, what their own clock says at their start, where they end, what to know
    missing.parquet   labels of inputs of which there is no crop, each with the reason

Columns: docs/prepared_data.md. The writing side is `duchenne.data.writing`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.config import Range, Side, check_ranges, from_mapping, load_mapping
from duchenne.data.stored.frames import FRAMES_FILE, Layout, check_places, read_list, read_table
from duchenne.errors import InputError
from duchenne.faces.resize import resized
from duchenne.facs import ACTION_UNITS, au_column, intensity_column

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

    Attributes:
        infos: what each folder says of itself, in the order given.
        frames: one row per crop with every scalar column, plus `dataset` (index into `infos`). `subject` and `clip`
            are as stored; use `subject_ids` and `clip_ids` for numbers that are unique over all folders.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        """Opens the folders.

        Raises:
            InputError: when a folder is missing, not whole, of another format version, or has no frames.
        """
        if not paths:
            raise InputError("no prepared data was given; name at least one folder made by `duchenne prepare`.")
        self.paths = [Path(path) for path in paths]
        self.infos = [read_info(path) for path in self.paths]
        tables, codes = [], []
        self._shard_names: list[tuple[int, str]] = []
        for number, (path, info) in enumerate(zip(self.paths, self.infos)):
            table = read_table(path / FRAMES_FILE, info.layout())
            own, names = check_places(table, path)
            codes.append(own + len(self._shard_names))
            self._shard_names += [(number, name) for name in names]
            table.insert(0, "dataset", number)
            tables.append(table)
        self.frames = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        if not len(self.frames):
            raise InputError(f"{self.paths[0]}: holds no face crops; prepare it again from other inputs.")
        sums = self.frames.pop("crc32") if "crc32" in self.frames else pd.Series(np.nan, self.frames.index)
        self._sums = sums.to_numpy(dtype=np.float64, na_value=np.nan)
        self._places = np.stack(
            [np.concatenate(codes), self.frames["offset"].to_numpy(), self.frames["size"].to_numpy()], axis=1
        )
        self._shards: dict[int, NDArray[np.uint8]] = {}
        self._lists: dict[str, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}, "_lists": {}}  # every process opens and reads its own

    @property
    def aus(self) -> tuple[int, ...]:
        """The AUs that all folders code, ascending."""
        common = set(self.infos[0].aus)
        for info in self.infos[1:]:
            common &= set(info.aus)
        return tuple(sorted(common))

    def occurrence(self, aus: Sequence[int] | None = None) -> NDArray[np.float32]:
        """(N, A) occurrence of AUs: 0, 1 or NaN where not coded."""
        columns = [au_column(au) for au in (self.aus if aus is None else aus)]
        missing = [column for column in columns if column not in self.frames]
        if missing:
            raise InputError(f"{self.paths[0]}: has no labels for {', '.join(missing)}; choose coded AUs.")
        return self.frames[columns].to_numpy(dtype=np.float32, na_value=np.nan)

    def intensity(self, aus: Sequence[int]) -> NDArray[np.float32]:
        """(N, A) intensity of AUs, 0 to 5; NaN where not coded by intensity."""
        columns = [intensity_column(au) for au in aus]
        return self.frames.reindex(columns=columns).to_numpy(dtype=np.float32, na_value=np.nan)

    def subject_ids(self) -> NDArray[np.int64]:
        """(N,) a number per subject, unique over folders by data-set name; -1 where the subject is unknown."""
        names = self._namespaced("subject")
        codes, _ = pd.factorize(names, use_na_sentinel=True)
        return codes.astype(np.int64)

    def subject_names(self) -> pd.Series[str]:
        """(N,) `dataset:subject`, null where unknown."""
        return self._namespaced("subject")

    def clip_ids(self) -> NDArray[np.int64]:
        """(N,) a number per clip of a subject, unique over folders, ascending in order of appearance.

        Data sets name the clips of every subject alike (BP4D's tasks T1 to T8), so the subject is part of it.
        """
        keys = self.frames["dataset"].to_numpy(dtype=np.int64)
        for column in ("subject", "clip"):  # number by number: a tuple per row would take ten times as long
            codes, names = pd.factorize(self.frames[column].astype("string").fillna(""))
            keys, _ = pd.factorize(keys * len(names) + codes)
        return keys.astype(np.int64)

    def landmarks(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """(N, 68, 2) in crop pixels, of `rows` where given; NaN where unknown.

        The column is read once and kept; without `rows` it is given as it is kept, not to be written to.
        """
        return self._list("landmarks", rows).reshape(-1, 68, 2)

    def blendshapes(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """(N, 52) in [0, 1], of `rows` where given; NaN where unknown. Read once and kept, as landmarks are."""
        return self._list("blendshapes", rows)

    def jpeg(self, row: int) -> bytes:
        """The JPEG of one row, as stored."""
        return self._bytes(row).tobytes()

    def image(self, row: int, size_px: int | None = None) -> NDArray[np.uint8]:
        """One crop, (H, W, 3) RGB uint8, resized to `size_px` where given.

        Raises:
            InputError: when its bytes are damaged.
        """
        decoded = cv2.imdecode(self._bytes(row), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            raise InputError(f"{self._shard_path(row)}: the picture of row {row} is damaged; prepare the data again.")
        picture = np.asarray(decoded, dtype=np.uint8)
        return picture if size_px is None else resized(picture, size_px)

    def images(
        self, rows: Sequence[int] | NDArray[np.integer], size_px: int, pool: ThreadPoolExecutor | None = None
    ) -> NDArray[np.uint8]:
        """(N, size_px, size_px, 3) RGB uint8 of several rows, decoded by the threads of `pool` where given."""
        out = np.empty((len(rows), size_px, size_px, 3), dtype=np.uint8)

        def fill(place: int) -> None:
            out[place] = self.image(int(rows[place]), size_px)

        for _ in (pool.map if pool else map)(fill, range(len(rows))):
            pass
        return out

    def _bytes(self, row: int) -> NDArray[np.uint8]:
        code, offset, size = (int(value) for value in self._places[row])
        opened = self._shards.get(code)
        if opened is None:
            path = self._shard_path(row)
            try:
                opened = np.memmap(path, dtype=np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot be read ({error}); prepare the data again.") from error
            self._shards[code] = opened
        if offset + size > len(opened):
            raise InputError(f"{self._shard_path(row)}: ends before the picture of row {row}; prepare the data again.")
        data = opened[offset : offset + size]
        if not np.isnan(self._sums[row]) and zlib.crc32(data.tobytes()) != self._sums[row]:
            raise InputError(f"{self._shard_path(row)}: the picture of row {row} is damaged; prepare the data again.")
        return data

    def _shard_path(self, row: int) -> Path:
        dataset, shard = self._shard_names[self._places[row, 0]]
        return Path(self.paths[dataset], "shards", shard)

    def _namespaced(self, column: str) -> pd.Series[str]:
        names = self.frames["dataset"].map(dict(enumerate(info.name for info in self.infos)))
        return names + ":" + self.frames[column].astype("string")

    def _list(self, column: str, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
        values = self._lists.get(column)
        if values is None:
            rows_of = self.frames["dataset"].value_counts()
            values = self._lists[column] = np.concatenate(
                [
                    read_list(path / FRAMES_FILE, column, info.layout(), int(rows_of[number]))
                    for number, (path, info) in enumerate(zip(self.paths, self.infos))
                ]
            )
            values.setflags(write=False)
        return values if rows is None else values[rows]


Data = str | Path | Prepared | Sequence[str | Path | Prepared]
"""What functions take as `data`: prepared folders, or prepared data that is open; one or several."""


def open_prepared(data: Data) -> Prepared:
    """Opens a folder, or several as one; prepared data that is open already is given back as it is.

    Raises:
        InputError: when a folder cannot be opened, see `Prepared`.
    """
    return data if isinstance(data, Prepared) else Prepared(folders_of(data))


def folders_of(data: Data) -> list[Path]:
    """The folders of prepared data, in order."""
    items = [data] if isinstance(data, str | Path | Prepared) else data
    return [path for item in items for path in (item.paths if isinstance(item, Prepared) else [Path(item)])]


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
