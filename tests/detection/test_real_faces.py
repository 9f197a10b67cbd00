"""Detection on real faces: who is found, and scores that agree with what a person sees in the frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detector import Detector
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.faces.decode import read_pictures
from duchenne.tables.writing import read_table


@pytest.fixture(scope="module")
def videos(shared: Path) -> Path:
    return shared / "data" / "intel-sample-videos"


def test_a_smile_raises_au12(videos: Path) -> None:
    table = duchenne.detect(videos / "head-pose-face-detection-male.mp4", model="blendshapes")
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
    table = duchenne.detect(videos / "head-pose-face-detection-female.mp4", model="blendshapes")
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


@pytest.mark.slow
def test_two_processes_write_what_one_writes(shared: Path, tmp_path: Path) -> None:
    pictures = shared / "data" / "scikit-image"
    alone = duchenne.detect(pictures, output=tmp_path / "alone")
    both = duchenne.detect(pictures, output=tmp_path / "both", workers=2)
    pd.testing.assert_frame_equal(alone, both)
    tables = [path.name for path in (tmp_path / "alone").glob("*.csv")]
    assert len(tables) == 4
    for name in tables:
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize(("corner", "side"), [(48, "right"), (54, "left")])
def test_left_and_right_are_the_subjects(shared: Path, corner: int, side: str) -> None:
    """A smile of which one corner is pulled down in the picture has lost it on that side."""
    (picture,) = read_pictures(shared / "data" / "scikit-image" / "astronaut.png")
    with Detector(BlendshapeModel(sides=True)) as detector:
        (frame,) = detector.frames([picture])
        points = frame.faces[0].face.landmarks
        assert points is not None
        x, y = np.meshgrid(*map(np.arange, picture.image.shape[1::-1]))
        width = np.ptp(points[48:60, 0])
        near = np.exp(-(((x - points[corner, 0]) ** 2 + (y - points[corner, 1]) ** 2) / (0.3 * width) ** 2))
        lowered = cv2.remap(
            picture.image, x.astype(np.float32), (y - 0.25 * width * near).astype(np.float32), cv2.INTER_LINEAR
        )
        (changed,) = detector.frames([replace(picture, image=lowered)])
    columns = detector.model.columns
    before, after = (dict(zip(columns, one.faces[0].scores, strict=True)) for one in (frame, changed))
    lost = {name: before[f"AU12_{name}"] - after[f"AU12_{name}"] for name in ("left", "right")}
    other = "left" if side == "right" else "right"
    assert lost[side] > lost[other] + 0.2
