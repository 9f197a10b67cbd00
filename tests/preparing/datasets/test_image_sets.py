"""EmotioNet, AffectNet, RAF-DB, RAF-AU: pictures that stand alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook
from tests.preparing.datasets.made import Image, picture, write, zipped

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError
from duchenne.facs import EMOTIONS
from duchenne.preparing.datasets.rafdb import parse_units
from duchenne.preparing.datasets.registry import read_data_set
from duchenne.preparing.sources.reading import Options, Reading


def read(root: Path, name: str, **options: object) -> Reading:
    return read_data_set(name, root, Options(**options))  # type: ignore[arg-type]


def column(reading: Reading, name: str) -> dict[str, object]:
    return {image.source: image.values.get(name) for image in reading.images}


# EmotioNet

ROWS = [
    ("http://a.example/x/one.jpg'", 1, 0, 999),
    ("'http://b.example/two%20faces.jpg'", 0, 999, 1),
    ("http://dead.example/three.jpg'", 1, 1, 0),
    ("http://dead.example/four.jpg'", 0, 1, 0),
]
HEADER = ("URL", "'AU 1'", "'AU 12'", "'AU 25'")


def emotionet(root: Path, *, csv: bool = False) -> Path:
    root.mkdir()
    if csv:
        write(root / "EmotioNet_FACS.csv", "\n".join(",".join(map(str, row)) for row in (HEADER, *ROWS)))
    else:
        book = Workbook()
        for row in (HEADER, *ROWS):
            book.active.append(row)
        book.save(root / "emotionet_facs_24600.xlsx")
    picture(root / "images" / "one.jpg")
    picture(root / "images" / "two faces.JPG")
    picture(root / "images" / "other.jpg")
    return root


@pytest.mark.parametrize("csv", [False, True])
def test_emotionet_quotes_unknowns_and_dead_addresses(tmp_path: Path, csv: bool) -> None:
    reading = read(emotionet(tmp_path / "e", csv=csv), "emotionet")
    assert reading.aus == (1, 12, 25)
    assert column(reading, "AU01") == {"images/one.jpg": 1, "images/two faces.JPG": 0}
    assert column(reading, "AU12") == {"images/one.jpg": 0, "images/two faces.JPG": None}
    assert column(reading, "AU25") == {"images/one.jpg": None, "images/two faces.JPG": 1}
    missing = "\n".join(reading.survey.missing)
    assert "the pictures of 2 of 4 labelled frames: four.jpg (1), three.jpg (1)" in missing
    assert "positives lost with them: AU1 1 (50.0 %), AU12 2 (100.0 %)" in missing
    assert any("1 pictures have no label" in note for note in reading.survey.notes)
    assert all(image.values["subject"] is None for image in reading.images)


def test_emotionet_two_pictures_of_one_name(tmp_path: Path) -> None:
    root = emotionet(tmp_path / "e")
    picture(root / "more" / "one.jpg")
    reading = read(root, "emotionet")
    assert list(column(reading, "AU01")) == ["images/two faces.JPG"]
    assert "names in the table that two pictures have: one.jpg" in reading.survey.missing


def test_emotionet_numbered_folders(tmp_path: Path) -> None:
    for number in (3, 4):
        picture(tmp_path / "optimization_set" / "N_0000000001" / f"N_0000000001_{number:05d}.jpg")
    reading = read(tmp_path, "emotionet")
    assert (len(reading.images), reading.label_kind) == (2, "none")
    write(tmp_path / "labels.csv", "URL,AU 1\nN_0000000001/N_0000000001_00004.jpg,1\n")
    assert list(column(read(tmp_path, "emotionet"), "AU01").values()) == [1]
    assert len(read(tmp_path, "emotionet", frames="all").images) == 2


def test_emotionet_damaged_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "emotionet.xlsx").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"emotionet\.xlsx: cannot be read as a spreadsheet .* save it as CSV"):
        read(tmp_path, "emotionet")


def test_emotionet_spreadsheets_have_the_limits_of_all_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = emotionet(tmp_path / "e")
    monkeypatch.setattr("duchenne.data.cells._LARGEST_SHEET", 1000)
    with pytest.raises(InputError, match=r"emotionet_facs_24600\.xlsx: unpacks to more than .* save it as CSV"):
        read(root, "emotionet")


def test_emotionet_contradicting_tables(tmp_path: Path) -> None:
    root = emotionet(tmp_path / "e")
    write(root / "again.csv", "URL,AU 1,AU 12,AU 25\nhttp://a.example/x/one.jpg,0,0,0\n")
    with pytest.raises(
        InputError, match=r"1 pictures are labelled twice, differently \(first: http://a\.example/x/one"
    ):
        read(root, "emotionet")


def test_emotionet_two_addresses_that_end_alike(tmp_path: Path) -> None:
    root = emotionet(tmp_path / "e")
    write(root / "more.csv", "URL;AU 1;AU 12;AU 25\nhttp://x.example/one.jpg;1;0;0\nhttp://[/z.jpg;1;0;0\n")
    reading = read(root, "emotionet")
    assert list(column(reading, "AU01")) == ["images/two faces.JPG"]  # nobody knows whose picture one.jpg is
    missing = "\n".join(reading.survey.missing)
    assert "pictures whose name ends the addresses of two rows: one.jpg" in missing
    assert "the pictures of 5 of 6 labelled frames: four.jpg (1), one.jpg (2)" in missing
    assert "AU1 4 (100.0 %)" in missing


def automatic(root: Path, names: list[str], *, au12: str = "1") -> None:
    """A list of automatic labels: address, original address, AU1 to AU60; AU1 is 0, AU12 as given, all others 999."""
    lines = [
        "\t".join([f"http://x.example/{name}", "http://y.example/old.jpg", "0", *["999"] * 10, au12, *["999"] * 48])
        for name in names
    ]
    write(root / "dataFile_0001.txt", "\n".join(lines) + "\n")


def test_emotionet_automatic_labels_train_and_hand_coded_ones_test(tmp_path: Path) -> None:
    names = [f"N_0000000001/N_0000000001_{number:05d}.jpg" for number in range(60)]
    for name in names:
        picture(tmp_path / "optimization_set" / name)
    automatic(tmp_path, names[:-1])
    alone = read(tmp_path, "emotionet")
    assert set(column(alone, "split").values()) == {None}  # without hand-coded ones there is no such split
    assert (alone.aus, len(alone.images)) == ((1, 2, 4, 5, 6, 9, 12, 17, 20, 25, 26), 59)
    assert set(column(alone, "AU12").values()) == {1}
    assert set(column(alone, "AU25").values()) == {None}
    write(tmp_path / "labels.csv", f"URL,AU 1,AU 12\nhttp://h.example/{names[0].split('/')[1]},1,0\n")
    both = read(tmp_path, "emotionet")
    first = f"optimization_set/{names[0]}"
    assert (column(both, "split")[first], column(both, "AU01")[first], column(both, "AU12")[first]) == ("test", 1, 0)
    parts = list(column(both, "split").values())
    assert (len(parts), parts.count("test")) == (59, 1)
    assert 5 <= parts.count("validation") <= 20  # a fifth of 58
    facts = {fact.what: fact[1:] for fact in both.survey.facts}
    assert facts["rows coded by people"] == (1, 24_600)
    assert facts["automatic labels"] == (59, 943_673)


def test_emotionet_damaged_automatic_labels(tmp_path: Path) -> None:
    picture(tmp_path / "N_0000000001" / "N_0000000001_00001.jpg")
    write(tmp_path / "notes.txt", "nothing of labels\n")
    automatic(tmp_path, ["N_0000000001/N_0000000001_00001.jpg"], au12="7")
    with pytest.raises(InputError, match=r"dataFile_0001\.txt, row 1: `7` is not 0, 1"):
        read(tmp_path, "emotionet")
    automatic(tmp_path, ["N_0000000001/N_0000000001_00001.jpg"])
    path = tmp_path / "dataFile_0001.txt"
    path.write_text(path.read_text() + "http://x.example/a.jpg\thttp://y.example/b.jpg\t0\n")
    with pytest.raises(InputError, match=r"row 2: is not an address, an original one and 60 labels"):
        read(tmp_path, "emotionet")


def test_parts_by_picture_where_nobody_is_known(tmp_path: Path) -> None:
    root = emotionet(tmp_path / "e")
    table = write(tmp_path / "parts.csv", "source,part\nimages/one.jpg,a\nimages/two faces.JPG,b\n")
    reading = read(root, "emotionet")
    assert reading.divide(table) == {"parts_file": "parts.csv", "parts_of": "pictures"}
    assert column(reading, "split") == {"images/one.jpg": "a", "images/two faces.JPG": "b"}
    write(table, "source,part\nimages/one.jpg,val\nimages/two faces.JPG,test\n")
    reading = read(root, "emotionet")
    assert reading.divide(table) == {"parts_file": "parts.csv"}
    assert set(column(reading, "split").values()) == {"validation", "test"}
    write(table, "source,part\nimages/one.jpg,a\n")
    with pytest.raises(InputError, match="has no part for 1 pictures"):
        read(root, "emotionet").divide(table)


# AffectNet

COLUMNS = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def _suffix(code: int) -> str:
    return {3: "tif", 4: "bmp"}.get(code, "jpg")


def affectnet_first(root: Path, *, header: bool = True) -> Path:
    points = ";".join(f"{x};{x + 1}" for x in range(68))
    rows = [f"1/a{code}.{_suffix(code)},0,0,9,9,{points},{code},0,0" for code in range(11)]
    lists = root / "Manually_Annotated_file_lists"
    write(lists / "training.csv", "\n".join([COLUMNS, *rows]))
    write(lists / "validation.csv", "\n".join(([COLUMNS] if header else []) + ["2/v.jpg,0,0,9,9,,7,0,0"]))
    for code in range(10):
        picture(root / "Manually_Annotated_Images" / "1" / f"a{code}.{_suffix(code)}")
    picture(root / "Manually_Annotated_Images" / "2" / "V.JPG")
    return root


@pytest.mark.parametrize("header", [True, False])
def test_affectnet_first_release(tmp_path: Path, header: bool) -> None:
    reading = read(affectnet_first(tmp_path, header=header), "affectnet")
    folder = "Manually_Annotated_Images"
    assert column(reading, "emotion") == {
        **{f"{folder}/1/a{code}.{_suffix(code)}": EMOTIONS[code] for code in range(8)}, f"{folder}/2/V.JPG": "contempt",
    }  # fmt: skip
    assert column(reading, "split")[f"{folder}/2/V.JPG"] == "test"
    assert "3 pictures without one of the 8 emotions are left out." in reading.survey.notes
    assert "pictures of 1 labels of the split train: 1/a10.jpg" in reading.survey.missing
    picture(tmp_path / "Automatically_Annotated_Images" / "3" / "b.jpg")
    assert "1 pictures have no label: left out." in read(tmp_path, "affectnet").survey.notes
    seven = read(tmp_path, "affectnet", emotions=7)
    assert "contempt" not in column(seven, "emotion").values()


def test_affectnet_tables_that_lie_there_twice(tmp_path: Path) -> None:
    root = affectnet_first(tmp_path)
    shutil.copytree(root / "Manually_Annotated_file_lists", root / "copy")
    with pytest.raises(InputError, match=r"2 files are there twice \(first: .*training\.csv|.*validation\.csv"):
        read(root, "affectnet")


def test_affectnet_pictures_that_are_listed_twice(tmp_path: Path) -> None:
    table = affectnet_first(tmp_path) / "Manually_Annotated_file_lists" / "training.csv"
    rows = table.read_text()
    table.write_text(f"{rows}\n1/A3.tif,0,0,9,9,,3,0,0\n")
    reading = read(tmp_path, "affectnet")
    assert [image.source for image in reading.images].count("Manually_Annotated_Images/1/a3.tif") == 1
    assert "1 rows name a picture again, labelled alike: counted once." in reading.survey.notes
    for again in ("1/a3.tif,0,0,9,9,,4,0,0", "2/v.jpg,0,0,9,9,,7,0,0"):  # otherwise; in the other split
        table.write_text(f"{rows}\n{again}\n")
        with pytest.raises(InputError, match="is labelled twice, differently or in both splits; keep one row"):
            read(tmp_path, "affectnet")


def affectnet_second(root: Path, kind: object = int) -> Path:
    for split, codes in (("train", range(11)), ("val", (0, 7))):
        for code in codes:
            picture(root / f"{split}_set" / "images" / f"{code + 100}.jpg")
            folder = root / f"{split}_set" / "annotations"
            folder.mkdir(exist_ok=True)
            np.save(folder / f"{code + 100}_exp.npy", np.array(kind(code)))  # type: ignore[operator]
            np.save(folder / f"{code + 100}_lnd.npy", np.arange(136.0))
    return root


@pytest.mark.parametrize("kind", [int, str, float, lambda code: f"{code}.0"])
def test_affectnet_second_release_whatever_type_the_codes_have(tmp_path: Path, kind: object) -> None:
    found = column(read(affectnet_second(tmp_path, kind), "affectnet"), "emotion")
    assert [found[f"train_set/images/{code + 100}.jpg"] for code in range(8)] == list(EMOTIONS)
    assert len(found) == 10


def test_affectnet_pickled_annotations_are_not_run(tmp_path: Path) -> None:
    affectnet_second(tmp_path)
    np.save(tmp_path / "val_set" / "annotations" / "100_exp.npy", np.array({"a": 1}, dtype=object))
    with pytest.raises(InputError, match=r"100_exp\.npy: cannot be read as an array"):
        read(tmp_path, "affectnet")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"\x93NUMPY\1\0v\0{'descr': "])
def test_affectnet_damaged_annotations(tmp_path: Path, content: bytes) -> None:
    affectnet_second(tmp_path)
    (tmp_path / "val_set" / "annotations" / "100_exp.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"100_exp\.npy: (cannot be read as|is an archive)"):
        read(tmp_path, "affectnet")


def test_affectnet_both_releases(tmp_path: Path) -> None:
    affectnet_second(affectnet_first(tmp_path))
    with pytest.raises(InputError, match=r"holds both releases of AffectNet .* name a root that holds one"):
        read(tmp_path, "affectnet")


@pytest.mark.parametrize("code", ["happy", "inf", "3.5"])
def test_affectnet_unknown_code(tmp_path: Path, code: str) -> None:
    affectnet_second(tmp_path)
    np.save(tmp_path / "val_set" / "annotations" / "100_exp.npy", np.array(code))
    with pytest.raises(InputError, match=f"`{code}` is not an expression from 0 to 10"):
        read(tmp_path, "affectnet")


@pytest.mark.parametrize("release", [affectnet_first, affectnet_second])
def test_affectnet_landmarks(tmp_path: Path, release: object) -> None:
    release(tmp_path)  # type: ignore[operator]
    points = read(tmp_path, "affectnet", points=True).images[0].points
    assert points is not None
    assert points.load().shape == (68, 2)


# RAF-DB and RAF-AU


def rafdb(root: Path, portrait: Image | None = None) -> Path:
    rows = [f"train_{code:05d}.jpg {code}" for code in range(1, 8)] + ["test_0001.jpg 4", "test_0002.jpg 5"]
    write(root / "basic" / "EmoLabel" / "list_patition_label.txt", "\n".join(rows) + "\n")
    for row in rows[:-1]:
        picture(root / "basic" / "Image" / "aligned" / row.split()[0].replace(".jpg", "_aligned.jpg"), portrait)
    return root


def test_rafdb_codes_and_split(tmp_path: Path) -> None:
    reading = read(rafdb(tmp_path), "rafdb")
    assert list(column(reading, "emotion").values())[:7] == [
        "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral",
    ]  # fmt: skip
    assert list(column(reading, "split").values()) == ["train"] * 7 + ["test"]
    facts = {fact.what: fact for fact in reading.survey.facts}
    assert facts["train labels"][1:] == (7, 12_271)
    assert "aligned or original pictures: test_0002" in reading.survey.missing


def test_rafdb_pictures_without_a_label_are_counted(tmp_path: Path) -> None:
    picture(rafdb(tmp_path) / "basic" / "Image" / "aligned" / "train_09999_aligned.jpg")
    assert "1 pictures have no label: left out." in read(tmp_path, "rafdb").survey.notes


def test_rafdb_basic_and_compound_side_by_side(tmp_path: Path) -> None:
    """Their pictures have the same names: one set zipped, one not, and labels would meet the wrong pictures."""
    root = rafdb(tmp_path)
    zipped(root / "basic" / "Image" / "aligned", root / "basic" / "Image" / "aligned.zip")
    picture(root / "compound" / "Image" / "aligned" / "train_00001_aligned.jpg")
    write(root / "compound" / "EmoLabel" / "list_patition_label.txt", "train_00001.jpg 1\n")
    with pytest.raises(InputError, match=r"holds 2 files of labels .* name a root that holds only one"):
        read(root, "rafdb")


def test_rafdb_in_the_archive_as_it_came(tmp_path: Path, portrait: Image) -> None:
    small = cv2.resize(portrait, (100, 100), interpolation=cv2.INTER_AREA)
    root = rafdb(tmp_path / "raf", small)
    zipped(root / "basic" / "Image" / "aligned", root / "basic" / "Image" / "aligned.zip")
    for alignment in ("frame", "none", "five", "all68"):
        out = tmp_path / alignment
        duchenne.prepare("rafdb", root=root, out=out, size_px=64, alignment=alignment, workers=1, quiet=True)  # type: ignore[arg-type]
        data = Prepared([out])
        assert len(data) == 8
        assert np.isnan(data.landmarks()).any() == (alignment == "none")
    apart = [np.abs(Prepared([tmp_path / name]).landmarks()[0] - Prepared([tmp_path / "frame"]).landmarks()[0]).mean()
             for name in ("five", "all68")]  # fmt: skip
    assert all(0 < distance < 4 for distance in apart)  # much the same place, in pixels of 64


def test_rafdb_by_its_five_points(tmp_path: Path, portrait: Image) -> None:
    root = rafdb(tmp_path / "raf")
    picture(root / "basic" / "Image" / "original" / "train_00001.jpg", portrait)
    points = "80\t80\n120\t80\n100\t100\n85\t120\n115\t120\n1\n0\n2\n"
    write(root / "basic" / "Annotation" / "manual" / "train_00001_manu_attri.txt", points)
    out = tmp_path / "out"
    arguments = {"size_px": 64, "alignment": "dataset", "workers": 1, "quiet": True}
    duchenne.prepare("rafdb", root=root, out=out, **arguments)  # type: ignore[arg-type]
    assert list(Prepared([out]).frames["source"]) == ["basic/Image/original/train_00001.jpg"]


def test_rafau_sides_and_null(tmp_path: Path) -> None:
    write(tmp_path / "RAFAU_label.txt", "0001.jpg 1+2+L4\n0002.jpg null  \n0003.jpg R12+25+39\n0004.jpg L10+R10\n")
    for number in (1, 2, 3):
        picture(tmp_path / "aligned" / f"{number:04d}_aligned.jpg")
    reading = read(tmp_path, "rafau")
    rows = [{k: v for k, v in image.values.items() if v == 1} for image in reading.images]
    assert rows == [{"AU01": 1, "AU02": 1, "AU04": 1}, {}, {"AU12": 1, "AU25": 1}]
    assert column(reading, "AU12")["aligned/0002_aligned.jpg"] == 0
    assert "AUs that have no column: AU39 (1)." in reading.survey.notes
    assert "pictures: 0004" in reading.survey.missing


@pytest.mark.parametrize("line", ["0001 1+2", "0001.jpg 1+x", "0001.jpg 1\n0001.jpg 2"])
def test_rafau_lines_that_cannot_be_right(tmp_path: Path, line: str) -> None:
    write(tmp_path / "RAFAU_label.txt", f"{line}\n")
    with pytest.raises(InputError, match=r"RAFAU_label\.txt, row [12]: "):
        read(tmp_path, "rafau")


@pytest.mark.parametrize(("text", "found"), [("L1+R1", {1}), ("null", set()), ("1++2", None), ("x", None)])
def test_units(text: str, found: set[int] | None) -> None:
    assert parse_units(text) == found


def test_emotions_without_a_face_are_kept_as_missing(tmp_path: Path, portrait: Image) -> None:
    root = rafdb(tmp_path / "raf")
    picture(root / "basic" / "Image" / "aligned" / "train_00003_aligned.jpg", portrait)
    duchenne.prepare("rafdb", root=root, out=tmp_path / "out", size_px=64, workers=1, quiet=True)
    lost = pd.read_parquet(tmp_path / "out" / "missing.parquet")
    assert len(lost) == 7
    assert "disgust" not in set(lost["emotion"])
