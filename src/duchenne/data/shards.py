"""One part of a prepared folder: its crops as a shard and its rows, written whole or not at all."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from duchenne.data.prepared import DatasetInfo
from duchenne.data.stored.frames import BLENDSHAPES_LENGTH, LANDMARKS_LENGTH
from duchenne.errors import InputError
from duchenne.facs import au_column, intensity_column
from duchenne.files import replacing

JPEG_QUALITY = 95


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB uint8 as JPEG bytes, quality 95."""
    done, buffer = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InputError("a crop could not be encoded as JPEG; free some memory and run again.")
    return buffer.tobytes()


def labels_schema(info: DatasetInfo) -> pa.Schema:
    """The Arrow schema of `missing.parquet`: labelled inputs of which no crop could be made, and why."""
    pictures = ("shard", "offset", "size", "crc32", "landmarks", "blendshapes", "score")
    fields = [field for field in frames_schema(info) if field.name not in pictures]
    return pa.schema([*fields, pa.field("reason", pa.string())], info.layout().metadata())


def frames_schema(info: DatasetInfo) -> pa.Schema:
    """The Arrow schema of `frames.parquet` for a data set (its AUs decide the label columns)."""
    fields = [
        ("subject", pa.string()), ("clip", pa.string()), ("frame", pa.int64()), ("time_s", pa.float64()),
        ("shard", pa.string()), ("offset", pa.int64()), ("size", pa.int64()), ("split", pa.string()),
        *((au_column(au), pa.int8()) for au in info.aus),
        *((intensity_column(au), pa.float32()) for au in info.aus if info.label_kind == "intensity"),
        ("emotion", pa.string()),
        ("landmarks", pa.list_(pa.float32(), LANDMARKS_LENGTH)),
        ("blendshapes", pa.list_(pa.float32(), BLENDSHAPES_LENGTH)),
        ("score", pa.float32()), ("source", pa.string()), ("crc32", pa.uint32()),
    ]  # fmt: skip
    return pa.schema([pa.field(name, kind) for name, kind in fields], info.layout().metadata())


class PartWriter:
    """Writes one part: its shard and its rows. Use as a context manager; an exception leaves nothing behind."""

    def __init__(
        self, out: Path, index: int, info: DatasetInfo, on_progress: Callable[[int], None] | None = None
    ) -> None:
        self._out, self._index, self._info = out, index, info
        self._rows: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._failures: list[tuple[str, str]] = []
        self._recordings: list[dict[str, Any]] = []
        self._missing: list[dict[str, Any]] = []
        self._on_progress = on_progress
        self._shard = f"{index:05d}.tar"
        self._stack = ExitStack()

    def add(self, row: Mapping[str, Any], jpeg: bytes) -> dict[str, Any]:
        """Adds one crop.

        Args:
            row: values of any columns of `frames_schema` but shard, offset, size and crc32; a missing one is null.
                `landmarks` is (68, 2) or (136,) in crop pixels. Occurrence follows from intensity where only
                intensity is given.
            jpeg: the crop, see `encode_jpeg`.

        Returns:
            The row as kept; what is only known later, such as labels, may be added to it until the part is finished.
        """
        entry = tarfile.TarInfo(f"{len(self._rows):07d}.jpg")
        entry.size = len(jpeg)
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(entry, io.BytesIO(jpeg))
        values = dict(row)
        for name in ("landmarks", "blendshapes"):
            if values.get(name) is not None:
                values[name] = np.asarray(values[name], dtype=np.float32).reshape(-1)
        values |= {"shard": self._shard, "offset": offset, "size": len(jpeg), "crc32": zlib.crc32(jpeg)}
        self._rows.append(values)
        self._counts["crops"] += 1
        return values

    def count(self, name: str, number: int = 1) -> None:
        """Adds to a count that the closing line and `dataset.yaml` give."""
        self._counts[name] += number

    def lose(self, row: Mapping[str, Any], reason: str) -> None:
        """Keeps the labels of an input without a crop, for `missing.parquet`.

        Args:
            row: as for `add`; one without any label is passed over.
            reason: in a few words.
        """
        if any(value is not None and (name == "emotion" or name.startswith("AU")) for name, value in row.items()):
            self._counts["missing"] += 1
            self._missing.append({**row, "reason": reason})

    def fail(self, source: str, reason: str) -> None:
        """Notes an input that could not be used; the job continues."""
        self._counts["failures"] += 1
        self._failures.append((source, reason))

    def recording(self, source: str, *, frames: int, start_s: float | None, end_s: float, notes: Sequence[str]) -> None:
        """Keeps what is known of a recording; it goes to `recordings.csv`.

        Args:
            source: of the recording.
            frames: how many it has.
            start_s: what its own clock says where `time_s` is 0; None where it has none.
            end_s: where it ends.
            notes: what a user should know, sentences without its name.
        """
        times = {"start_s": "" if start_s is None else round(start_s, 6), "end_s": round(end_s, 6)}
        self._recordings.append({"source": source, "frames": frames, **times, "notes": "; ".join(notes)})

    def advance(self, units: int = 1) -> None:
        """Moves the progress bar."""
        if self._on_progress:
            self._on_progress(units)

    def __enter__(self) -> PartWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self._out / "shards" / self._shard))
            self._tar = stack.enter_context(tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            self._write_rows()

    def _write_rows(self) -> None:
        for au in self._info.aus if self._info.label_kind == "intensity" else ():
            for row in (*self._rows, *self._missing):
                intensity = row.get(intensity_column(au))
                if intensity is not None and row.get(au_column(au)) is None:
                    row[au_column(au)] = int(intensity >= self._info.positive_from)
        if self._missing:
            with replacing(missing_path(self._out, self._index)) as temporary:
                pq.write_table(
                    arrow_table(self._missing, labels_schema(self._info)), temporary, write_page_checksum=True
                )
        notes = json.dumps({"counts": self._counts, "failures": self._failures, "recordings": self._recordings})
        table = arrow_table(self._rows, frames_schema(self._info))
        with replacing(part_path(self._out, self._index)) as temporary:
            pq.write_table(table.replace_schema_metadata({"duchenne": notes}), temporary)


def part_path(out: Path, index: int) -> Path:
    """Where the rows of a part lie until the job is finished."""
    return out / "parts" / f"{index:05d}.parquet"


def missing_path(out: Path, index: int) -> Path:
    """Where the labels without crops of a part lie until then."""
    return out / "parts" / f"{index:05d}.missing.parquet"


def arrow_table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table of the schema; a column that a row lacks is null."""
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], type=field.type, from_pandas=True)
        for field in schema
    }
    return pa.table(columns, schema=schema)
