"""Several inputs of `detect`: one after the other, in several processes, or on the machines of a Dask cluster."""

from __future__ import annotations

import glob
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne.detection.detector import Detector
from duchenne.detection.job import Job, Outcome, run_job
from duchenne.detection.settings import DetectSettings
from duchenne.detection.temporal import Baseline
from duchenne.detectors.base import AuModel
from duchenne.errors import UsageError
from duchenne.faces.recordings.listing import frames_of_sequence
from duchenne.files import shown_name
from duchenne.parallel import WorkerLost, in_processes
from duchenne.tables.writing import read_record, source_stamp, table_writer, write_record

Write = Callable[[pd.DataFrame], None]
_DEAD_S: Final = 600.0  # a half-written file that nobody wrote to for so long is of a run that was killed
_MOST_LOST: Final = 3
"""Processes in a row that end over an input that each has for itself; then it is not for the inputs that they end."""


@dataclass(frozen=True)
class Run:
    """What all inputs have in common.

    Attributes:
        model: opened.
        settings: how inputs are read.
        baseline: the resting face from a recording of its own, or None.
        record: what is written beside tables; None for none.
        threads: that put landmarks on faces in every process; None for one per core, at most 4.
        token: tells this run from others in the same worker process.
    """

    model: AuModel
    settings: DetectSettings
    baseline: Baseline | None
    record: Mapping[str, Any] | None
    threads: int | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def detector(self) -> Detector:
        """Opens the models."""
        return Detector(self.model, min_face=self.settings.min_face, threads=self.threads)

    def finished(self, job: Job, table: Path) -> Outcome | None:
        """What an earlier run read, when its files are whole and were made so from the same input."""
        record = read_record(table) if self.record is not None else None
        if record is None or any(record.get(key) != value for key, value in self._made_by(job).items()):
            return None
        # A page or film of an earlier run, with other settings or of what the file held then, goes with no table.
        if _sizes(job).items() - record.get("drawings", {}).items():
            return None
        return Outcome(**record["outcome"])

    def check_owner(self, job: Job, table: Path) -> None:
        """Makes sure that a table of an input would not replace that of another input of the same name.

        Raises:
            UsageError: when it would.
        """
        record = read_record(table)
        if record is None or not job.path.exists():
            return
        sources = [outcome.get("source") for outcome in record.get("inputs") or [record.get("outcome", {})]]
        is_same = record["place"] == _place(job) if "place" in record else shown_name(job.path) in sources
        if not is_same and record.get("input") != self._made_by(job)["input"]:  # and not moved
            raise UsageError(
                f"{job.path}: {table} is that of another recording, {sources[0]}; name another output (-o), or remove "
                "the table."
            )

    def process(
        self, job: Job, table: Path | None, write: Write, detector: Detector, advance: Callable[[], None]
    ) -> Outcome:
        """Reads one input into `table`, or gives its rows to `write` where there is none."""
        if table is None:
            return run_job(job, detector, self.settings, self.baseline, write, advance)
        made_by = self._made_by(job)
        with table_writer(table) as writer:
            outcome = run_job(job, detector, self.settings, self.baseline, writer.write, advance)
        if writer.rows and self.record is not None:
            write_record(table, {**made_by, "outcome": asdict(outcome), "drawings": _sizes(job), "place": _place(job)})
        return outcome

    def _made_by(self, job: Job) -> dict[str, Any]:
        # One that is gone (a link that leads nowhere, a stick that was pulled) is reported when it is read.
        paths = [job.path, *job.assembly.chapters]
        if job.assembly.sequence_fps is not None and job.path.exists():
            paths += frames_of_sequence(job.path)
        stamps = [source_stamp(path) for path in paths if path.exists()]
        newest = max((stamp["changed_ns"] for stamp in stamps), default=0)
        whole = {"bytes": sum(stamp["bytes"] for stamp in stamps), "changed_ns": newest}
        return {**(self.record or {}), "input": whole if len(stamps) == len(paths) else None}


def _sizes(job: Job) -> dict[str, int]:
    """Bytes of an input's drawings, by which those made with its table are known; -1 of one that is not there."""
    paths = {"overlay": job.overlay, "report": job.report}
    return {kind: path.stat().st_size if path.is_file() else -1 for kind, path in paths.items() if path is not None}


def _place(job: Job) -> str:
    """By which a changed input is known from another one of its name; it does not tell strangers where it lay."""
    return hashlib.sha256(os.fsencode(os.path.normcase(os.path.realpath(job.path)))).hexdigest()[:16]


