"""A camera is read as it runs: the latest picture, no lag, and a table that is whole however it stops."""

from __future__ import annotations

import io
import os
import pty
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from tests.detection.made import picture

import duchenne
from duchenne.cli.main import main
from duchenne.detection.camera import latest_pictures, live_table, stop_key, watch
from duchenne.detection.detect import detect_frames
from duchenne.detection.overlay import bars
from duchenne.detection.settings import DetectSettings
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import Picture
from duchenne.tables.writing import read_table

pytestmark = pytest.mark.usefixtures("scripted")


class Fake:
    """A camera that shows one level after the other, each when `allowed` says so."""

    def __init__(self, levels: list[int]) -> None:
        self.levels, self.taken, self.released = levels, 0, False
        self.allowed = threading.Semaphore(0)

    def read(self) -> tuple[bool, Any]:
        self.allowed.acquire(timeout=5)
        if self.taken == len(self.levels):
            return False, None
        self.taken += 1
        return True, picture(self.levels[self.taken - 1])[:, :, ::-1]

    def release(self) -> None:
        self.released = True


def pictures(levels: list[int]) -> Generator[Picture]:
    for number, level in enumerate(levels):
        yield Picture(picture(level), number, number / 25)


def test_the_latest_picture_is_taken_and_the_camera_let_go() -> None:
    fake = Fake([10, 20, 30, 40, 50])
    stream = latest_pictures(fake)
    fake.allowed.release()
    first = next(stream)
    assert (first.frame, first.time_s, int(first.image[0, 0, 0])) == (0, 0.0, 10)
    assert (first.image == picture(10)).all(), "RGB"
    fake.allowed.release(3)  # three more come while the first is looked at
    while fake.taken < 4:
        pass
    fake.allowed.release(1)
    seen = [next(stream)]
    while seen[-1].frame < 4:
        seen.append(next(stream))
    assert seen[-1].frame == 4
    assert seen[0].frame >= 2, "what came in between was passed over"
    assert int(seen[-1].image[0, 0, 0]) == 50
    fake.allowed.release()
    assert list(stream) == []
    assert fake.released


def test_leaving_early_lets_go_of_the_camera() -> None:
    fake = Fake([10] * 100)
    fake.allowed.release(101)  # it ends rather than hangs when all have come early
    for result in detect_frames(latest_pictures(fake)):
        assert len(result.faces) == 1
        break
    stream = latest_pictures(again := Fake([10] * 100))
    again.allowed.release(101)
    next(stream)
    stream.close()
    assert again.released


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_table_is_what_came(tmp_path: Path, suffix: str) -> None:
    out, settings = tmp_path / f"live.{suffix}", DetectSettings(every=2)
    outcome, interrupted = watch(pictures([20, 0, 40, 0, 0] * 30), "camera 0", settings, BlendshapeModel(), output=out)
    assert not interrupted
    table = read_table(out)
    assert outcome.frames == 75
    assert table.drop_duplicates("frame").frame.tolist() == list(range(0, 150, 2))
    assert set(table.source) == {"camera 0"}
    assert table.AU12_s[:3].fillna(-1).tolist() == pytest.approx([0.2, 0.4, -1])
    assert (tmp_path / "live.json").exists()


def test_the_record_of_the_table_replaces_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "p01.json").write_text('{"participant": "p01"}')
    with pytest.raises(UsageError, match=r"p01\.json, which is something else"):
        watch(pictures([20]), "camera 0", DetectSettings(), BlendshapeModel(), output=tmp_path / "p01.csv")
    assert (tmp_path / "p01.json").read_text() == '{"participant": "p01"}'
    assert not (tmp_path / "p01.csv").exists()


def test_pictures_that_come_are_neither_turned_nor_a_sequence() -> None:
    for name, value in (("mirrored", True), ("sequence", 25.0)):
        with pytest.raises(UsageError, match=f"{name}: for a file or folder"):
            next(detect_frames(pictures([20]), model="blendshapes", **{name: value}))


def test_it_stops_when_asked_or_interrupted_and_the_table_is_whole(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    model, out = BlendshapeModel(), tmp_path / "a.csv"
    outcome, _ = watch(pictures([20] * 9), "c", DetectSettings(), model, output=out, should_stop=lambda: next(asked))
    assert outcome.frames == len(read_table(out)) == 3

    def interrupts() -> Generator[Picture]:
        yield from pictures([20, 30])
        raise KeyboardInterrupt

    outcome, interrupted = watch(interrupts(), "c", DetectSettings(), model, output=out)
    assert interrupted
    assert outcome.frames == len(read_table(out)) == 2
    outcome, _ = watch(pictures([20] * 9), "c", DetectSettings(end_s=0.1), model)
    assert outcome.frames == 3


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """OpenCV opens files as it opens cameras."""
    monkeypatch.chdir(tmp_path)
    path = _avi(tmp_path / "a.avi", 30)
    assert main(["detect", "--camera", str(path)]) == 2, "a file or an address only when that is asked for"
    assert "is not a device" in capsys.readouterr().err
    assert main(["detect", "--camera", str(path), "--camera-address", "-o", "live.csv"]) == 0
    said = capsys.readouterr().out
    assert "-> live.csv" in said
    table = read_table(tmp_path / "live.csv")
    assert 1 <= len(table) <= 30
    assert table.frame.is_monotonic_increasing
    assert main(["detect", "--camera", "97"]) == 1
    assert "cannot be opened" in capsys.readouterr().err


def _avi(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(frames):
        writer.write(np.full((48, 64, 3), 60, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["a.mp4"], ["--overlay", "o.mp4"], ["--report", "r.html"], ["--scheduler", "tcp://x:1"], ["--smooth-s", "1"],
        ["--workers", "2"], ["--baseline", "0-5"], ["--anonymous"], ["-o", "folder/"],
    ],
)  # fmt: skip
def test_what_needs_a_recording_is_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _avi(tmp_path / "a.avi", 3)
    assert main(["detect", *words, "--camera", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [path]


def test_the_live_table_shows_every_face() -> None:
    model = BlendshapeModel()
    frames = list(detect_frames(pictures([0, 30, 130]), model="blendshapes"))
    console = Console(width=100, record=True, file=io.StringIO())
    for frame in frames:
        console.print(live_table(frame, bars(model.columns), 0.04))
    text = console.export_text()
    assert "25 frames/s" in text
    assert "face 0" in text
    assert "face 1" in text
    assert "small" in text
    row = next(line for line in text.splitlines() if "AU12" in line)
    assert "0.30" in row
    assert row.count("█") == round(12 * 0.3)


def test_q_is_heard_and_the_terminal_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import termios

    other, ours = pty.openpty()
    with os.fdopen(ours, "r", buffering=1) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        before = termios.tcgetattr(keyboard)
        with stop_key() as pressed:
            assert not pressed()
            os.write(other, b"x")
            assert not pressed()
            os.write(other, b"q")
            assert pressed()
        assert termios.tcgetattr(keyboard) == before
    os.close(other)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with stop_key() as pressed:
        assert not pressed()


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="camera 97"):
        duchenne.camera(97)
    assert capfd.readouterr() == ("", ""), "OpenCV is silent"
    with pytest.raises(UsageError, match="recording"):
        watch(pictures([0]), "c", DetectSettings(smooth_s=1), BlendshapeModel())
