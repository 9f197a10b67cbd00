"""DISFA and DISFA+: labels count from 1, pictures from 0 or 1, and two cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from tests.faces.media import write_video
from tests.preparing.datasets.made import Image, disfa_codes, picture, write

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.preparing.datasets import disfa
from duchenne.preparing.datasets.registry import read_data_set
from duchenne.preparing.sources.reading import Options, Reading


def read(root: Path, name: str = "disfa", **options: object) -> Reading:
    return read_data_set(name, root, Options(**options))  # type: ignore[arg-type]


def strengths(reading: Reading, subject: str, au: int) -> dict[int, float | None]:
    column = f"AU{au:02d}_i"
    return {v["frame"]: v.get(column) for v in (i.values for i in reading.images) if v["subject"] == subject}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """SN001 and SN010 with codes 1 to 5; SN010 lacks its last row."""
    root = tmp_path / "DISFA"
    disfa_codes(root, "SN001", range(1, 6), {1: {1: 5, 2: 2, 3: 1}, 12: {5: 3}})
    disfa_codes(root, "SN010", range(1, 5), {26: {4: 2}})
    return root


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "name", ["{subject}/{frame}.png", "LeftVideo{subject}_comp/LeftVideo{subject}_frame-{frame:05d}.jpg"]
)
def test_pictures_count_from_0_or_1_and_labels_from_1(root: Path, first: int, name: str) -> None:
    for subject in ("SN001", "SN010"):
        for frame in range(first, first + 5):
            picture(root / "frames" / name.format(subject=subject, frame=frame))
    reading = read(root)
    assert strengths(reading, "SN001", 1) == {1: 5, 2: 2, 3: 1, 4: 0, 5: 0}
    assert strengths(reading, "SN010", 26) == {1: 0, 2: 0, 3: 0, 4: 2}  # its fifth frame has no row
    assert "1 frames have no label" in "".join(reading.survey.notes)
    assert f"{'0, labels from 1' if first == 0 else 'count from 1'}" in "".join(reading.survey.notes)


def test_pictures_that_count_both_ways(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disfa, "FRAMES_PER_VIDEO", 5)
    for subject, first in (("SN001", 0), ("SN010", 1)):
        for frame in range(first, first + 5):
            picture(root / subject / f"{frame}.png")
    with pytest.raises(InputError, match="pictures of SN001 count from 0 and those of SN010 from 1"):
        read(root)


def test_the_action_unit_comes_from_the_file_name(root: Path) -> None:
    for frame in range(5):
        picture(root / "SN001" / f"{frame}.png")
    (root / "ActionUnit_Labels" / "SN001" / "SN001_au2.txt").unlink()  # every later file moves up in a listing
    reading = read(root)
    assert strengths(reading, "SN001", 12)[5] == 3
    assert strengths(reading, "SN001", 2)[5] is None
    assert "codes of SN001: AU2" in reading.survey.missing


def test_a_file_of_codes_that_is_cut_off_is_named(root: Path) -> None:
    write(root / "ActionUnit_Labels" / "SN001" / "SN001_au12.txt", "1,0\n2,3\n")
    survey = read(root).survey
    assert "codes of SN001: AU12 (3 of 5 frames)" in survey.missing
    assert not any(line.startswith("codes of SN010") for line in survey.missing)


def test_cameras_are_told_apart(root: Path) -> None:
    for camera in ("Left", "Right"):
        for subject in ("SN001", "SN010"):
            (root / f"Videos_{camera}Camera").mkdir(exist_ok=True)
            (root / f"Videos_{camera}Camera" / f"{camera}Video{subject}_comp.avi").touch()
    assert {video.path.name[:4] for video in read(root).videos} == {"Left"}
    assert {video.path.name[:5] for video in read(root, camera="right").videos} == {"Right"}


def test_the_check_compares_with_the_published_counts(root: Path) -> None:
    facts = {fact.what: fact for fact in read(root).survey.facts}
    assert facts["coded frames"][1:] == (9, 130_814)
    assert facts["AU1 positive (>= 2)"][1:] == (2, 6506)
    assert facts["AU26 positive (>= 2)"][1:] == (1, 11533)
    one = {fact.what: fact for fact in read(root, positive_from=1.0).survey.facts}
    assert one["AU1 positive (>= 1)"][1:] == (3, None)  # nothing was published for that
    missing = "\n".join(read(root).survey.missing)
    assert "videos of subjects (left camera): SN001, SN002" in missing
    assert "the pictures of 9 of 9 labelled frames: SN001 (5), SN010 (4)" in missing


@pytest.mark.slow
def test_whole_counts_are_as_published(tmp_path: Path) -> None:
    """With exactly the published numbers, every line of the check says so."""
    positives, rows = dict.fromkeys(disfa.POSITIVES, 0), 0
    for subject in disfa.SUBJECTS:
        frames = range(1, 4845 if subject == "SN010" else 4846)
        rows += len(frames)
        coded: dict[int, dict[int, int]] = {}
        for au, wanted in disfa.POSITIVES.items():
            number = min(len(frames), wanted - positives[au])
            positives[au] += number
            coded[au] = {frame: 2 + frame % 4 for frame in list(frames)[:number]} | ({4840: 1} if not number else {})
        disfa_codes(tmp_path, subject, frames, coded)
        write(tmp_path / "LeftVideos" / f"LeftVideo{subject}_comp.avi", "")
    survey = read(tmp_path).survey
    assert rows == disfa.CODED_FRAMES
    assert survey.missing == []
    assert all(fact.found == fact.published for fact in survey.facts)
    assert survey.lines()[-1] == "nothing is missing"
    assert sum("as published" in line for line in survey.lines()) == 2 + 8


def test_pictures_of_which_the_first_is_not_there(root: Path) -> None:
    for subject, first in (("SN001", 0), ("SN010", 2)):
        for frame in range(first, 4):
            picture(root / subject / f"{frame}.png")
    assert any(note.startswith("no picture 0 of SN010: taken to count from 0") for note in read(root).survey.notes)


@pytest.mark.parametrize("line", ["1;0", "x,1", "1,6", "1,-3", "²,1", "1,0\n1,2"])
def test_lines_that_cannot_be_right(root: Path, line: str) -> None:
    write(root / "ActionUnit_Labels" / "SN001" / "SN001_au4.txt", f"{line}\n")
    with pytest.raises(InputError, match=r"SN001_au4\.txt, row [12]: "):
        read(root)


def test_videos_end_to_end(root: Path, tmp_path: Path, portrait: Image) -> None:
    folder = root / "Videos_LeftCamera"
    folder.mkdir()
    small = np.pad(portrait[::4, ::4], ((0, 150), (150, 0), (0, 0)), mode="edge")  # too small, in the last picture
    pictures = [portrait, portrait, np.full_like(portrait, 90), portrait, small]
    write_video(folder / "LeftVideoSN001_comp.avi", pictures, rate=20)
    done = duchenne.prepare("disfa", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    frames = Prepared([tmp_path / "out"]).frames
    assert list(frames["frame"]) == [1, 2, 4]
    assert list(frames["AU01_i"]) == [5, 2, 0]
    assert list(frames["AU01"]) == [1, 1, 0]
    assert set(frames["subject"]) == {"SN001"}
    assert frames["clip"].nunique() == 2  # a missing face ends a clip
    lost = pd.read_parquet(tmp_path / "out" / "missing.parquet")
    assert list(lost["frame"]) == [3, 5]
    assert list(lost["AU12"]) == [0, 1]
    assert done.counts["missing"] == 2
    assert any("positives among them: AU12 1 of 1" in note for note in done.notes)
    assert any("the pictures of 4 of 9 labelled frames: SN010" in note for note in done.notes)


def test_of_several_faces_the_largest_is_the_subject(root: Path, tmp_path: Path, portrait: Image) -> None:
    small = np.pad(portrait[::2, ::2], ((0, 100), (0, 0), (0, 0)), mode="edge")
    (root / "Videos_LeftCamera").mkdir()
    both = [np.hstack([small, portrait]), np.hstack([portrait, small])]  # whoever stands where
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", both, rate=20)
    done = duchenne.prepare("disfa", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    assert done.counts["other_faces"] == done.counts["faces"] - 2 >= 2
    assert (done.counts["crops"], done.counts["coded"]) == (2, 2)
    assert set(Prepared([tmp_path / "out"]).frames["subject"]) == {"SN001"}


def test_frames_that_were_passed_over_are_not_lost(root: Path, tmp_path: Path, portrait: Image) -> None:
    (root / "Videos_LeftCamera").mkdir()
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", [portrait] * 5, rate=20)
    duchenne.prepare("disfa", root=root, out=tmp_path / "out", size_px=64, fps=10, workers=1, quiet=True)
    assert list(Prepared([tmp_path / "out"]).frames["frame"]) == [1, 3, 5]
    assert not (tmp_path / "out" / "missing.parquet").exists()


def test_aligned_by_the_landmarks_of_the_data_set(root: Path, tmp_path: Path, portrait: Image) -> None:
    points = np.random.default_rng(0).uniform(60, 140, (66, 2))
    points[[36, 39, 42, 45, 27, 33]] = [(80, 80), (95, 80), (110, 80), (125, 80), (102, 80), (102, 110)]
    for frame in range(5):
        picture(root / "SN001" / f"{frame}.png", portrait)
    folder = root / "Landmark_Points" / "SN001" / "tmp_frame_lm"
    folder.mkdir(parents=True)
    for frame, name in enumerate(["SN001_0000", "l00001", "SN001_0002", "SN001_0003"]):
        savemat(folder / f"{name}_lm.mat", {"pts": points + frame})
    arguments = {"root": root, "size_px": 64, "workers": 1, "quiet": True, "alignment": "dataset"}
    done = duchenne.prepare("disfa", out=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    data = Prepared([tmp_path / "out"])
    assert list(data.frames["frame"]) == [1, 2, 3, 4]
    assert data.infos[0].alignment == "similarity from the data set's own landmarks, per frame"
    assert np.isnan(data.landmarks()).all()  # 66 points lack two
    assert done.counts["no_landmarks"] == 1


def plus(root: Path) -> Path:
    for trial in ("A1_AU1_TrailNo_1", "Y_anger"):
        for frame in range(3):
            picture(root / "Images" / "SN001" / trial / f"{frame:03d}.jpg")
        for au in disfa.CODED_AUS:
            lines = [
                "# Database: DISFA+",
                "# frame  intensity",
                *(f"{frame:03d}.jpg      {frame}" for frame in range(3)),
            ]
            write(root / "Labels" / "SN001" / trial / f"AU{au}.txt", "\n".join(lines) + "\n")
    return root


def test_plus_skips_comments_and_shares_the_people_of_disfa(tmp_path: Path) -> None:
    reading = read(plus(tmp_path), "disfa_plus")
    assert [(i.values["clip"], i.values["frame"], i.values["AU12_i"]) for i in reading.images] == [
        (trial, frame, frame) for trial in ("A1_AU1_TrailNo_1", "Y_anger") for frame in range(3)
    ]
    assert set(disfa.PLUS_SUBJECTS) < set(disfa.SUBJECTS)


def test_plus_an_action_unit_that_a_trial_lacks_is_named(tmp_path: Path) -> None:
    (plus(tmp_path) / "Labels" / "SN001" / "Y_anger" / "AU4.txt").unlink()
    reading = read(tmp_path, "disfa_plus")
    assert "codes of SN001 Y_anger: AU4" in reading.survey.missing
    assert {image.values.get("AU04_i") for image in reading.images if image.values["clip"] == "Y_anger"} == {None}


def test_training_on_disfa_plus_and_testing_on_disfa_is_seen(tmp_path: Path, portrait: Image) -> None:
    root = plus(tmp_path / "plus")
    for path in root.rglob("*.jpg"):
        picture(path, portrait)
    duchenne.prepare("disfa_plus", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    assert set(Prepared([tmp_path / "out"]).subject_names()) == {"disfa:SN001"}


def test_what_only_videos_or_only_pictures_can_have(root: Path, tmp_path: Path) -> None:
    picture(root / "SN001" / "1.png")
    for arguments, message in (
        ({"fps": 5}, r"fps: needs videos, and .* holds pictures"),
        ({"alignment": "smooth"}, r"alignment smooth: needs videos, and .* holds pictures"),
    ):
        with pytest.raises(UsageError, match=message):
            duchenne.prepare("disfa", root=root, out=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    write(root / "LeftVideoSN001_comp.avi", "")
    with pytest.raises(UsageError, match=r"alignment none: is for aligned crops, and .* holds videos"):
        duchenne.prepare("disfa", root=root, out=tmp_path / "out", alignment="none")
    with pytest.raises(InputError, match="alignment dataset needs the frames of DISFA as pictures"):
        duchenne.prepare("disfa", root=root, out=tmp_path / "out", alignment="dataset")