def run_jobs(
    run: Run,
    jobs: Sequence[Job],
    tables: Mapping[Job, Path],
    write: Write,
    workers: int,
    scheduler: str | None,
    advance: Callable[[Job, bool], None],
) -> Iterator[tuple[Job, Outcome]]:
    """Processes inputs and gives what was read of each, in order.

    Args:
        run: what they have in common.
        jobs: the inputs.
        tables: where each goes; one without a table gives its rows to `write`.
        write: takes pieces of tables, in the order of the jobs.
        workers: processes on this machine; 1 for none but this one.
        scheduler: address of a Dask cluster that processes the inputs instead; None for this machine.
        advance: called with True after a frame, where this process reads it, and with False after an input.

    Raises:
        UsageError: when Dask is not installed.
        InputError: when an output cannot be written, no scheduler answers, or one worker after the other is lost.
    """
    if not jobs:
        return
    _sweep(jobs, tables, unchanged_s=_DEAD_S)
    if scheduler is None and (workers == 1 or len(jobs) == 1):
        with run.detector() as detector:
            for job in jobs:
                yield job, run.process(job, tables.get(job), write, detector, lambda: advance(job, True))  # noqa: B023
                advance(job, False)
        return
    try:
        for job, outcome, pieces in _elsewhere(run, jobs, tables, workers, scheduler):
            for piece in pieces:
                write(piece)
            yield job, outcome
            advance(job, False)
    except BaseException:  # also that nobody wants the rest
        _sweep(jobs, tables)
        raise


def _elsewhere(
    run: Run, jobs: Sequence[Job], tables: Mapping[Job, Path], workers: int, scheduler: str | None
) -> Iterator[tuple[Job, Outcome, list[pd.DataFrame]]]:
    """What other processes read of each input, in order.

    MediaPipe ends its process where memory runs out, and all that work beside it are ended with it. So as many inputs
    as there are workers are then read again, each by a process for itself; the one that ends over it is that input's
    failure.
    """
    waiting, alone, lost = list(jobs), 0, 0
    while waiting:
        # joblib makes the calls of a single worker in this process, so one input alone is given to two.
        at_once = 2 if alone else max(2, min(workers, len(waiting)))
        calls = [(run, job, tables.get(job)) for job in (waiting[:1] if alone else waiting)]
        try:
            with in_processes(
                _in_worker, calls, workers=at_once, lost="detect", resumes=False, scheduler=scheduler
            ) as results:
                for outcome, pieces in results:
                    lost = 0
                    yield waiting.pop(0), outcome, pieces
            alone = max(0, alone - 1)
        except WorkerLost:
            _sweep(waiting, tables)
            if not alone:
                alone = workers
                continue
            alone, lost = alone - 1, lost + 1
            job = waiting.pop(0)
            if lost == _MOST_LOST and waiting:
                raise
            yield job, Outcome(shown_name(job.path), failure=f"{job.path}: {_LOST}"), []


_LOST: Final = (
    "the process that read it was ended, most likely for want of memory; close other programs, raise the limit "
    "(`ulimit -v`), or, where it is this file alone, convert it."
)


def _sweep(jobs: Sequence[Job], tables: Mapping[Job, Path], unchanged_s: float = 0.0) -> None:
    """Removes the half-written files of processes that were ended and could not do it themselves.

    Args:
        jobs: the inputs.
        tables: where each goes.
        unchanged_s: leave files alone that were written to since.
    """
    latest_s = time.time() - unchanged_s
    for job in jobs:
        for path in (tables.get(job), job.overlay, job.report):
            if path is not None:
                for part in path.parent.glob(f".{glob.escape(path.stem)}.*.part{path.suffix}"):
                    with suppress(FileNotFoundError):
                        if part.stat().st_mtime <= latest_s:
                            part.unlink()


def _in_worker(run: Run, job: Job, table: Path | None) -> tuple[Outcome, list[pd.DataFrame]]:
    """One input, read in another process.

    Args:
        run: what all inputs have in common.
        job: the input.
        table: where it goes, or None.
    """
    pieces: list[pd.DataFrame] = []
    detector = _open_detector(run)
    return run.process(job, table, pieces.append, detector, lambda: None), pieces


_OPEN: Final = threading.local()


def _open_detector(run: Run) -> Detector:
    """One detector per worker thread and run: opening it takes a second. Processes may outlive a run."""
    detector: Detector | None = getattr(_OPEN, "detector", None)
    if detector is None or _OPEN.token != run.token:
        if detector is not None:
            detector.close()
        detector = run.detector()
        _OPEN.detector, _OPEN.token = detector, run.token
    return detector
