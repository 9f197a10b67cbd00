"""Recordings as people have them: shifted clocks, folders of frames, chapters, mirror images, names of any kind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.detection.conftest import Film
from tests.detection.made import picture
from tests.faces.test_clock import write_shifted

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detect import detect_files, detect_frames
from duchenne.detection.settings import DetectArguments, DetectSettings
from duchenne.errors import UsageError
from duchenne.tables.writing import output_names, read_table

pytestmark = pytest.mark.usefixtures("scripted")


def test_ranges_and_baselines_count_from_the_start_of_the_recording(tmp_path: Path) -> None:
    """20 frames, 25 a second, of a recording whose own clock says 1234.5 s at its start: its offset is kept."""
    path = write_shifted(tmp_path / "a.mkv", 1234.5)
    table = duchenne.detect(path, start_s=0.2, end_s=0.4)
    frames = table.drop_duplicates("frame")  # two faces in some
    assert frames.frame.tolist() == [5, 6, 7, 8, 9]
    np.testing.assert_allclose(frames.time_s, np.arange(5, 10) / 25, atol=1e-3)
    assert duchenne.detect(path, baseline="0-0.2").frame.nunique() == 20
    detect_files(path, DetectArguments(output=tmp_path / "out/"))
    outcome = json.loads((tmp_path / "out" / "a_aus.json").read_text())["outcome"]
    assert outcome["start_s"] == pytest.approx(1234.5, abs=0.03)
    assert outcome["notes"] == []


def test_jumps_of_the_clock_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = write_shifted(tmp_path / "one.ts", 5.0, codec="mpeg2video")
    (tmp_path / "joined.ts").write_bytes(2 * one.read_bytes())
    table = duchenne.detect("joined.ts")
    np.testing.assert_allclose(table.drop_duplicates("frame").time_s, np.arange(40) / 25, atol=1e-3)
    assert "clock jumps from 0.76 to 0.00 s at frame 20" in table.attrs["notes"]["joined.ts"][0]
    assert main(["detect", "joined.ts", "--quiet"]) == 0
    assert "duchenne detect: joined.ts: its clock jumps from 0.76 to 0.00 s at frame 20" in capsys.readouterr().err


def write_frames(folder: Path, levels: list[int]) -> Path:
    folder.mkdir(parents=True)
    for number, level in enumerate(levels, 1):
        cv2.imwrite(str(folder / f"{number}.png"), picture(level)[:, :, ::-1])
    return folder


def test_folders_of_frames(tmp_path: Path) -> None:
    one, two = write_frames(tmp_path / "s" / "one", [20, 40, 60]), write_frames(tmp_path / "s" / "two", [80] * 12)
    out = tmp_path / "out"
    done = detect_files(
        tmp_path / "s", DetectArguments(sequence=50, output=f"{out}/", overlay=f"{out}/"), model="blendshapes"
    )
    assert [path.name for path in done.tables] == ["one_aus.csv", "two_aus.csv"]
    table = read_table(out / "one_aus.csv")
    assert set(table.source) == {str(one)}
    assert table.time_s.tolist() == [0.0, 0.02, 0.04]
    assert table.AU12_s.tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert read_table(out / "two_aus.csv").frame.tolist() == list(range(12))
    assert (out / "one_overlay.mp4").exists()
    again = detect_files(
        tmp_path / "s", DetectArguments(sequence=50, output=f"{out}/", overlay=f"{out}/"), model="blendshapes"
    )
    assert again.finished == 2
    cv2.imwrite(str(two / "13.png"), picture(80)[:, :, ::-1])
    again = detect_files(
        tmp_path / "s", DetectArguments(sequence=50, output=f"{out}/", overlay=f"{out}/"), model="blendshapes"
    )
    assert again.finished == 1
    assert len(read_table(out / "two_aus.csv")) == 13
    assert [frame.time_s for frame in detect_frames(one, sequence=10)] == [0.0, 0.1, 0.2]
    with pytest.raises(UsageError, match="sequence 0: must be above 0"):
        DetectSettings(sequence=0)


def test_chapters(film: Film, tmp_path: Path) -> None:
    film("GH010007.mov", [20, 30, 40])
    film("GH020007.mov", [50, 60])
    film("GH010008.mov", [70])
    table = duchenne.detect(tmp_path, chapters=True, model="blendshapes")
    first = table[table.source == str(tmp_path / "GH010007.mov")]
    assert first.frame.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(first.time_s, np.arange(5) / 25, atol=1e-3)
    assert first.AU12_s.tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert set(first.face) == {0}
    assert len(table) == 6
    assert table.attrs["notes"][str(tmp_path / "GH010007.mov")] == ["chapter GH020007.mov begins at 0.12 s"]


def test_mirror_images_are_turned_round_first(film: Film) -> None:
    path = film("a.mov", [20, 40])
    plain, mirrored = list(detect_frames(path)), list(detect_frames(path, mirrored=True))
    for one, other in zip(plain, mirrored, strict=True):
        assert one.image is not None
        assert other.image is not None
        assert (other.image == one.image[:, ::-1]).all()


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_utf8(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an archive of 1998 has them: M\\xfcller in Latin-1. The others of the batch are read, too."""
    monkeypatch.chdir(tmp_path)
    plain = film("in/a.mov", [20])
    os.rename(film("in/b.mov", [30]), os.fsencode(tmp_path / "in") + b"/M\xfcller.mov")
    for output in ("t.csv", "t.parquet"):
        assert main(["detect", "in", "-o", output, "--quiet"]) == 0
        table = read_table(tmp_path / output)
        assert table.source.tolist() == ["in/M\\xfcller.mov", "in/a.mov"]
    assert main(["detect", "in", "-o", "out/", "--report", "pages/", "--quiet"]) == 0
    assert os.path.exists(os.fsencode(tmp_path / "out") + b"/M\xfcller_aus.csv")
    assert "M\\xfcller" in capsys.readouterr().out
    assert plain.exists()


def test_names_so_long_that_nothing_can_be_added(film: Film, tmp_path: Path) -> None:
    """A file name holds 255 bytes; the long one comes first, and everybody's tables are written."""
    long, other = film("a" * 250 + ".mov", [20]), film("b.mov", [30])
    umlauts = film("ä" * 124 + ".mov", [40])
    names = output_names([long, umlauts, other])
    assert names[other] == "b"
    assert len(set(names.values())) == 3
    assert max(len(os.fsencode(name)) for name in names.values()) < 215
    done = detect_files([long, umlauts, other], DetectArguments(output=f"{tmp_path}/out/", report=f"{tmp_path}/out/"))
    assert not done.failures
    assert [len(read_table(path)) for path in done.tables] == [1, 1, 1]
