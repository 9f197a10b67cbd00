"""Several inputs of `detect`: one after the other, or in several processes."""

from __future__ import annotations

import glob
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne.detection.detector import Detector
from duchenne.detection.job import Job, Outcome, run_job
from duchenne.detection.model import AuModel
from duchenne.detection.settings import DetectSettings
from duchenne.detection.temporal import Baseline
from duchenne.detection.writing import read_record, source_stamp, table_writer, write_record
from duchenne.errors import InputError

Write = Callable[[pd.DataFrame], None]
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class Run:
    """What all inputs have in common.

    Attributes:
        model: opened.
        settings: how inputs are read.
        baseline: the resting face from a recording of its own, or None.
        record: what is written beside tables; None for none.
        token: tells this run from others in the same worker process.
    """

    model: AuModel
    settings: DetectSettings
    baseline: Baseline | None
    record: Mapping[str, Any] | None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def detector(self) -> Detector:
        """Opens the models."""
        return Detector(self.model, min_face=self.settings.min_face)

    def finished(self, job: Job, table: Path) -> Outcome | None:
        """What an earlier run read, when its files are whole and were made so from the same input."""
        record = read_record(table) if self.record is not None else None
        if record is None or any(record.get(key) != value for key, value in self._made_by(job).items()):
            return None
        if any(drawing is not None and not drawing.exists() for drawing in (job.overlay, job.report)):
            return None
        return Outcome(**record["outcome"])

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
            write_record(table, {**made_by, "outcome": asdict(outcome)})
        return outcome

    def _made_by(self, job: Job) -> dict[str, Any]:
        # One that is gone (a link that leads nowhere, a stick that was pulled) is reported when it is read.
        return {**(self.record or {}), "input": source_stamp(job.path) if job.path.exists() else None}


def run_jobs(
    run: Run,
    jobs: Sequence[Job],
    tables: Mapping[Job, Path],
    write: Write,
    workers: int,
    advance: Callable[[Job, bool], None],
) -> Iterator[tuple[Job, Outcome]]:
    """Processes inputs and gives what was read of each, in order.

    Args:
        run: what they have in common.
        jobs: the inputs.
        tables: where each goes; one without a table gives its rows to `write`.
        write: takes pieces of tables, in the order of the jobs.
        workers: processes; 1 for none but this one.
        advance: called with True after a frame, where this process reads it, and with False after an input.

    Raises:
        InputError: when an output cannot be written.
    """
    if not jobs:
        return
    if workers == 1 or len(jobs) == 1:
        with run.detector() as detector:
            for job in jobs:
                yield job, run.process(job, tables.get(job), write, detector, lambda: advance(job, True))  # noqa: B023
                advance(job, False)
        return
    from concurrent.futures.process import BrokenProcessPool

    import joblib

    calls = (joblib.delayed(_in_worker)(run, job, tables.get(job), os.getpid()) for job in jobs)
    pool = joblib.Parallel(n_jobs=min(workers, len(jobs)), return_as="generator", batch_size=1, max_nbytes=None)
    try:
        for job, (outcome, pieces) in zip(jobs, pool(calls), strict=True):
            for piece in pieces:
                write(piece)
            yield job, outcome
            advance(job, False)
    except KeyboardInterrupt:
        _sweep(jobs, tables)
        raise
    except (BrokenProcessPool, BrokenPipeError) as error:
        _sweep(jobs, tables)
        raise InputError(
            "a worker process was ended, or not started, most likely for want of memory; "
            "run the same command with fewer workers."
        ) from error


def _sweep(jobs: Sequence[Job], tables: Mapping[Job, Path]) -> None:
    """Removes the half-written files of workers that were ended and could not do it themselves."""
    for job in jobs:
        for path in (tables.get(job), job.overlay, job.report):
            if path is not None:
                for part in path.parent.glob(f".{glob.escape(path.stem)}.*.part{path.suffix}"):
                    part.unlink(missing_ok=True)


def _in_worker(run: Run, job: Job, table: Path | None, parent: int) -> tuple[Outcome, list[pd.DataFrame]]:
    pieces: list[pd.DataFrame] = []
    looked_s = 0.0

    def end_with_parent() -> None:
        nonlocal looked_s
        if time.monotonic() - looked_s > _LOOK_EVERY_S:
            looked_s = time.monotonic()
            if os.getppid() != parent:
                os._exit(1)

    detector = _open_detector(run)
    return run.process(job, table, pieces.append, detector, end_with_parent), pieces


_DETECTORS: Final[dict[str, Detector]] = {}


def _open_detector(run: Run) -> Detector:
    """One detector per worker process and run: opening it takes a second. Processes may outlive a run."""
    if run.token not in _DETECTORS:
        for detector in _DETECTORS.values():
            detector.close()
        _DETECTORS.clear()
        _DETECTORS[run.token] = run.detector()
    return _DETECTORS[run.token]
