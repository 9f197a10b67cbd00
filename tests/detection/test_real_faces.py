"""Detection on real faces: who is found, and scores that agree with what a person sees in the frames."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.detection.writing import read_table


@pytest.fixture(scope="module")
def videos(shared: Path) -> Path:
    return shared / "data" / "intel-sample-videos"


def test_a_smile_raises_au12(videos: Path) -> None:
    table = duchenne.detect(videos / "head-pose-face-detection-male.mp4")
    assert table.frame.tolist() == list(range(62))
    assert (table.face == 0).all()
    assert (table.time_s.diff().dropna() - 0.08).abs().max() < 1e-3
    smiling, after = table[table.frame.between(5, 55)], table[table.frame == 61]
    assert smiling.AU12_s.min() > 0.8
    assert after.AU12_s.item() < 0.3
    # Brows raised at first, then let down; eyes half closed at the end.
    assert table.AU01_s[:5].mean() > table.AU01_s[40:55].mean() + 0.2
    assert table.AU45_s[60:].mean() > table.AU45_s[:55].mean() + 0.2
    assert table[["AU06_s", "AU09_s"]].isna().all(axis=None)


def test_a_turning_head_changes_yaw_and_the_smile_stays_away(videos: Path) -> None:
    table = duchenne.detect(videos / "head-pose-face-detection-female.mp4")
    assert table.yaw.max() - table.yaw.min() > 60
    assert table.AU12_s.max() < 0.05


def test_far_faces_are_rows_that_say_why_they_have_no_aus(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "aus.parquet"
    assert main(["detect", str(videos / "classroom.mp4"), "-o", str(out), "--quiet"]) == 0
    table = read_table(out)
    assert table.groupby("frame").size().tolist() == [4] * 45
    assert (table.flag == "small").all()
    assert table.filter(like="AU").isna().all(axis=None)
    assert table.groupby("face").size().tolist() == [45] * 4


def test_pictures_with_and_without_a_face(shared: Path) -> None:
    table = duchenne.detect(shared / "data" / "scikit-image").set_index("source")
    table.index = [Path(source).name for source in table.index]
    assert sorted(table.index) == ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]
    assert table.AU12_s["astronaut.png"] > 0.7
    assert table.face.drop("astronaut.png").isna().all()
    assert (table.time_s == 0).all()


def test_two_processes_write_what_one_writes(shared: Path, tmp_path: Path) -> None:
    pictures = shared / "data" / "scikit-image"
    alone = duchenne.detect(pictures, output=tmp_path / "alone")
    both = duchenne.detect(pictures, output=tmp_path / "both", workers=2)
    pd.testing.assert_frame_equal(alone, both)
    tables = [path.name for path in (tmp_path / "alone").glob("*.csv")]
    assert len(tables) == 4
    for name in tables:
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
