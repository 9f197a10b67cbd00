"""Prepared data, writing side: atomic, resumable, the same bytes for any number of workers.

A job is a list of parts; each part is a fixed group of inputs and becomes one shard. A part's `parts/NNNNN.parquet`
appears by renaming after its shard, and `dataset.yaml` after everything else, so a folder that was interrupted at
any moment is continued by running the same job again.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import Progress, TaskID

from duchenne.config import load_mapping, save_mapping, to_mapping
from duchenne.data.prepared import (
    BLENDSHAPES_LENGTH,
    LANDMARKS_LENGTH,
    MISSING_FILE,
    RECORDINGS_FILE,
    DatasetInfo,
    Prepared,
)
from duchenne.errors import InputError, UsageError
from duchenne.facs import au_column, intensity_column
from duchenne.files import replacing
from duchenne.plain import as_cell
from duchenne.progress import progress_bar

JPEG_QUALITY = 95
NOTE_EVERY_S = 0.5


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB uint8 as JPEG bytes, quality 95."""
    done, buffer = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InputError("a crop could not be encoded as JPEG; free some memory and run again.")
    return buffer.tobytes()


def labels_schema(info: DatasetInfo) -> pa.Schema:
    """The Arrow schema of `missing.parquet`: labelled inputs of which no crop could be made, and why."""
    pictures = ("shard", "offset", "size", "landmarks", "blendshapes", "score")
    fields = [field for field in frames_schema(info) if field.name not in pictures]
    return pa.schema([*fields, pa.field("reason", pa.string())])


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
        ("score", pa.float32()), ("source", pa.string()),
    ]  # fmt: skip
    return pa.schema([pa.field(name, kind) for name, kind in fields])


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
            row: values of any columns of `frames_schema` but shard, offset and size; a missing one is null.
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
        values |= {"shard": self._shard, "offset": offset, "size": len(jpeg)}
        self._rows.append(values)
        self._counts["crops"] += 1
        return values

    def count(self, name: str, number: int = 1) -> None:
        """Adds to a count that the closing line and `dataset.yaml` give."""
        self._counts[name] += number

    def lose(self, row: Mapping[str, Any], reason: str) -> None:
        """Keeps the labels of an input of which there is no crop; it goes to `missing.parquet`.

        Args:
            row: as for `add`; one without any label is passed over.
            reason: in a few words.
        """
        if any(value is not None and (name == "emotion" or name.startswith("AU")) for name, value in row.items()):
            self._counts["missing"] += 1
            self._missing.append({**row, "reason": reason})

    def fail(self, source: str, reason: str) -> None:
        """Notes an input that could not be used; the job goes on."""
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
            with replacing(_missing_path(self._out, self._index)) as temporary:
                pq.write_table(_table(self._missing, labels_schema(self._info)), temporary)
        notes = json.dumps({"counts": self._counts, "failures": self._failures, "recordings": self._recordings})
        table = _table(self._rows, frames_schema(self._info))
        with replacing(_part_path(self._out, self._index)) as temporary:
            pq.write_table(table.replace_schema_metadata({"duchenne": notes}), temporary)


def write_prepared(
    out: str | Path,
    info: DatasetInfo,
    parts: Sequence[Any],
    produce: Callable[[PartWriter, Any], None],
    *,
    workers: int = 0,
    units: Sequence[int] | None = None,
    description: str = "preparing",
    quiet: bool = False,
) -> Prepared | None:
    """Runs a job to its end and returns the prepared folder; finished parts of an earlier run are kept.

    Args:
        out: the folder to write.
        info: what the folder will be; `counts` is filled in here.
        parts: one picklable description per part, in their final order.
        produce: called as `produce(writer, part)`, in worker processes where `workers` > 1 (then it must be
            picklable); adds crops to the writer. It runs with one thread, so that any number of workers gives the
            same bytes.
        workers: number of processes; 0 for one per core.
        units: how far each part moves the progress bar (frames, files); 1 each by default.
        description: of the progress bar.
        quiet: show no progress.

    Returns:
        The folder, opened; None where no crop came out of it (the folder is complete and says so).

    Raises:
        UsageError: when `out` holds the unfinished or finished work of another job, or something else.
        InputError: when it cannot be written.
    """
    out = Path(out)
    job = {**to_mapping(replace(info, counts={})), "parts": len(parts)}
    if _claim(out, job):
        return _open(out)
    sizes = list(units) if units is not None else [1] * len(parts)
    todo = [index for index in range(len(parts)) if not _part_path(out, index).exists()]
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task(description, total=sum(sizes), completed=sum(sizes) - sum(sizes[i] for i in todo), note="")
        number = min(workers or joblib.cpu_count(), max(1, len(todo)))
        if number == 1:
            for index in todo:
                start = bar.tasks[0].completed
                _produce(out, index, info, parts[index], produce, lambda step: bar.advance(task, step))
                bar.update(task, completed=start + sizes[index])
        else:
            run = joblib.delayed(_produce_in_worker)
            calls = (run(out, index, info, parts[index], produce, os.getpid()) for index in todo)
            pool = joblib.Parallel(n_jobs=number, return_as="generator_unordered", batch_size=1, max_nbytes=None)
            try:
                with _following(out, bar, task, {index: sizes[index] for index in todo}) as running:
                    with _ignoring_interrupts():  # which the workers inherit: Ctrl-C is this process's to handle
                        finished = pool(calls)
                    for index in finished:
                        bar.advance(task, running.pop(index))
            except (BrokenProcessPool, BrokenPipeError) as error:
                raise InputError(
                    f"{out}: a worker process was ended, or not started, most likely for want of memory; "
                    "run the same command with fewer --workers, it goes on where it stopped."
                ) from error
            bar.update(task, completed=sum(sizes))
    _finish_job(out, info, len(parts))
    return _open(out)


