"""Prepared data, writing side: atomic, resumable, the same bytes for any number of workers.

A job is a list of parts; each part is a fixed group of inputs and becomes one shard. A part's `parts/NNNNN.parquet`
appears by renaming after its shard, and `dataset.yaml` after everything else, so a folder that was interrupted at
any moment is continued by running the same job again.
"""

from __future__ import annotations

import csv
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress, TaskID

from duchenne.config import load_mapping, save_mapping, to_mapping
from duchenne.data.prepared import (
    FORMAT_VERSION,
    MISSING_FILE,
    RECORDINGS_FILE,
    DatasetInfo,
    Prepared,
)
from duchenne.data.shards import PartWriter, frames_schema, missing_path, part_path
from duchenne.data.stored.parquet import read_parquet
from duchenne.devices import one_opencv_thread, one_thread
from duchenne.errors import InputError, UsageError
from duchenne.files import is_leftover, locked, replacing
from duchenne.parallel import in_processes
from duchenne.plain import as_cell
from duchenne.progress import how_many, progress_bar, which

NOTE_EVERY_S = 0.5
GROUP_ROWS = 2**16
"""Of a row group of `frames.parquet`, at least: its end, which is read first, lists all groups of all columns."""


def write_prepared(
    out: str | Path,
    info: DatasetInfo,
    parts: Sequence[Any],
    produce: Callable[[PartWriter, Any], None],
    *,
    workers: int = 0,
    units: Sequence[int] | None = None,
    description: str = "preparing",
    what: str = "part",
    quiet: bool = False,
    scheduler: str | None = None,
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
        what: a word for a part, which the bar counts.
        quiet: show no progress.
        scheduler: address of a Dask cluster that takes the parts instead; its workers see `out`.

    Returns:
        The folder, opened; None where no crop came out of it (the folder is complete and says so).

    Raises:
        UsageError: when `out` holds the unfinished or finished work of another job, or something else.
        InputError: when it cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder for --out.")
    with locked(out):
        return _write(out, info, parts, produce, workers, units, (description, what), quiet, scheduler)


def _write(
    out: Path,
    info: DatasetInfo,
    parts: Sequence[Any],
    produce: Callable[[PartWriter, Any], None],
    workers: int,
    units: Sequence[int] | None,
    words: tuple[str, str],
    quiet: bool,
    scheduler: str | None,
) -> Prepared | None:
    job = {**to_mapping(replace(info, counts={})), "parts": len(parts)}
    if _claim(out, job):
        return _open(out)
    sizes = list(units) if units is not None else [1] * len(parts)
    todo = [index for index in range(len(parts)) if not part_path(out, index).exists()]
    (description, what), done = words, len(parts) - len(todo)
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task(description, total=sum(sizes), completed=sum(sizes) - sum(sizes[i] for i in todo), note="")
        number = min(workers or joblib.cpu_count(), max(1, len(todo)))
        if number == 1 and scheduler is None:
            for place, index in enumerate(todo, done + 1):
                start = bar.tasks[0].completed
                bar.update(task, note=which(place, len(parts), what))
                _produce(out, index, info, parts[index], produce, lambda step: bar.advance(task, step))
                bar.update(task, completed=start + sizes[index])
        else:
            calls = ((out, index, info, parts[index], produce) for index in todo)
            with (
                _following(out, bar, task, {index: sizes[index] for index in todo}) as running,
                in_processes(
                    _produce_in_worker,
                    calls,
                    workers=number,
                    ordered=False,
                    lost=str(out),
                    scheduler=scheduler,
                    alone=True,
                ) as finished,
            ):
                for place, index in enumerate(finished, done + 1):
                    bar.update(task, advance=running.pop(index), note=how_many(place, len(parts), what))
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
    with one_thread(), one_opencv_thread(), PartWriter(out, index, info, on_progress) as writer:
        produce(writer, part)
    return index


def _produce_in_worker(
    out: Path, index: int, info: DatasetInfo, part: Any, produce: Callable[[PartWriter, Any], None]
) -> int:
    """As `_produce`; notes now and then how far it is."""
    done, noted_s = 0, 0.0

    def note(step: int) -> None:
        nonlocal done, noted_s
        done += step
        if time.monotonic() - noted_s > NOTE_EVERY_S:
            noted_s = time.monotonic()
            with suppress(OSError):  # a full disk shows where it matters
                part_path(out, index).with_suffix(".progress").write_text(str(done))

    note(0)
    return _produce(out, index, info, part, produce, note)


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
    if (out / "job.yaml").is_file():
        before = load_mapping(out / "job.yaml")
        finished = (out / "dataset.yaml").is_file()
        if finished and before.get("format_version") in range(1, FORMAT_VERSION):  # still read, and named in
            job = {**job, "format_version": before["format_version"]}
        if before != json.loads(json.dumps(job)):
            changed = sorted(key for key in {*before, *job} if before.get(key) != json.loads(json.dumps(job)).get(key))
            raise UsageError(
                f"{out}: holds the data of another job ({', '.join(changed)} differ); "
                "name another --out or delete this folder."
            )
        if finished and (out / "parts").is_dir():  # killed after its last file
            shutil.rmtree(out / "parts")
        return finished
    if out.is_dir() and any(not is_leftover(path.name) for path in out.iterdir()):
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
    schema, waiting = frames_schema(info), list[pa.Table]()
    for left in out.rglob(".*.part.*"):  # of a run that was killed
        left.unlink()
    with (
        replacing(out / "frames.parquet") as temporary,
        pq.ParquetWriter(temporary, schema, write_page_checksum=True) as writer,
    ):
        for index in range(number):
            table = read_parquet(part_path(out, index))
            notes = json.loads(table.schema.metadata[b"duchenne"])
            counts.update(notes["counts"])
            failures += [(source, reason) for source, reason in notes["failures"]]
            recordings += notes.get("recordings", [])
            waiting.append(table.replace_schema_metadata(schema.metadata))
            if sum(map(len, waiting)) >= GROUP_ROWS or index == number - 1:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
    missing = [missing_path(out, index) for index in range(number) if missing_path(out, index).exists()]
    if missing:
        with replacing(out / MISSING_FILE) as temporary:
            table = pa.concat_tables(read_parquet(path) for path in missing)
            pq.write_table(table, temporary, write_page_checksum=True)
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
