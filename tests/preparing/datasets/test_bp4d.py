"""BP4D and BP4D+: their layouts, and what is easily misread in them."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.preparing.datasets.made import Image, bp4d_codes, picture, write, zipped

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.preparing.datasets.bp4d import PLUS_SUBJECTS, SUBJECTS
from duchenne.preparing.datasets.registry import read_data_set
from duchenne.preparing.sources.reading import Options, Reading

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 27)


def read(root: Path, name: str = "bp4d", **options: object) -> Reading:
    return read_data_set(name, root, Options(**options))  # type: ignore[arg-type]


def values(reading: Reading) -> dict[tuple[str, str, int], dict[str, object]]:
    return {(v["subject"], v["clip"], v["frame"]): dict(v) for v in (image.values for image in reading.images)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """F001/T1 with four digits, F001/T2 with none, M001/T1 in a zip; only a window of each is coded."""
    root = tmp_path / "BP4D"
    for frame in range(2438, 2446):
        picture(root / "F001" / "T1" / f"{frame:04d}.jpg")
    for frame in range(8, 13):
        picture(root / "F001" / "T2" / f"{frame}.jpg")
    for frame in range(98, 103):
        picture(root / "M001" / "T1" / f"{frame:05d}.jpg")
    zipped(root / "M001", root / "M001.zip")
    codes = root / "AUCoding" / "AU_OCC"
    bp4d_codes(codes / "F001_T1.csv", range(2440, 2444), {1: {2440}, 12: {2440, 2441, -2442}}, AUS)
    bp4d_codes(codes / "F001_T2.csv", range(9, 12), {6: {10}}, AUS)
    bp4d_codes(codes / "M001_T1.csv", range(99, 105), {24: {100, 104}}, AUS[::-1])
    write(root / "AUCoding" / "AU_INT" / "AU12" / "F001_T1_AU12.csv", "2440,3\n2441,1\n2442,9\n2443,0\n")
    return root


def test_pictures_meet_their_codes_by_number(root: Path) -> None:
    found = values(read(root))
    assert sorted(found) == [
        *(("F001", "T1", frame) for frame in range(2440, 2444)),
        *(("F001", "T2", frame) for frame in range(9, 12)),
        *(("M001", "T1", frame) for frame in range(99, 103)),
    ]
    assert [found["F001", "T1", frame]["AU01"] for frame in range(2440, 2444)] == [1, 0, 0, 0]
    assert [found["F001", "T2", frame]["AU06"] for frame in range(9, 12)] == [0, 1, 0]
    assert found["F001", "T1", 2440]["time_s"] == 2440 / 25


def test_columns_go_by_name_and_9_is_not_codable(root: Path) -> None:
    found = values(read(root))
    assert [found["M001", "T1", frame]["AU24"] for frame in range(99, 103)] == [0, 1, 0, 0]  # columns in another order
    first = [found["F001", "T1", frame] for frame in range(2440, 2444)]
    assert [row["AU12"] for row in first] == [1, 1, None, 0]
    assert [row["AU12_i"] for row in first] == [3, 1, None, 0]  # which would be absent if 2 were asked for
    assert "AU12_i" not in found["F001", "T2", 9]


def test_tables_with_semicolons(root: Path) -> None:
    before = values(read(root))
    for path in root.rglob("*.csv"):
        path.write_text(path.read_text().replace(",", ";"))
    assert values(read(root)) == before


def test_intensities_beside_no_occurrence_are_named(root: Path) -> None:
    write(root / "AUCoding" / "AU_INT" / "AU12" / "F001_T3_AU12.csv", "1,3\n2,1\n")
    write(root / "AUCoding" / "AU_INT" / "AU12" / "F001_T2_AU12.csv", "9,3\n12,1\n")
    reading = read(root)
    assert values(reading)["F001", "T2", 9]["AU12_i"] == 3
    assert "intensities without an occurrence are left out: F001 T2 (1), F001 T3 (2)." in reading.survey.notes
    write(root / "AUCoding" / "AU_INT" / "AU12" / "F001_T2_AU12.csv", "9,3\n9,1\n")
    with pytest.raises(InputError, match=r"F001_T2_AU12\.csv, row 2: frame 9 occurs twice"):
        read(root)


def test_without_tables_of_intensity_occurrence_is_what_is_coded(root: Path) -> None:
    assert read(root).label_kind == "intensity"
    shutil.rmtree(root / "AUCoding" / "AU_INT")
    assert read(root).label_kind == "occurrence"


def test_the_action_units_of_the_protocol_or_all(root: Path) -> None:
    assert read(root).aus == (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    assert read(root, aus="all").aus == tuple(au for au in AUS if au != 27)  # AU27 is in no table of ours


def test_frames_without_codes_are_left_out_and_named(root: Path) -> None:
    coded, everything = read(root), read(root, frames="all")
    assert len(everything.images) == 8 + 5 + 5
    assert len(coded.images) == 11
    assert "7 frames have no label: left out (--frames all keeps them)." in coded.survey.notes
    assert values(everything)["F001", "T1", 2438].get("AU01") is None


def test_codes_without_pictures_are_named_with_the_positives_lost(root: Path) -> None:
    missing = "\n".join(read(root).survey.missing)
    assert "the pictures of 2 of 13 labelled frames: M001 T1 (2)" in missing
    assert "positives lost with them: AU24 1 (50.0 %)" in missing
    assert "subjects: F002, F003" in missing
    assert "and 31 more" in missing  # of 39
    assert "pictures of sequences: F001 T3" in missing


def test_archives_are_read_where_they_lie(root: Path) -> None:
    before = sorted(root.rglob("*"))
    zip_image = next(image for image in read(root).images if image.values["subject"] == "M001")
    assert (zip_image.path.name, zip_image.member) == ("M001.zip", "M001/T1/00099.jpg")
    assert sorted(root.rglob("*")) == before


def test_an_archive_named_after_the_subject_whose_entries_begin_with_the_task(root: Path) -> None:
    picture(root / "T1" / "00100.jpg")
    zipped(root / "T1", root / "M001.zip")
    (kept,) = [image for image in read(root).images if image.values["subject"] == "M001"]
    assert (kept.member, kept.values["frame"], kept.values["AU24"]) == ("T1/00100.jpg", 100, 1)


def test_an_action_unit_that_a_sequence_lacks_is_named(root: Path) -> None:
    bp4d_codes(root / "AUCoding" / "AU_OCC" / "F001_T2.csv", range(9, 12), {}, [au for au in AUS if au != 14])
    assert "codes of F001 T2: AU14" in read(root).survey.missing


def test_an_unpacked_copy_beside_the_archive_is_taken(root: Path) -> None:
    for frame in range(98, 103):
        picture(root / "M001" / "T1" / f"{frame:05d}.jpg")
    assert not any(image.member for image in read(root).images)


def test_a_folder_that_lies_there_twice(root: Path) -> None:
    shutil.copytree(root / "F001", root / "copy" / "F001")
    with pytest.raises(
        InputError, match=r"13 files are there twice \(first: F001/T1/2438\.jpg and copy/F001"
    ) as caught:
        read(root)
    assert "remove one of the copies" in str(caught.value)


def test_a_damaged_archive_is_named(root: Path) -> None:
    (root / "M002.zip").write_bytes(b"PK\3\4 cut off")
    assert any("M002.zip: cannot be read as a zip archive" in line for line in read(root).survey.missing)


def test_a_damaged_member_of_an_archive_fails_alone(root: Path, tmp_path: Path) -> None:
    for frame in (99, 100):
        picture(root / "M001" / "T1" / f"{frame:05d}.jpg", np.full((64, 64, 3), frame, dtype=np.uint8))
    whole = zipped(root / "M001", root / "M001.zip")
    data = bytearray(whole.read_bytes())
    data[200:300] = bytes(100)  # within the first picture
    whole.write_bytes(bytes(data))
    for folder in ("F001/T1", "F001/T2"):
        shutil.rmtree(root / folder)
    arguments = {"size_px": 64, "alignment": "none", "workers": 1, "quiet": True}
    done = duchenne.prepare("bp4d", root=root, out=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert (done.counts["crops"], done.counts["failures"]) == (1, 1)
    failed = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert failed["source"].tolist() == ["M001.zip/M001/T1/00099.jpg"]
    assert failed["reason"].item().startswith("cannot be read (Bad CRC-32")


def test_the_older_place_of_the_codes(root: Path) -> None:
    (root / "AUCoding" / "AU_OCC" / "F001_T2.csv").rename(root / "AUCoding" / "F001_T2.csv")
    bp4d_codes(root / "AUCoding" / "F001_T1.csv", range(2440, 2444), {1: {2443}}, AUS)  # the newer one goes before it
    found = values(read(root))
    assert ("F001", "T2", 10) in found
    assert found["F001", "T1", 2443]["AU01"] == 0


def test_other_files_are_other_inputs(root: Path) -> None:
    def inputs() -> Sequence[Any]:
        return read(root).plan(detect=True).inputs

    first = inputs()
    *_, sizes = first
    unpacked = [image.path for image in read(root).images if not image.member]
    assert len(sizes) == len(unpacked) + 1  # the archive once
    unpacked[0].touch()
    assert inputs() == first
    unpacked[0].write_bytes(unpacked[0].read_bytes() + b"more")
    assert inputs() != first
    second = inputs()
    with zipfile.ZipFile(root / "M001.zip", "a") as archive:
        archive.comment = b"another"
    assert inputs() not in (first, second)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2440,0,0,1\n2441,0,0,1\n", "its first line is no header"),
        ("0,1,1\n2440,0,0\n", "its first line is no header"),
        ("0,1,2\n2440,0,7\n", "row 2: `7` is not 0, 1 or a mark for not coded"),
        ("0,1,2\n2440,0\n", "row 2: has 2 of 3 columns"),
        ("0,1\n2440,0\n2440,1\n", "row 3: frame 2440 occurs twice"),
        ("0,1\nx,0\n", "row 2: `x` is not a frame number"),
        ("0,1\n99999999999999999999,0\n", "row 2: `99999999999999999999` is not a frame number"),
        ("0,1\n7.5,0\n", r"row 2: `7\.5` is not a frame number"),
        ('0,1\n"' + "7" * 200_000, "is not a text table"),
    ],
)
def test_tables_that_cannot_be_right(root: Path, text: str, message: str) -> None:
    write(root / "AUCoding" / "AU_OCC" / "F001_T1.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        read(root)
    assert "AUCoding/AU_OCC/F001_T1.csv" in str(caught.value)


def test_another_folder_is_refused_with_the_layout(tmp_path: Path) -> None:
    picture(tmp_path / "holiday" / "beach.jpg")
    message = r"holds no BP4D-Spontaneous \(it holds holiday\); below it there should be files such as F001"
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_facts_about_the_people() -> None:
    assert (len(SUBJECTS), len(PLUS_SUBJECTS)) == (41, 140)
    assert list(SUBJECTS) == [f"F{n:03d}" for n in range(1, 24)] + [f"M{n:03d}" for n in range(1, 19)]
    assert list(PLUS_SUBJECTS) == [f"F{n:03d}" for n in range(1, 83)] + [f"M{n:03d}" for n in range(1, 59)]


@pytest.fixture
def plus(tmp_path: Path) -> Path:
    root = tmp_path / "BP4D+"
    for task in ("T1", "T2"):
        for frame in (1, 2, 3):
            picture(root / "F001" / task / f"{frame:04d}.jpg")
    zipped(root / "F001", root / "2D+3D" / "F001.zip")
    picture(root / "Thermal" / "F001" / "T1" / "0001.jpg")
    bp4d_codes(root / "AUCoding" / "AU_OCC" / "F001_T1.csv", (1, 2), {1: {1}}, AUS)
    return root


def test_plus_has_four_coded_tasks_and_other_pictures_beside(plus: Path) -> None:
    reading = read(plus, "bp4d_plus")
    assert [image.source for image in reading.images] == [
        "2D+3D/F001.zip/F001/T1/0001.jpg", "2D+3D/F001.zip/F001/T1/0002.jpg",
    ]  # fmt: skip
    assert "codes of sequences: F001 T6, F001 T7, F001 T8" in reading.survey.missing
    assert len(read(plus, "bp4d_plus", frames="all").images) == 6


def test_pictures_alone_are_enough_for_pretraining(plus: Path) -> None:
    shutil.rmtree(plus / "AUCoding")
    reading = read(plus, "bp4d_plus")
    assert (len(reading.images), reading.label_kind) == (6, "none")


def test_prepared_end_to_end(root: Path, tmp_path: Path, portrait: Image) -> None:
    for frame in (2440, 2441, 2442):
        picture(root / "F001" / "T1" / f"{frame}.jpg", portrait)
    out = tmp_path / "out"
    done = duchenne.prepare("bp4d", root=root, out=out, size_px=64, workers=1, quiet=True)
    data = Prepared([out])
    assert list(data.frames["frame"]) == [2440, 2441, 2442]
    assert list(data.frames["AU12"].fillna(-1)) == [1, 1, -1]
    assert list(data.subject_names().unique()) == ["bp4d:F001"]
    assert data.infos[0].positive_from == 1
    assert "Binghamton" in data.infos[0].licence
    lost = pd.read_parquet(out / "missing.parquet")  # the grey ones
    assert list(lost["frame"]) == [2443, 9, 10, 11, 99, 100, 101, 102]
    assert set(lost["reason"]) == {"no face was found"}
    assert done.counts["missing"] == 8
    assert any("positives among them: AU06 1 of 1, AU24 1 of 1" in note for note in done.notes)
    other = duchenne.prepare("bp4d", root=root, out=tmp_path / "plus", name="x", size_px=64, workers=1, quiet=True)
    assert set(Prepared([out, str(other.out)]).subject_names()) == {"bp4d:F001", "x:F001"}


def test_the_check_needs_no_folder_and_reads_no_pictures(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from duchenne.cli.preparing.prepare import main

    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    assert main(["bp4d", "--root", str(root), "--check"]) == 1  # something is missing
    shown = capsys.readouterr().out
    assert re.search(r"coded frames +13  \(146,847 published\)", shown)
    assert "AU12 present, %" in shown
    assert "codes of sequences: F001 T3" in shown


def test_arguments_that_do_not_fit(root: Path, tmp_path: Path) -> None:
    wrong = {
        "out: name the folder": {},
        "camera: is for `prepare disfa`": {"out": tmp_path / "o", "camera": "left"},
        "says itself what is present": {"out": tmp_path / "o", "positive_from": 2},
        "alignment smooth: needs videos": {"out": tmp_path / "o", "alignment": "smooth"},
        "`missing` must be one of 'drop', 'negative'": {"out": tmp_path / "o", "missing": "keep"},
        "labels: is for `prepare videos`": {"out": tmp_path / "o", "labels": "codes.csv"},
    }
    for message, arguments in wrong.items():
        with pytest.raises(UsageError, match=message):
            duchenne.prepare("bp4d", root=root, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"landmarks are read of bp4d, .*, not of bp4d_plus"):
        duchenne.prepare("bp4d_plus", root=root, out=tmp_path / "o", alignment="dataset")
    with pytest.raises(InputError, match="alignment dataset needs the landmarks that come with BP4D"):
        duchenne.prepare("bp4d", root=root, out=tmp_path / "o", alignment="dataset")
    assert not (tmp_path / "o").exists()


def tracked(path: Path, entries: list[np.ndarray | None]) -> None:
    """Landmarks as BP4D brings them: a MATLAB file of version 7.3, `fit(i).pred`, transposed; None: nothing tracked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        places = file.create_dataset("fit/pred", (len(entries), 1), dtype=h5py.ref_dtype)
        for number, entry in enumerate(entries):
            values = np.zeros(2, dtype=np.uint64) if entry is None else entry.T
            places[number, 0] = file.create_dataset(f"#refs#/{number}", data=values).ref