def _produce(
    out: Path,
    index: int,
    info: DatasetInfo,
    part: Any,
    produce: Callable[[PartWriter, Any], None],
    on_progress: Callable[[int], None] | None,
) -> int:
    import torch  # here, so that reading prepared data does not need it

    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with PartWriter(out, index, info, on_progress) as writer:
            produce(writer, part)
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)
    return index


def _produce_in_worker(
    out: Path, index: int, info: DatasetInfo, part: Any, produce: Callable[[PartWriter, Any], None], parent: int
) -> int:
    """As `_produce`; notes now and then how far it is, and ends when the process that wants the result is gone."""
    done, noted_s = 0, 0.0

    def note(step: int) -> None:
        nonlocal done, noted_s
        done += step
        if time.monotonic() - noted_s > NOTE_EVERY_S:
            if parent not in (os.getppid(), os.getpid()):
                os._exit(1)
            noted_s = time.monotonic()
            with suppress(OSError):  # a full disk shows where it matters
                _part_path(out, index).with_suffix(".progress").write_text(str(done))

    note(0)
    return _produce(out, index, info, part, produce, note)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _following(out: Path, bar: Progress, task: TaskID, running: dict[int, int]) -> Iterator[dict[int, int]]:
    """Moves the bar between finished parts, by what the workers note; `running` is part -> units not yet counted."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(NOTE_EVERY_S):
            for file in (out / "parts").glob("*.progress"):
                index = int(file.stem)
                with suppress(OSError, ValueError, KeyError):  # being written, or finished in the meantime
                    step = min(int(file.read_text()), sizes[index]) - (sizes[index] - running[index])
                    if step > 0:
                        running[index] -= step
                        bar.advance(task, step)

    for old in (out / "parts").glob("*.progress"):
        old.unlink()
    sizes = dict(running)
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        over.set()
        thread.join()


def _claim(out: Path, job: Mapping[str, Any]) -> bool:
    """Makes `out` the place of this job; True where it is finished already."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder for --out.")
    if (out / "job.yaml").is_file():
        before = load_mapping(out / "job.yaml")
        if before != json.loads(json.dumps(job)):
            changed = sorted(key for key in {*before, *job} if before.get(key) != json.loads(json.dumps(job)).get(key))
            raise UsageError(
                f"{out}: holds the data of another job ({', '.join(changed)} differ); "
                "name another --out or delete this folder."
            )
        finished = (out / "dataset.yaml").is_file()
        if finished and (out / "parts").is_dir():  # killed after its last file
            shutil.rmtree(out / "parts")
        return finished
    if out.is_dir() and any(not path.match(".job.*.part.yaml") for path in out.iterdir()):
        raise UsageError(f"{out}: is not empty and not prepared data; name another --out.")
    save_mapping(out / "job.yaml", json.loads(json.dumps(job)))
    try:
        for folder in ("shards", "parts"):
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another --out.") from error
    return False


def _finish_job(out: Path, info: DatasetInfo, number: int) -> None:
    counts: Counter[str] = Counter(crops=0, failures=0)
    failures: list[tuple[str, str]] = []
    recordings: list[dict[str, Any]] = []
    schema = frames_schema(info)
    for left in out.rglob(".*.part.*"):  # of a run that was killed
        left.unlink()
    with replacing(out / "frames.parquet") as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for index in range(number):
            table = pq.read_table(_part_path(out, index))
            notes = json.loads(table.schema.metadata[b"duchenne"])
            counts.update(notes["counts"])
            failures += [(source, reason) for source, reason in notes["failures"]]
            recordings += notes.get("recordings", [])
            writer.write_table(table.replace_schema_metadata(None))
    missing = [_missing_path(out, index) for index in range(number) if _missing_path(out, index).exists()]
    if missing:
        with replacing(out / MISSING_FILE) as temporary:
            pq.write_table(pa.concat_tables(pq.read_table(path) for path in missing), temporary)
    if failures:
        with replacing(out / "failures.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("source", "reason"), *(map(as_cell, row) for row in failures)])
    if recordings:
        with replacing(out / RECORDINGS_FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            listed = csv.DictWriter(file, list(recordings[0]))
            listed.writeheader()
            listed.writerows({name: as_cell(str(value)) for name, value in row.items()} for row in recordings)
    save_mapping(out / "dataset.yaml", to_mapping(replace(info, counts=dict(sorted(counts.items())))))
    shutil.rmtree(out / "parts")


def _open(out: Path) -> Prepared | None:
    counts = load_mapping(out / "dataset.yaml")["counts"]
    return Prepared([out]) if counts["crops"] else None


def _part_path(out: Path, index: int) -> Path:
    return out / "parts" / f"{index:05d}.parquet"


def _missing_path(out: Path, index: int) -> Path:
    return out / "parts" / f"{index:05d}.missing.parquet"


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], type=field.type, from_pandas=True)
        for field in schema
    }
    return pa.table(columns, schema=schema)
