"""A second process that would write what another one is writing is told so at once, and a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import InputError
from duchenne.files import locked_beside

HOLD = """
import sys, time
from pathlib import Path
from duchenne.files import locked, locked_beside
with (locked_beside if sys.argv[1] == "beside" else locked)(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(path: Path, how: str) -> Iterator[None]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, how, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces to learn from, a detector and a picture."""
    folder = tmp_path_factory.mktemp("made")
    duchenne.synth(folder / "faces", subjects=4, clips=1, frames=6, size_px=32, workers=1, quiet=True)
    duchenne.fit(model="pixels", data=folder / "faces", out=folder / "detector", quiet=True)
    cv2.imwrite(str(folder / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    return folder


COMMANDS = {
    "fit": ("beside", "out", "fit --model pixels --data faces --out out --quiet"),
    "embed": ("beside", "out.parquet", "embed --model pixels --data faces --out out.parquet --quiet"),
    "export": ("beside", "out.onnx", "export --model detector --out out.onnx"),
    "evaluate": (
        "in", "out", "evaluate linear --model pixels --data faces --out out --folds 2 --maps none --sample-faces 0 "
        "--no-baselines --quiet",
    ),
    "detect": ("in", "out", "detect a.png -o out/ --quiet"),
    "detect into one": ("beside", "out.csv", "detect a.png -o out.csv --quiet"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_second_process_is_told_at_once(
    name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    how, out, words = COMMANDS[name]
    for item in made.iterdir():
        (tmp_path / item.name).symlink_to(item)
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with held(tmp_path / out, how):
        start = time.monotonic()
        assert main(words.split()) == 2
        assert time.monotonic() - start < 20
        said = capsys.readouterr().err
        assert f"{out}: another process is at work in it; wait for it, or choose another place.\n" in said
        assert said.count("\n") == 1
    assert main(words.split()) == 0, capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".lock")] == []
    assert out in {path.name for path in tmp_path.iterdir()} - set(before)


def test_a_job_that_is_refused_leaves_no_folder(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        duchenne.evaluate("linear", model="pixels", data=made / "none", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_files_of_the_same_folder_are_free(tmp_path: Path) -> None:
    with held(tmp_path / "a.parquet", "beside"), locked_beside(tmp_path / "b.parquet"):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".a.parquet.lock", ".b.parquet.lock"]
