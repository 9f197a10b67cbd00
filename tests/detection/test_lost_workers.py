"""A process that ends over an input is that input's failure; the others are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from duchenne.detection import runner
from duchenne.detection.job import Job, Outcome
from duchenne.errors import InputError
from duchenne.parallel import WorkerLost


def reading(_: Any, job: Job, __: Path | None) -> tuple[Outcome, list[pd.DataFrame]]:
    """Stands in for reading; ends its process as MediaPipe does where memory runs out."""
    if job.path.name.startswith("abort"):
        os.abort()
    return Outcome(str(job.path), frames=1), [pd.DataFrame({"process": [os.getpid()]})]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes jobs of names, and reads them with two workers."""
    monkeypatch.setattr(runner, "_in_worker", reading)

    def read(*names: str) -> tuple[list[Job], Iterator[tuple[Job, Outcome]], list[pd.DataFrame]]:
        made, pieces = [Job(tmp_path / name) for name in names], list[pd.DataFrame]()
        run: Any = None
        return made, runner.run_jobs(run, made, {}, pieces.append, 2, None, lambda *_: None), pieces

    return read


@pytest.mark.slow
def test_one_that_ends_its_process_is_its_own_failure(jobs: Any) -> None:
    place, names = 2, [f"{number}.mp4" for number in range(6)]
    names[place] = "abort.mp4"
    made, results, pieces = jobs(*names)
    found = list(results)
    assert [job for job, _ in found] == made
    assert [outcome.frames for _, outcome in found] == [int(number != place) for number in range(6)]
    failures = [outcome.failure for _, outcome in found if outcome.failure]
    assert len(failures) == 1
    assert failures[0].startswith(f"{made[place].path}: the process that read it was ended, most likely for want of")
    assert len(pieces) == 5  # each of the others once
    assert os.getpid() not in {piece["process"][0] for piece in pieces}


@pytest.mark.slow
def test_processes_that_always_end_are_not_started_for_ever(jobs: Any) -> None:
    made, results, _ = jobs(*(f"abort{number}.mp4" for number in range(6)))
    found = []
    with pytest.raises(WorkerLost, match=r"detect: a worker process was ended, or not started, .*fewer workers"):
        found.extend(iter(results))
    assert [job for job, _ in found] == made[:2]
    assert issubclass(WorkerLost, InputError)
