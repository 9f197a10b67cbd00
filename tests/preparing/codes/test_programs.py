"""The Observer, Datavyu, Excel, and what is recognised and cannot be read; values worked out by hand."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook
from tests.preparing.codes.coded import SOURCES, at, said, write

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import read_codes

OBSERVER = (
    "Date_Time_Absolute_dmy_hmsf,Time_Relative_hms,Time_Relative_sf,Duration_sf,Observation,Event_Log,Subject,"
    + ("Behavior,Modifier_1,Event_Type,Comment\n")
)


def observer(obs: str, modifier: str, log: str = "Event log 1", subject: str = "") -> str:
    return "".join(
        f"01-05-2024,00:00:0{round(at)},{at},1,{obs},{log},{subject},AU12 - Lip corner puller,{modifier},{kind},\n"
        for at, kind in ((1.4, "State start"), (2.4, "State stop"))
    )


def test_observer_two_sessions_and_two_subjects(tmp_path: Path) -> None:
    path = write(tmp_path, OBSERVER + observer("p01 - MK", "C") + observer("p01 - BT", "B"), "x.csv")
    with pytest.raises(InputError, match=r"p01\.mp4: was coded by p01 - BT, p01 - MK; choose"):
        read_codes(path, SOURCES)
    assert at(read_codes(path, SOURCES, "p01 - BT"), "p01.mp4", [1.5], "AU12_i") == [2]
    logs = write(tmp_path, OBSERVER + observer("p01", "C") + observer("p01", "B", log="Event log 2"), "x.csv")
    with pytest.raises(InputError, match="was coded by p01 Event log 1, p01 Event log 2"):
        read_codes(logs, SOURCES)
    people = write(tmp_path, OBSERVER + observer("p01", "C", subject="m") + observer("p01", "B", subject="i"), "x.csv")
    with pytest.raises(InputError, match="has codes of i, m; say which face"):
        read_codes(people, SOURCES)
    codes = read_codes(people, SOURCES, names={("p01.mp4", 0): "i", ("p01.mp4", 1): "m"})
    assert [at(codes, "p01.mp4", [1.5], "AU12_i", face=face) for face in (0, 1)] == [[2], [3]]


def test_a_row_that_is_cut_off(tmp_path: Path) -> None:
    cut = (OBSERVER + observer("p01", "C")).splitlines()
    with pytest.raises(InputError, match=r"row 2, time_relative_sf: is empty; write seconds"):
        read_events(write(tmp_path, "\n".join([cut[0], "01-05-2024,,,,p01,,,AU12"]), "x.csv"))


# Datavyu


OPF = """#4
AU12 (MATRIX,true,)-code01|NOMINAL
00:00:00:500,00:00:01:500,(C)
00:01:02:250,00:00:00:000,(D)
facs (MATRIX,true,)-au|NOMINAL,intensity|NOMINAL,side|NOMINAL
00:00:02:000,00:00:03:000,(6,B,L)
00:00:03:000,00:00:04:000,(4,NA,)
notes (MATRIX,false,)-code01|NOMINAL
00:00:02:000,00:00:03:000,("he laughs, twice")
"""
DATAVYU = [(12, 0.5, 1.5, 3), (12, 62.25, 62.25, 4), (6, 2.0, 3.0, 2), (4, 3.0, 4.0, None)]


def test_datavyu(tmp_path: Path) -> None:
    path = tmp_path / "a.opf"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("db", OPF)
        archive.writestr("project", "!project\nname: a\nviewerSettings:\n- !vs\n  feed: /rec/b.mp4\n  offset: 0\n")
    assert said(path) == DATAVYU
    assert read_events(path)[3].kind == "unknown"
    assert said(write(tmp_path, OPF, "a.csv")) == DATAVYU
    assert set(read_codes(path, SOURCES).videos) == {"a.mp4"}
    path = path.rename(tmp_path / "session.opf")  # named otherwise: by the recording that it was coded from
    assert set(read_codes(path, SOURCES).videos) == {"b.mp4"}
    wide = "AU12.ordinal,AU12.onset,AU12.offset,AU12.code01,AU6.ordinal,AU6.onset,AU6.offset,AU6.code01\n"
    wide += "1,500,1500,C,1,1000,1050,B\n2,62250,62250,D,,,,\n"
    assert said(write(tmp_path, wide, "a.csv")) == [(12, 0.5, 1.5, 3), (12, 62.25, 62.25, 4), (6, 1.0, 1.05, 2)]


@pytest.mark.parametrize("text", [OPF + "rubbish\n", OPF.replace("(C)", "(F)"), OPF.replace("(6,B,L)", "(6,7,L)")])
def test_damaged_datavyu_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"a\.csv, row \d+"):
        read_events(write(tmp_path, text, "a.csv"))
    (tmp_path / "a.opf").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"a\.opf: is not a Datavyu spreadsheet"):
        read_events(tmp_path / "a.opf")


def test_a_datavyu_cell_longer_than_any_code(tmp_path: Path) -> None:
    text = OPF.replace("he laughs", "x" * 140_000)
    with pytest.raises(InputError, match=r"a\.csv, row 9: a cell cannot be read \(field larger than"):
        read_events(write(tmp_path, text, "a.csv"))


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_datavyu_file_damaged_inside(tmp_path: Path, packed: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.opf", "w", packed) as archive:
        archive.writestr("db", OPF)
    data = (tmp_path / "a.opf").read_bytes()
    (tmp_path / "a.opf").write_bytes(data[:60] + bytes(b ^ 255 for b in data[60:120]) + data[120:])
    with pytest.raises(InputError, match=r"a\.opf: (is not a Datavyu spreadsheet|cannot be read)"):
        read_events(tmp_path / "a.opf")


@pytest.mark.parametrize("name", ["a.eaf", "a.opf", "a.xlsx", "a.csv", "a.boris", "a.boris.gz"])
def test_pipes_are_no_codes(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="it is a pipe or a device, not a file; name the file itself"):
        read_events(tmp_path / name)


# Excel


def test_excel_files_with_a_sheet_per_observation(tmp_path: Path) -> None:
    book = Workbook()
    for number, name in enumerate(("a", "b")):
        sheet = book.active if number == 0 else book.create_sheet()
        assert sheet is not None
        sheet.append(["source", "au", "onset_s", "offset_s", "intensity", "frame"])
        sheet.append([name, 12 + number, 0.5, 1.5, "C", None])
    book.create_sheet()
    book.save(tmp_path / "codes.xlsx")
    notes: list[str] = []
    events = read_events(tmp_path / "codes.xlsx", notes)
    assert [(e.source, e.au, e.onset_s, e.intensity) for e in events] == [("a", 12, 0.5, 3), ("b", 13, 0.5, 3)]
    assert notes == [f"{tmp_path / 'codes.xlsx'}: not read: frame."] * 2


# What is recognised and lacks something


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("source,au,onset_s", "a table of events and has no column `offset_s`"),
        ("Observation id,Subject,Behavior,FPS,Start (s)", "aggregated events .* no column `Stop \\(s\\)`"),
        ("Time,Media file path,FPS,Subject,Behavior,Comment", "tabular events and has no column `Status`"),
        ("Time_Relative_sf,Observation,Behavior,Modifier_1", "The Observer and has no column `Event_type`"),
        ("Event_Type,Observation,Behavior,Modifier_1", "The Observer and has no column `Time_Relative_Sf`"),
        ("source,frame,AU12_r", "`AU12_r` names an AU and cannot be read: for an intensity write AU12_i"),
        ("source,frame,AU12,AU06_ix", "`AU06_ix` names an AU and cannot be read: write AU06"),
        ("source,frame,AU12,au12", "`AU12` and `au12` mean the same"),
        ("source,au,onset_s,offset_s,AU06_ix", "`AU06_ix` has no place among events"),
    ],
)  # fmt: skip
def test_what_is_missing_or_too_much_is_named(tmp_path: Path, header: str, what: str) -> None:
    path = write(tmp_path, header + "\n" + ",".join("1" for _ in header.split(",")) + "\n", "a.csv")
    with pytest.raises(InputError, match=what):
        read_codes(path, SOURCES)


def test_marks_of_unknown_labels(tmp_path: Path) -> None:
    text = "source,frame,AU12,AU06_i,mood\n" + "".join(
        f"a.mp4,{frame},{mark},{mark},x\n" for frame, mark in enumerate(["1", "NA", "9", "-1", "NaN", "", ".", "999"])
    )
    codes = read_codes(write(tmp_path, text, "a.csv"), SOURCES)
    times = [0.1 * frame for frame in range(8)]
    assert at(codes, "a.mp4", times, "AU12") == [1, *[None] * 7]
    assert at(codes, "a.mp4", times, "AU06_i") == [1, *[None] * 7]
    assert any("not read: mood" in note for note in codes.notes)
    assert any("`9` 2 times" in note and "`NA` 2 times" in note for note in codes.notes)
