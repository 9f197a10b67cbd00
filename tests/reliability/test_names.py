"""Paths that are no UTF-8: what can be read under none of them says so."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.preparing.datasets.videos import plan_videos

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
CLEAR = "is not a name in UTF-8, and a Parquet table, such as a prepared folder has, can be read under no other; rename"


def test_a_table_in_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = pd.DataFrame({"source": "a.mp4", "frame": [0, 1], "time_s": [0.0, 0.04], "face": 0, "AU12_s": [1.0, 3.0]})
    rows.to_parquet(tmp_path / "a.parquet")
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xe9.parquet"))
    (tmp_path / "a.parquet").rename(path)
    for words in (["summarize", str(path)], ["agree", str(path), str(path), "--out", str(tmp_path)]):
        assert main(words) == 1
        said = capfd.readouterr().err
        assert said.startswith(f"duchenne {words[0]}: {tmp_path}/\\xe9.parquet: {CLEAR}")
        assert said.count("\n") == 1


def test_a_prepared_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    duchenne.synth(tmp_path / "faces", subjects=2, clips=1, frames=2, size_px=32, workers=1, quiet=True)
    folder = os.fsdecode(bytes(tmp_path) + b"/\xe9")
    shutil.move(tmp_path / "faces", folder)
    capfd.readouterr()
    assert main(["fit", "--model", "pixels", "--data", folder, "--out", str(tmp_path / "out"), "--quiet"]) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"duchenne fit: {tmp_path}/\\xe9/frames.parquet: {CLEAR}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_stay_apart(tmp_path: Path) -> None:
    """Both became `caf?.mp4`: one clip, of two people."""
    for name in (b"caf\xe8.mp4", b"caf\xe9.mp4"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    assert [part.source for part in plan_videos(tmp_path).parts] == ["caf\\xe8.mp4", "caf\\xe9.mp4"]