def test_landmarks_that_come_with_it(root: Path) -> None:
    points = np.random.default_rng(0).uniform(1, 7, (8, 49, 2))
    tracked(root / "2DFeatures" / "F001_T1.mat", [None if n == 4 else points[n] for n in range(8)])
    tracked(root / "2DFeatures" / "F001_T2.mat", [points[n] for n in range(4)])
    reading = read(root, points=True)
    found = {(i.values["subject"], i.values["clip"], i.values["frame"]): i.points for i in reading.images}
    first = found["F001", "T1", 2440]  # the third picture of its sequence
    assert first is not None
    expected = np.full((68, 2), np.nan)
    expected[[p for p in range(17, 68) if p not in (60, 64)]] = points[2]
    np.testing.assert_array_equal(first.load(), expected)
    assert found["F001", "T1", 2442] is None  # the fifth: nothing was tracked
    missing = "\n".join(reading.survey.missing)
    assert "landmarks of sequences (2DFeatures/F001_T1.mat ...): M001 T1" in missing
    assert "landmarks that cannot be assigned to pictures: F001 T2 (4 entries, 5 pictures)" in missing
    assert all(image.points is None for image in read(root).images)


def test_faces_are_aligned_by_them(tmp_path: Path, portrait: Image) -> None:
    root = tmp_path / "BP4D"
    for frame in (5, 6):
        picture(root / "F001" / "T1" / f"{frame}.jpg", portrait)
    bp4d_codes(root / "AUCoding" / "AU_OCC" / "F001_T1.csv", (5, 6), {1: {5}}, AUS)
    points = np.random.default_rng(0).uniform(60, 140, (49, 2))
    points[[19, 22, 25, 28, 10, 16]] = [(80, 80), (95, 80), (110, 80), (125, 80), (102, 80), (102, 110)]
    tracked(root / "2DFeatures" / "F001_T1.mat", [points, points])
    out = tmp_path / "out"
    duchenne.prepare("bp4d", root=root, out=out, alignment="dataset", size_px=64, min_face=8, workers=1, quiet=True)
    data = Prepared([out])
    assert len(data) == 2
    assert "landmarks" in data.infos[0].alignment


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", b"\x89HDF\r\n\x1a\n"])
def test_files_of_landmarks_that_are_none(root: Path, content: bytes) -> None:
    path = root / "2DFeatures" / "F001_T1.mat"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"F001_T1\.mat: cannot be read as tracked landmarks"):
        read(root, points=True)
