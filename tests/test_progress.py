"""What progress bars say of many inputs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

import duchenne
from duchenne.progress import how_many, which


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((3, 40, "file", "talk.mp4"), "file 3 of 40: talk.mp4"),
        ((41, 40, "part"), "part 40 of 40"),
        ((1, 1, "file", "talk.mp4"), "talk.mp4"),
    ],
)
def test_which_of_many(words: tuple[Any, ...], said: str) -> None:
    assert which(*words) == said


def test_how_many_are_done() -> None:
    assert how_many(3, 40) == "3 of 40 files done"
    assert how_many(2, 3, "person") == "2 of 3 people done"
    assert how_many(1, 1) == ""


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stood beside bars, in order, each once."""
    found: list[str] = []
    update = Progress.update

    def kept(self: Progress, *args: Any, note: str | None = None, **fields: Any) -> None:
        if note is not None:
            found.extend([note] if found[-1:] != [note] else [])
            fields["note"] = note
        update(self, *args, **fields)

    monkeypatch.setattr(Progress, "update", kept)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    return found


@pytest.mark.parametrize(
    ("workers", "first"), [(1, "person 1 of 3"), pytest.param(2, "1 of 3 people done", marks=pytest.mark.slow)]
)
def test_a_job_counts_its_parts(notes: list[str], tmp_path: Path, workers: int, first: str) -> None:
    duchenne.synth(tmp_path / "s", subjects=3, clips=1, frames=2, size_px=32, workers=workers)
    assert notes[0] == first
    assert notes[-1] == ("person 3 of 3" if workers == 1 else "3 of 3 people done")


def test_features_count_clips(notes: list[str], tmp_path: Path) -> None:
    duchenne.synth(tmp_path / "s", subjects=1, clips=3, frames=2, size_px=32, workers=1)
    notes.clear()
    duchenne.embed(model="pixels", data=tmp_path / "s")
    assert notes[-1] == "clip 3 of 3"


def test_detect_counts_files(notes: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from duchenne.detection import detect
    from duchenne.detection.job import Job

    monkeypatch.setattr(detect, "_length", lambda job: 2)
    jobs = [Job(tmp_path / f"{name}.mp4") for name in ("a", "b", "c")]
    with detect._progress(jobs, False) as advance:
        for job in jobs:
            for _ in range(2):
                advance(job, True)
            advance(job, False)
    assert notes == [
        "file 1 of 3: a.mp4", "1 of 3 files done", "file 2 of 3: b.mp4", "2 of 3 files done", "file 3 of 3: c.mp4",
        "3 of 3 files done",
    ]  # fmt: skip
