"""Codes, trials and rows that lie outside a recording are said, whatever joins them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.faces.media import Image, write_video

import duchenne
from duchenne.cli.main import main
from duchenne.data.joined_times import outside_note
from duchenne.data.prepared import Prepared
from duchenne.tables.summarize import summarize


def test_the_sentence() -> None:
    assert outside_note("events", [(0.5, 1.0), (1.9, 2.4)], 2.0) is None
    assert outside_note("events", [], 2.0) is None
    assert outside_note("events", [(0.5, 1.0), (62.0, 63.0)], 2.0) == (
        "1 of 2 events lie outside the recording, which goes from 0.00 to 2.00 s (the first at 62.00 s)"
    )
    assert outside_note("trials", [(50.0, 70.0)], 60.0, begin=10.0) == (
        "1 of 1 trials lie outside the recording, which goes from 10.00 to 60.00 s (the first at 50.00 s); times count "
        "from the start of the recording"
    )
    assert outside_note("rows", [(7, 7), (8, 8)], 7, slack=0, unit="frames") == (
        "1 of 2 rows lie outside the recording, which goes from 0 to 7 frames (the first at 8 frames)"
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, portrait: Image) -> Path:
    """A second of one person, as MP4."""
    root = tmp_path_factory.mktemp("study")
    write_video(root / "a.mp4", [portrait] * 12)
    return root


CODES = {
    "events": ("source,au,onset_s,offset_s\na,12,0.1,0.3\na,12,8.0,9.0\n", "1 of 2 events lie outside"),
    "unknown": ("source,au,onset_s,offset_s\na,12,0.1,0.3\na,unknown,8.0,9.0\n", "1 of 2 events lie outside"),
    "times": ("source,time_s,AU12\na,0.0,1\na,0.2,0\na,61.2,1\n", "1 of 3 rows lie outside"),
    "frames": (
        "source,frame,AU12\na,0,1\na,11,0\na,12,1\n",
        "1 of 3 rows lie outside the recording, which goes from 0 to 11 frames",
    ),
}


@pytest.mark.parametrize("kind", CODES)
def test_prepare_says_which_codes_lie_outside(
    study: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, sentence = CODES[kind]
    (tmp_path / "codes.csv").write_text(text)
    out = tmp_path / "out"
    words = ["prepare", "videos", "--root", str(study), "--labels", str(tmp_path / "codes.csv"), "--out", str(out)]
    assert main([*words, "--workers", "1", "--size", "64", "--quiet"]) == 0
    assert f"duchenne prepare: a.mp4: {sentence}" in capsys.readouterr().err
    (row,) = pd.read_csv(out / "recordings.csv").to_dict("records")
    assert (row["source"], row["frames"], row["start_s"]) == ("a.mp4", 12, 0)
    assert row["end_s"] == pytest.approx(12 / 25, abs=2e-3)
    assert sentence in row["notes"]


def test_prepare_labels_a_recording_by_players_time(tmp_path: Path, portrait: Image) -> None:
    """The smile from 0.2 to 0.4 s, as seen in a player, of a recording whose own clock begins at 61.2 s."""
    root = tmp_path / "root"
    root.mkdir()
    write_video(root / "a.mkv", [portrait] * 15, times_ms=[61_200 + 40 * number for number in range(15)])
    (tmp_path / "codes.csv").write_text("source,au,onset_s,offset_s\na,12,0.2,0.4\n")
    duchenne.prepare("videos", root=root, labels=tmp_path / "codes.csv", out=tmp_path / "out", size_px=64, quiet=True)
    frames = pd.read_parquet(tmp_path / "out" / "frames.parquet")
    assert frames["AU12"].tolist() == [0] * 5 + [1] * 5 + [0] * 5
    np.testing.assert_allclose(frames["time_s"], np.arange(15) / 25, atol=1e-3)
    (row,) = pd.read_csv(tmp_path / "out" / "recordings.csv").to_dict("records")
    assert row["start_s"] == pytest.approx(61.2, abs=1e-3)
    assert np.isnan(row["notes"])


def test_prepare_sequences_chapters_and_mirror_images(tmp_path: Path, portrait: Image) -> None:
    import cv2

    for name in ("1.one", "1.two"):  # `.one` is no suffix: these are two people
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(1, 12):
            cv2.imwrite(str(tmp_path / "root" / name / f"{number}.png"), portrait[:, :, ::-1])
    options = {"size_px": 64, "workers": 1, "quiet": True}
    duchenne.prepare("videos", root=tmp_path / "root", out=tmp_path / "s", sequence=10, **options)
    frames = pd.read_parquet(tmp_path / "s" / "frames.parquet")
    assert frames.groupby("clip", sort=False).size().to_dict() == {"1.one#0.0": 11, "1.two#0.0": 11}
    assert set(frames["subject"]) == set(pd.read_csv(tmp_path / "s" / "names.csv")["name"]) == {"1.one#0", "1.two#0"}
    (tmp_path / "names.csv").write_text("source,face,name\n1.one,0,Ann\n")
    names = tmp_path / "names.csv"
    duchenne.prepare("videos", root=tmp_path / "root", out=tmp_path / "s", sequence=10, names=names, **options)
    assert set(pd.read_parquet(tmp_path / "s" / "frames.parquet")["subject"]) == {"Ann", "1.two#0"}
    np.testing.assert_allclose(frames["time_s"][:11], np.arange(11) / 10)
    duchenne.prepare("videos", root=tmp_path / "root" / "1.one", out=tmp_path / "itself", sequence=10, **options)
    assert set(pd.read_parquet(tmp_path / "itself" / "frames.parquet")["clip"]) == {"1.one#0.0"}
    root = tmp_path / "chapters"
    root.mkdir()
    for number in (1, 2):
        write_video(root / f"p01_part{number}.mp4", [portrait] * 4)
    duchenne.prepare("videos", root=root, out=tmp_path / "c", chapters=True, mirrored=True, **options)
    frames = pd.read_parquet(tmp_path / "c" / "frames.parquet")
    assert set(frames["clip"]) == {"p01_part1.mp4#0.0"}
    assert frames["frame"].tolist() == list(range(8))
    np.testing.assert_allclose(frames["time_s"], np.arange(8) / 25, atol=2e-3)
    plain = duchenne.prepare("videos", root=root, out=tmp_path / "p", chapters=True, **options)
    assert plain.counts["crops"] == 8
    turned, as_it_was = (Prepared([tmp_path / name]).image(0).astype(float) for name in "cp")
    assert np.abs(turned - as_it_was[:, ::-1]).mean() < 8 < np.abs(turned - as_it_was).mean()


def test_summarize_says_which_trials_lie_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = np.arange(50) / 25
    table = pd.DataFrame(
        {"source": "a.mp4", "frame": range(50), "time_s": times, "face": 0, "AU12_s": 0.5, "flag": None}
    )
    table.to_csv(tmp_path / "a_aus.csv", index=False)
    trials = pd.DataFrame(
        {
            "trial": [1, 2, 3],
            "onset_s": [0.0, 1.0, 61.2],
            "offset_s": [1.0, 2.0, 62.0],
            "baseline_onset_s": -3.0,
            "baseline_offset_s": -2.0,
        }
    )
    notes = summarize(table, trials=trials).notes
    assert notes[0].startswith("a.mp4: 1 of 3 trials lie outside the recording, which goes from 0.00 to 2.00 s")
    assert notes[1].startswith("a.mp4: 3 of 3 baselines of trials lie outside the recording")
    assert summarize(table, trials=trials[:2][["trial", "onset_s", "offset_s"]]).notes == ()
    trials.to_csv(tmp_path / "trials.csv", index=False)
    words = ["summarize", str(tmp_path / "a_aus.csv"), "--trials", str(tmp_path / "trials.csv"), "-o", str(tmp_path)]
    assert main(words) == 0
    assert "duchenne summarize: a.mp4: 1 of 3 trials lie outside" in capsys.readouterr().err
