"""GFT, CK+, UNBC, Aff-Wild2 and VoxCeleb2: sequences of people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.faces.media import write_video
from tests.preparing.datasets.made import Image, picture, write

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.preparing.datasets.registry import read_data_set
from duchenne.preparing.sources.reading import Options, Reading


def read(root: Path, name: str, **options: object) -> Reading:
    return read_data_set(name, root, Options(**options))  # type: ignore[arg-type]


def column(reading: Reading, name: str) -> dict[tuple[object, ...], object]:
    return {
        (i.values["subject"], i.values["clip"], i.values["frame"]): i.values.get(name, "none") for i in reading.images
    }


# GFT


def gft(root: Path) -> Path:
    for subject in ("001A", "001B", "002A"):
        rows = ["AU12,frame,AU1,confidence", "1,1,0,.9", "9,2,-999,.9", ",3,1,.9"]
        write(root / "codes" / f"{subject}.csv", "\n".join(rows) + "\n")
        for frame in (1, 2, 3, 4):
            picture(root / "frames" / subject / f"{frame:05d}.jpg")
    return root


def test_gft_columns_by_name_in_any_order_and_every_mark_for_unknown(tmp_path: Path) -> None:
    reading = read(gft(tmp_path), "gft")
    assert reading.aus == (1, 12)
    twelve = column(reading, "AU12")
    assert [twelve["001A", "001A", frame] for frame in (1, 2, 3)] == [1, None, None]
    assert [column(reading, "AU01")["001A", "001A", frame] for frame in (1, 2, 3)] == [0, None, 1]
    assert "columns: AU10, AU14" in "".join(reading.survey.missing)


def test_gft_an_action_unit_that_a_table_lacks_is_named(tmp_path: Path) -> None:
    write(gft(tmp_path) / "codes" / "001B.csv", "frame,AU1\n1,1\n2,0\n")
    assert "codes of 001B: AU12" in read(tmp_path, "gft").survey.missing


def test_gft_numbers_that_no_frame_has(tmp_path: Path) -> None:
    root = gft(tmp_path)
    picture(root / "frames" / "001A" / "99999999999999999999.jpg")
    with pytest.raises(InputError, match=r"the name of frames/001A/9+\.jpg ends in no frame number; rename it"):
        read(root, "gft", frames="all")


def test_gft_split_from_the_lists_of_the_user(tmp_path: Path) -> None:
    root = gft(tmp_path)
    write(root / "GFT_train_path.txt", "001A/00001.jpg\n001A/00002.jpg\n001B/00001.jpg\n")
    write(root / "GFT_test_path.txt", "002A/00001.jpg\n")
    split = column(read(root, "gft"), "split")
    assert {key[0]: value for key, value in split.items()} == {"001A": "train", "001B": "train", "002A": "test"}
    write(root / "GFT_test_path.txt", "002A/00001.jpg\n001A/00009.jpg\n")
    with pytest.raises(InputError, match="names 001A, which another list puts into"):
        read(root, "gft")


def test_gft_lists_of_file_names_and_lists_that_name_nobody(tmp_path: Path) -> None:
    root = gft(tmp_path)
    write(root / "GFT_train.txt", "001A_00001.jpg\n001B_00001.jpg\n")
    write(root / "GFT_test.csv", "name\n002A_00001.jpg\n")
    split = column(read(root, "gft"), "split")
    assert {key[0]: value for key, value in split.items()} == {"001A": "train", "001B": "train", "002A": "test"}
    for name in ("GFT_train.txt", "GFT_test.csv"):
        write(root / name, "1\n2\n")
    assert any("GFT_test.csv, GFT_train.txt names no participant" in line for line in read(root, "gft").survey.missing)


def test_gft_a_list_of_both_parts_is_none(tmp_path: Path) -> None:
    root = gft(tmp_path)
    write(root / "train_test_split.csv", "subject,split\n001A,train\n002A,test\n")
    write(root / "latest.txt", "001A\n")  # which has `test` in its name, too
    reading = read(root, "gft")
    assert set(column(reading, "split").values()) == {None}
    assert any("passed over: train_test_split.csv" in note for note in reading.survey.notes)


def test_gft_semicolons_and_tables_of_codes_called_test(tmp_path: Path) -> None:
    root = gft(tmp_path)
    path = root / "codes" / "001A.csv"
    path.write_text(path.read_text().replace(",", ";"))
    (root / "codes" / "001B.csv").rename(root / "codes" / "test_001B.csv")
    assert {subject for subject, *_ in column(read(root, "gft"), "AU12")} == {"001A", "002A"}
    assert any("test_001B (3)" in line for line in read(root, "gft").survey.missing)  # its pictures, by name


def test_gft_without_lists_says_so(tmp_path: Path) -> None:
    assert any("lists of the official split" in line for line in read(gft(tmp_path), "gft").survey.missing)


def test_gft_videos(tmp_path: Path, portrait: Image) -> None:
    root = gft(tmp_path / "gft")
    write_video(root / "002A.mp4", [portrait] * 3)
    done = duchenne.prepare("gft", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    frames = Prepared([tmp_path / "out"]).frames
    assert list(frames["frame"]) == [1, 2, 3]
    assert list(frames["AU12"].fillna(-1)) == [1, -1, -1]
    assert any("codes count from 1" in note for note in done.notes)


def test_gft_videos_without_codes(tmp_path: Path) -> None:
    root = gft(tmp_path)
    for name in ("002A", "009C"):
        write(root / "videos" / f"{name}.mp4", "")
    write(root / "GFT_train.txt", "001A\n001B\n002A\n")
    write(root / "GFT_test.txt", "009C\n")
    coded, everything = read(root, "gft"), read(root, "gft", frames="all")
    assert [(video.subject, video.split) for video in coded.videos] == [("002A", "train")]
    assert "1 videos have no codes: left out (--frames all keeps them)." in coded.survey.notes
    assert [(video.subject, video.split) for video in everything.videos] == [("002A", "train"), ("009C", "test")]
    assert [video.codes is None for video in everything.videos] == [False, True]
    assert "1 videos have no codes: kept without labels." in everything.survey.notes


# CK+


def ck_plus(root: Path) -> Path:
    for subject, number in (("S005", 3), ("S010", 2)):
        for frame in range(1, number + 1):
            name = f"{subject}_001_{frame:08d}"
            picture(root / "cohn-kanade-images" / subject / "001" / f"{name}.png")
            write(root / "Landmarks" / subject / "001" / f"{name}_landmarks.txt", "  1.0e+00   2.0e+00\n" * 68)
    facs = root / "FACS" / "S005" / "001" / "S005_001_00000003_facs.txt"
    write(facs, "   9.0000000e+00   4.0000000e+00\n   1.7000000e+01   0.0000000e+00\n   3.9e+01 0\n")
    write(root / "FACS" / "S010" / "001" / "S010_001_00000002_facs.txt", "")
    write(root / "Emotion" / "S005" / "001" / "S005_001_00000003_emotion.txt", "   3.0000000e+00\n")
    return root


def test_ck_plus_intensity_0_is_present_at_an_unknown_intensity(tmp_path: Path) -> None:
    reading = read(ck_plus(tmp_path), "ck_plus", positive_from=1.0)
    peak = ("S005", "001", 3)
    assert [column(reading, name)[peak] for name in ("AU17", "AU17_i", "AU09", "AU09_i", "AU01", "AU01_i")] == [
        1, None, 1, 4, 0, 0,
    ]  # fmt: skip
    assert column(reading, "emotion") == {peak: "disgust", ("S010", "001", 2): None}
    assert set(column(reading, "AU12").values()) == {0}  # an empty file: nothing was there
    assert "AUs that have no column: AU39 (1)." in reading.survey.notes
    assert any("3 frames have no label" in note for note in reading.survey.notes)


def test_ck_plus_emotions_are_no_codes_of_action_units(tmp_path: Path) -> None:
    (ck_plus(tmp_path) / "FACS" / "S005" / "001" / "S005_001_00000003_facs.txt").unlink()
    survey = read(tmp_path, "ck_plus").survey
    assert {fact.what: fact.found for fact in survey.facts}["coded sequences"] == 1
    assert any(line.startswith("codes of S005 001: AU1, AU2, AU4") for line in survey.missing)


@pytest.mark.parametrize("line", ["inf 1", "nan 1", "1.5 1", "12 6", "12"])
def test_ck_plus_lines_that_cannot_be_right(tmp_path: Path, line: str) -> None:
    write(ck_plus(tmp_path) / "FACS" / "S010" / "001" / "S010_001_00000002_facs.txt", line)
    with pytest.raises(InputError, match="a line is not an AU and an intensity from 0 to 5"):
        read(tmp_path, "ck_plus")


def test_ck_plus_landmarks(tmp_path: Path) -> None:
    points = read(ck_plus(tmp_path), "ck_plus", points=True).images[0].points
    assert points is not None
    np.testing.assert_array_equal(points.load(), np.tile([1.0, 2.0], (68, 1)))


# UNBC


def test_unbc_lists_only_what_is_present(tmp_path: Path) -> None:
    for frame in (1, 2):
        name = f"ll042t1aaaff{frame:03d}"
        picture(tmp_path / "Images" / "042-ll042" / "ll042t1aaaff" / f"{name}.png")
        text = "6 3 1 1\n43 1 1 1\n7 1 1 1\n" if frame == 2 else ""
        write(tmp_path / "Frame_Labels" / "FACS" / "042-ll042" / "ll042t1aaaff" / f"{name}_facs.txt", text)
        # The pain score has a file of the same name.
        write(tmp_path / "Frame_Labels" / "PSPI" / "042-ll042" / "ll042t1aaaff" / f"{name}_facs.txt", "0.0\n")
        lines = "1.5 2.5\n" * 66
        write(tmp_path / "AAM_landmarks" / "042-ll042" / "ll042t1aaaff" / f"{name}_aam.txt", lines)
    reading = read(tmp_path, "unbc", points=True)
    six = column(reading, "AU06_i")
    assert list(six) == [("042-ll042", "ll042t1aaaff", 1), ("042-ll042", "ll042t1aaaff", 2)]
    assert list(six.values()) == [0, 3]
    assert list(column(reading, "AU07_i").values()) == [0, 1]
    assert "AUs that have no column: AU43 (1)." in reading.survey.notes
    points = reading.images[0].points
    assert points is not None
    assert np.isnan(points.load()).any(axis=1).nonzero()[0].tolist() == [60, 64]


# Aff-Wild2


def test_aff_wild2_rows_are_pictures_from_1(tmp_path: Path) -> None:
    header = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    rows = [",".join(["0"] * 12), ",".join(["-1"] * 12), ",".join(["0"] * 6 + ["1"] + ["-1"] + ["0"] * 4)]
    write(tmp_path / "AU_Set" / "Train_Set" / "10-60-1280x720_right.txt", "\n".join([header, *rows, rows[2]]))
    write(tmp_path / "AU_Set" / "Validation_Set" / "video6.txt", "\n".join([header, rows[0]]))
    write(tmp_path / "VA_Set" / "Train_Set" / "10-60-1280x720_right.txt", "valence,arousal\n0.1,0.2\n")
    for number in (1, 2, 3):  # no face was found in the fourth
        picture(tmp_path / "cropped_aligned" / "10-60-1280x720_right" / f"{number:05d}.jpg")
    picture(tmp_path / "cropped_aligned" / "video6" / "00001.jpg")
    reading = read(tmp_path, "aff_wild2")
    first = "10-60-1280x720_right"
    assert column(reading, "AU12") == {(first, first, 1): 0, (first, first, 3): 1, ("video6", "video6", 1): 0}
    assert column(reading, "AU15")[first, first, 3] is None
    assert [*column(reading, "split").values()] == ["train", "train", "test"]
    assert "1 rows are marked as invalid (-1) throughout." in reading.survey.notes
    missing = "\n".join(reading.survey.missing)
    assert (
        "the pictures of 1 of 4 labelled frames: 10-60-1280x720_right (1); positives lost with them: AU12 1" in missing
    )


def test_aff_wild2_without_a_header_and_aligned_beside_cropped(tmp_path: Path) -> None:
    header, row = "AU1,AU2", "0,1"
    write(tmp_path / "AU_Set" / "Train_Set" / "v.txt", f"{header}\n{row}\n")
    for folder in ("cropped", "cropped_aligned"):
        picture(tmp_path / folder / "v" / "00001.jpg")
    reading = read(tmp_path, "aff_wild2")
    assert [image.source for image in reading.images] == ["cropped_aligned/v/00001.jpg"]
    assert any("the aligned ones are used" in note for note in reading.survey.notes)
    write(tmp_path / "AU_Set" / "Validation_Set" / "w.txt", f"{row}\n")
    with pytest.raises(InputError, match=r"Validation_Set/w\.txt: its first line is no header"):
        read(tmp_path, "aff_wild2")


# VoxCeleb2


def test_voxceleb2_utterances_are_clips_of_their_speaker(tmp_path: Path, portrait: Image) -> None:
    root = tmp_path / "vox"
    for part, speaker, utterance in (("dev", "id00012", 1), ("dev", "id00012", 2), ("test", "id00017", 1)):
        path = root / part / "mp4" / speaker / "21Uxsk56VDQ" / f"{utterance:05d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, [portrait] * 3)
    facts = {fact.what: fact for fact in read(root, "voxceleb2").survey.facts}
    assert facts["train speakers"][1:] == (1, 5_994)
    assert facts["train utterances"][1:] == (2, 1_092_009)
    duchenne.prepare("voxceleb2", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    frames = Prepared([tmp_path / "out"]).frames
    assert frames.groupby(["shard", "subject", "split"])["clip"].nunique().to_dict() == {
        ("00000.tar", "id00012", "train"): 2, ("00001.tar", "id00017", "test"): 1,
    }  # fmt: skip


def test_voxceleb2_copies_and_files_of_no_part(tmp_path: Path) -> None:
    name = "mp4/id00012/21Uxsk56VDQ/00001.mp4"
    write(tmp_path / "vox" / name, "")
    notes = read(tmp_path / "vox", "voxceleb2").survey.notes
    assert "1 files are in neither `dev` nor `test`: they get the split train." in notes
    write(tmp_path / "vox" / "dev" / name, "")
    write(tmp_path / "vox" / "copy" / "dev" / name, "")
    with pytest.raises(InputError, match="1 files are there twice"):
        read(tmp_path / "vox", "voxceleb2")


def test_voxceleb2_other_videos_are_other_inputs(tmp_path: Path) -> None:
    path = write(tmp_path / "dev" / "mp4" / "id00012" / "21Uxsk56VDQ" / "00001.mp4", "")
    before = read(tmp_path, "voxceleb2").plan(detect=True).inputs
    path.write_text("fetched again")
    assert read(tmp_path, "voxceleb2").plan(detect=True).inputs != before


def test_voxceleb2_as_pictures(tmp_path: Path) -> None:
    for number in (3, 10):
        picture(tmp_path / "id00012" / "21Uxsk56VDQ" / "00001" / f"{number}.jpg")
    (part,) = read(tmp_path, "voxceleb2").plan(detect=True).parts
    assert [(i.values["clip"], i.values["frame"], i.values["time_s"]) for i in part.images] == [
        ("id00012/21Uxsk56VDQ/00001", 3, 0.12), ("id00012/21Uxsk56VDQ/00001", 10, 0.4),
    ]  # fmt: skip


def test_voxceleb2_so_many_of_every_speaker(tmp_path: Path) -> None:
    """CLP has 8 videos of each: drawn by a seed, of as many recordings as there are, each speaker's on its own."""
    utterances = [("id00012", f"video{video}", f"{n:05d}") for video in range(3) for n in range(4)]
    few = [("id00017", "video0", "00001"), ("id00017", "video0", "00002")]
    for names in (*utterances, *few):
        write(tmp_path / "dev" / "mp4" / "/".join(names[:2]) / f"{names[2]}.mp4", "")
    drawn = {}
    for number, seed in ((None, 0), (2, 0), (2, 1), (5, 0), (2, 2)):
        reading = read(tmp_path, "voxceleb2", per_subject=number, seed=seed)
        drawn[number, seed] = {video.source.split("mp4/", 1)[1] for video in reading.videos}
    assert len(drawn[None, 0]) == 14
    two, five = ({name for name in drawn[number, 0] if "id00012" in name} for number in (2, 5))
    assert len(two) == 2
    assert len({name.split("/")[1] for name in two}) == 2  # two recordings rather than two pieces of one
    assert Counter(name.split("/")[1] for name in five).most_common()[0][1] == 2
    assert len(five) == 5
    assert two < five
    assert sum("id00017" in name for name in drawn[5, 0]) == 2  # all of those who have fewer
    assert len({frozenset(drawn[2, seed]) for seed in range(3)}) > 1
    assert drawn[2, 0] == {v.source.split("mp4/", 1)[1] for v in read(tmp_path, "voxceleb2", per_subject=2).videos}
    assert any("7 of 14 utterances were drawn" in n for n in read(tmp_path, "voxceleb2", per_subject=5).survey.notes)


def test_what_per_subject_cannot_be(tmp_path: Path) -> None:
    for dataset, fields, message in (
        ("disfa", {"per_subject": 2}, "per_subject: is for `prepare voxceleb2`, not for `prepare disfa`"),
        ("voxceleb2", {"per_subject": 0}, "per_subject 0: must be at least 1"),
        ("voxceleb2", {"seed": 1}, "seed 1: is that of per_subject"),
    ):
        with pytest.raises(UsageError, match=message):
            duchenne.prepare(dataset, root=tmp_path, out=tmp_path / "out", **fields)
