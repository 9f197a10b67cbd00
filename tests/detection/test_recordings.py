"""Recordings as people have them, made small: turned phones, 4K, variable rates, people who come and go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from tests.faces.media import Image, turn, write_video

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detector import Detector
from duchenne.errors import InputError
from duchenne.faces.decode import read_pictures
from duchenne.tables.writing import read_table


@pytest.fixture(scope="module")
def face(shared: Path) -> Image:
    """(200, 200, 3): a smiling woman, frontal, her face 90 pixels wide."""
    image = next(read_pictures(shared / "data" / "scikit-image" / "astronaut.png")).image
    return np.ascontiguousarray(image[20:220, 120:320])


def scene(face: Image, *places: tuple[int, int], size: tuple[int, int] = (240, 480), scale: float = 1.0) -> Image:
    """A grey picture (height, width) with the face at each (x, y)."""
    image = np.full((*size, 3), 90, np.uint8)
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    for x, y in places:
        image[y : y + len(small), x : x + len(small)] = small
    return image


def film(path: Path, images: Iterable[Image], **options: object) -> Path:
    return write_video(path, images, codec="libx264", options={"crf": "18", "bf": "2"}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_phone(face: Image, tmp_path: Path, quarters: int) -> None:
    path = film(tmp_path / "a.mp4", [np.ascontiguousarray(np.rot90(scene(face, (150, 20)), quarters))] * 2)
    turn(path, quarters)
    table = duchenne.detect(path)
    assert table.frame.tolist() == [0, 1]
    assert (table.roll.abs() < 10).all()
    assert (table.AU12_s > 0.5).all()
    assert (table.x + table.width / 2 - 250).abs().max() < 25  # of the picture as it is shown


def test_a_4k_recording(face: Image, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [scene(face, (1400, 300), size=(2160, 3840), scale=6)] * 2)
    table = duchenne.detect(path)
    assert table.frame.tolist() == [0, 1]
    assert ((table.width > 400) & (table.width < 700)).all()
    assert (table.AU12_s > 0.5).all()
    assert table.quality.isna().all()


def test_someone_leaves_and_returns_while_another_stays(face: Image, tmp_path: Path) -> None:
    other = np.ascontiguousarray(face[:, ::-1] // 2 + 40)  # turned to the other side, less contrast
    here, gone = scene(face, (10, 20)), scene(face, (10, 20))
    here[20:220, 270:470] = gone[20:220, 270:470] = 90
    here[20:220, 270:470] = other
    path = film(tmp_path / "a.mp4", [here] * 4 + [gone] * 30 + [here] * 4)
    table = duchenne.detect(path)
    assert table.groupby("frame").size().tolist() == [2] * 4 + [1] * 30 + [2] * 4
    assert table.groupby("face").size().tolist() == [38, 8], "the one who returned has the number from before"
    left = table[table.frame.between(4, 33)]
    assert (left.face == 0).all()


def test_variable_rate_and_reordered_frames(face: Image, tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 500, 520, 1500, 1540, 1580]
    path = film(tmp_path / "a.mkv", [scene(face, (20 + 10 * step, 20)) for step in range(8)], times_ms=times_ms)
    table = duchenne.detect(path)
    assert table.frame.tolist() == list(range(8))
    assert table.time_s.tolist() == pytest.approx([time / 1000 for time in times_ms], abs=1e-3)
    assert table.x.is_monotonic_increasing, "frames come in the order in which they are shown"
    assert (table.face == 0).all()


def test_no_frame_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert main(["detect", str(path), "-o", str(tmp_path / "a.csv"), "--quiet"]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert str(path) in sentence
    assert not (tmp_path / "a.csv").exists()


def test_no_permission_to_write(face: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", [scene(face, (150, 20))])
    place = tmp_path / "locked" / "a.csv"
    place.parent.mkdir()
    opened = Path.open

    def refuse(self: Path, *arguments: object, **options: object) -> object:
        if self.parent == place.parent:
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        duchenne.detect(path, output=place)
    assert list(place.parent.iterdir()) == []


def test_a_missing_output_folder_is_made(face: Image, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [scene(face, (150, 20))])
    out = tmp_path / "new" / "deep"
    assert (
        main(["detect", str(path), "-o", f"{out}/", "--overlay", f"{out}/o/", "--report", f"{out}/r/", "--quiet"]) == 0
    )
    assert len(read_table(out / "a_aus.csv")) == 1
    assert (out / "o" / "a_overlay.mp4").exists()
    assert (out / "r" / "a_report.html").exists()


@pytest.mark.slow
def test_a_time_range_gives_the_rows_of_the_whole(shared: Path) -> None:
    video = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female-and-male.mp4"
    whole = duchenne.detect(video)
    part = duchenne.detect(video, start_s=1.7, end_s=3.0)
    wanted = whole[(whole.time_s >= 1.7) & (whole.time_s < 3.0)].reset_index(drop=True)
    assert 20 < len(part) < len(whole)
    pd.testing.assert_frame_equal(part, wanted)


def test_half_the_size_changes_little(shared: Path, tmp_path: Path) -> None:
    """By less than docs/limits.md says."""
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    stated = re.search(r"half its size changes scores by less than (0\.\d+) on\s+average", page)
    assert stated
    video = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-male.mp4"
    pictures = list(read_pictures(video))[::4]
    small = [cv2.resize(one.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)[:134] for one in pictures]
    path = write_video(tmp_path / "half.mp4", small, codec="libx264", options={"crf": "23"})  # type: ignore[arg-type]
    with Detector("blendshapes") as detector:
        usual, half = ([frame.faces[0] for frame in detector.frames(some)] for some in (pictures, path))
    assert all(not face.face.flag and "narrow" in face.face.quality for face in half)
    apart = np.abs([one.scores - two.scores for one, two in zip(usual, half, strict=True)])
    assert 0 < np.nanmean(apart) < float(stated[1])
