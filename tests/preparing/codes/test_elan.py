"""How coders write AUs, and what ELAN writes; every expected value is worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.preparing.codes.coded import SOURCES, at, read_codes_events, said, write

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.programs.notation import aus_of_name, parse_aus, who_of_names
from duchenne.preparing.codes.video_codes import read_codes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12C and 6B", [(12, 3), (6, 2)]), ("AU12 C", [(12, 3)]), ("AU 12 (c) + AU6", [(12, 3), (6, None)]),
        ("R12D, 1A/2B", [(12, 4), (1, 1), (2, 2)]), ("12 marked", [(12, 3)]), ("AU12=4", [(12, 4)]),
        ("6B und 12C", [(6, 2), (12, 3)]), ("AU1+2+4", [(1, None), (2, None), (4, None)]), ("12CL", [(12, 3)]),
        ("UA12C", [(12, 3)]), ("he laughs", []), ("AU12?", []), ("1_2", []), ("12 people", []),
    ],
)  # fmt: skip
def test_notation(text: str, expected: list[tuple[int, float | None]]) -> None:
    assert parse_aus(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AU12 Smile", [12]), ("AU12@MK", [12]), ("MK_AU_12", [12]), ("lip corner puller (AU12)", [12]),
        ("12 lip corner puller", [12]), ("L12", [12]), ("AU6+12", [6, 12]), ("AU12_R1", [12]), ("AU12_2", [12]),
        ("Audio 12", []), ("12 people", []), ("smile", []), ("trial", []),
    ],
)  # fmt: skip
def test_names_of_tiers(name: str, expected: list[int]) -> None:
    assert [one.au for one in aus_of_name(name)] == expected


def test_who_a_tier_belongs_to() -> None:
    assert who_of_names(["AU12_R1", "AU12_R2"]) == {"AU12_R1": "R1", "AU12_R2": "R2"}
    assert who_of_names(["AU12@MK", "AU6@BT"]) == {"AU12@MK": "MK", "AU6@BT": "BT"}
    assert who_of_names(["AU12 Smile", "AU6 Cheek", "AU12"]) == dict.fromkeys(["AU12 Smile", "AU6 Cheek", "AU12"], "")
    assert set(who_of_names(["AU12_left", "AU12_right", "L12", "R12"]).values()) == {""}


def line(tier: str, value: str, onset: str = "00:00:00.500", offset: str = "00:00:01.500", who: str = "") -> str:
    return f"{tier}\t{who}\t{onset}\t{offset}\t{value}\n"


@pytest.mark.parametrize(
    ("tier", "value", "expected"),
    [
        ("AU12", "C [a1]", [(12, 3)]), ("FACS", "12D [a2]", [(12, 4)]), ("FACS", "AU12 C", [(12, 3)]),
        ("FACS", "12C and 6B", [(12, 3), (6, 2)]), ("AU12 Smile", "C", [(12, 3)]), ("AU12@MK", "D", [(12, 4)]),
        ("AU12", "AU12C", [(12, 3)]), ("AU12", "c", [(12, 3)]), ("AU12", "slight", [(12, 2)]),
        ("AU12", "", [(12, None)]),
        ("AU12", "smiles broadly", [(12, None)]), ("AU12", "0", [(12, 0)]), ("AU12", "absent", [(12, 0)]),
        ("AU6+12", "", [(6, None), (12, None)]), ("AU12 left", "B", [(12, 2)]), ("notes", "he laughs at 12", []),
        ("Trial", "12", []), ("AU28", "C", [(28, 3)]),
    ],
)  # fmt: skip
def test_elan_annotations(tmp_path: Path, tier: str, value: str, expected: list[tuple[int, float | None]]) -> None:
    text = line(tier, value) + line("AU4", "A", "00:00:02.000", "00:00:02.100")
    got = [(au, intensity) for au, onset, _, intensity in said(write(tmp_path, text)) if onset == 0.5]
    assert got == expected


@pytest.mark.parametrize(
    ("tier", "value"),
    [("AU12", "6"), ("AU12", "F"), ("AU12", "C?"), ("AU12", "C-D"), ("AU12", "6B"), ("notes", "AU12?"),
     ("notes", "no AU12 here"), ("FACS", "12C happily"), ("AU6+12", "C"), ("AU12", "B/C")],
)  # fmt: skip
def test_elan_annotations_that_name_an_au_and_cannot_be_read(tmp_path: Path, tier: str, value: str) -> None:
    path = write(tmp_path, line("FACS", "4B") + line(tier, value))
    with pytest.raises(InputError, match=r"a\.txt, row 2, .*(no intensity|cannot be read|one intensity of)"):
        read_events(path)


def test_a_quote_in_an_annotation_swallows_nothing(tmp_path: Path) -> None:
    text = line("notes", '"ja') + line("AU12", "C") + line("notes", 'he said "no"') + line("AU6", "B")
    assert [(au, intensity) for au, _, _, intensity in said(write(tmp_path, text))] == [(12, 3), (6, 2)]
    comma = 'source,au,onset_s,offset_s,comment\na.mp4,12,0,1,"open\na.mp4,6,0,1,x\n'
    with pytest.raises(InputError, match="a quote is opened in line 3 or before and not closed"):
        read_events(write(tmp_path, comma, "a.csv"))
    closed = comma.replace('"open', '"two\nlines, one comment"')
    assert [au for au, *_ in said(write(tmp_path, closed, "a.csv"))] == [12, 6]


def test_what_could_not_be_coded_is_unknown_and_not_absent(tmp_path: Path) -> None:
    text = line("AU12", "C", "00:00:00.000", "00:00:01.000") + line("AU12", "NA", "00:00:01.000", "00:00:02.000")
    text += line("AU6", "B", "00:00:00.000", "00:00:01.000") + line("FACS", "73", "00:00:02.000", "00:00:03.000")
    codes = read_codes(write(tmp_path, text), SOURCES)
    times = [0.5, 1.5, 2.5, 3.5]
    assert at(codes, "a.mp4", times, "AU12_i") == [3, None, None, 0]
    assert at(codes, "a.mp4", times, "AU06_i") == [2, 0, None, 0]
    assert at(codes, "a.mp4", times, "AU12") == [None, None, None, 0]


@pytest.mark.parametrize(("tier", "value"), [("coded range", "x"), ("Coded_ranges@MK", "1"), ("coded range", "")])
def test_outside_a_tier_of_coded_ranges_nothing_is_known(tmp_path: Path, tier: str, value: str) -> None:
    text = line("AU12@MK", "C", "00:00:01.000", "00:00:02.000", "mother face#1")
    text += line(tier, value, "00:00:00.000", "00:00:03.000")
    codes = read_codes(write(tmp_path, text), SOURCES)
    assert at(codes, "a.mp4", [0.5, 1.5, 2.5, 3.5], "AU12_i", face=1) == [0, 3, 0, "none"]
    assert [one.subject for one in read_events(tmp_path / "a.txt")] == ["mother", ""]


def test_coded_ranges_that_cannot_be_meant_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1, coded range: `12C` names an AU, and these are the ranges that were"):
        read_events(write(tmp_path, line("coded range", "12C")))
    with pytest.raises(InputError, match=r"row 1: what was coded begins and ends at 0\.5 s; give its end\.$"):
        read_events(write(tmp_path, line("coded range", "x", offset="00:00:00.500")))
    other = line("AU12", "C") + line("coded", "1", "00:00:00.000", "00:00:01.000")  # whatever that may be
    assert at(read_codes(write(tmp_path, other), SOURCES), "a.mp4", [1.6], "AU12_i") == [0]


HEADERS = {
    "de": ("Anfangszeit", "Endzeit", "Dauer"), "fr": ("Temps de début", "Temps de fin", "Durée"),
    "es": ("Tiempo de inicio", "Tiempo final", "Duración"), "nl": ("Begintijd", "Eindtijd", "Duur"),
    "ja": ("開始時間", "終了時間", "持続時間"), "ru": ("Начало", "Конец", "Длительность"), "xx": ("P", "Q", "R"),
}  # fmt: skip


@pytest.mark.parametrize("language", HEADERS)
@pytest.mark.parametrize("kind", ["hh:mm:ss.ms", "ss.msec", "msec", "PAL", "NTSC"])
def test_elan_headers_of_any_language_and_format(tmp_path: Path, language: str, kind: str) -> None:
    written = {
        "hh:mm:ss.ms": ("00:01:00.520", "00:01:02.000", "00:00:01.480"), "ss.msec": ("60.52", "62.0", "1.48"),
        "msec": ("60520", "62000", "1480"), "PAL": ("00:01:00:13", "00:01:02:00", "00:00:01:12"),
        "NTSC": ("00:01:00:15", "00:01:02:00", "00:00:01:14"),
    }[kind]  # fmt: skip
    head = "\t".join(f"{name} - {kind}" for name in HEADERS[language])
    path = write(tmp_path, f"{head}\tAU12\tAU6\n" + "\t".join(written) + "\tC [a1]\t\n")
    # NTSC drops two numbers a minute: frame (60 s * 30 + 15 - 2) = 1813, and (62 * 30 - 2) = 1858, at 1001/30000 s
    times = (60.493767, 61.995267) if kind == "NTSC" else (60.52, 62.0)
    assert said(path) == [(12, *times, 3)]


def test_elan_takes_the_most_exact_column_and_end_from_duration(tmp_path: Path) -> None:
    head = "Begin Time - PAL\tBegin Time - msec\tDuration - PAL\tDuration - msec\tAU12\n"
    assert said(write(tmp_path, head + "00:00:00:13\t533\t00:00:01:00\t1010\tB\n")) == [(12, 0.533, 1.543, 2)]


def test_elan_media_lines_and_their_offset(tmp_path: Path) -> None:
    text = '"#file:///C:/my%20rec/b.mp4 -- offset: 1200"\n' + line("AU12", "C")
    notes: list[str] = []
    (event,) = read_events(write(tmp_path, text), notes)
    assert (event.source, event.onset_s, event.offset_s) == ("C:/my rec/b.mp4", 1.7, 2.7)
    assert "1.2 s, the offset of b.mp4" in notes[0]
    head = '"#file:///C:/rec/b.mp4 -- offset: 1200"\nBegin Time - msec\tEnd Time - msec\tAU12\n500\t1500\tC\n'
    assert said(write(tmp_path, head)) == [(12, 1.7, 2.7, 3)]
    second = '"#file:///x/cam1.mp4 -- offset: 0"\n"#file:///x/b.mp4 -- offset: -300"\n' + line("AU12", "C")
    (found,) = read_codes(write(tmp_path, second, "zz.txt"), SOURCES).videos["b.mp4"].faces[None].events
    assert (found.onset_s, found.offset_s) == (pytest.approx(0.2), pytest.approx(1.2))


def test_elan_export_of_several_files(tmp_path: Path) -> None:
    head = "Begin Time - msec\tEnd Time - msec\tAU12\tDatei\tDateipfad\n"
    text = head + "500\t1500\tC\ta.eaf\tC:\\x\\a.eaf\n200\t300\tB\tb.eaf\tC:\\x\\b.eaf\n"
    assert [e.source for e in read_codes_events(write(tmp_path, text, "all.txt"))] == ["a.mp4", "b.mp4"]
    rows = '"#a.eaf"\n' + line("AU12", "C")
    rows += '\n"#b.eaf"\n"#file:///x/cam.mp4 -- offset: 200"\n"#file:///x/b.mp4 -- offset: 0"\n' + line("AU12", "B")
    found = [(e.source, e.onset_s) for e in read_codes_events(write(tmp_path, rows, "all.txt"))]
    assert found == [("a.mp4", 0.5), ("b.mp4", pytest.approx(0.5))]


def test_files_of_two_coders_of_one_video(tmp_path: Path) -> None:
    head = '"#file:///x/a.mp4 -- offset: 0"\n'
    write(tmp_path, head + line("AU12", "C"), "a_MK.txt")
    write(tmp_path, head + line("AU12", "B"), "a_BT.txt")
    with pytest.raises(InputError, match=r"a\.mp4: was coded by a_BT\.txt, a_MK\.txt; choose one with coder"):
        read_codes(tmp_path, SOURCES)
    assert at(read_codes(tmp_path, SOURCES, "a_MK.txt"), "a.mp4", [0.7], "AU12_i") == [3]
    write(tmp_path, head + line("AU6", "B"), "a_BT.txt")  # another AU: a second pass
    codes = read_codes(tmp_path, SOURCES)
    assert (at(codes, "a.mp4", [0.7], "AU12_i"), at(codes, "a.mp4", [0.7], "AU06_i")) == ([3], [2])


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-01T10:00:00+00:00" FORMAT="3.0" VERSION="3.0">
 <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
  <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/rec/wide.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./wide.mp4"/>
  <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/rec/b.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="2000"/>
 </HEADER>
 <TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="t2"/><TIME_SLOT TIME_SLOT_ID="t3"/>
  <TIME_SLOT TIME_SLOT_ID="t4" TIME_VALUE="2000"/>
 </TIME_ORDER>
 <TIER TIER_ID="AU12" PARTICIPANT="%s" LINGUISTIC_TYPE_REF="x">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t4">
   <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
 <TIER TIER_ID="strength" PARENT_REF="AU12" LINGUISTIC_TYPE_REF="x">
  <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>B</ANNOTATION_VALUE>
  </REF_ANNOTATION></ANNOTATION>
  <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a2">
   <ANNOTATION_VALUE>D</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
 </TIER>
 <TIER TIER_ID="AU6" PARTICIPANT="%s" LINGUISTIC_TYPE_REF="x">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
   <ANNOTATION_VALUE>A</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b2" TIME_SLOT_REF1="t2" TIME_SLOT_REF2="t3">
   <ANNOTATION_VALUE>B</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="b3" TIME_SLOT_REF1="t3" TIME_SLOT_REF2="t4">
   <ANNOTATION_VALUE>C</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
</ANNOTATION_DOCUMENT>
"""


def test_eaf(tmp_path: Path) -> None:
    path = write(tmp_path, EAF % ("", ""), "session.eaf")
    assert said(path) == [
        (12, 0.5, 2.0, None), (12, 0.5, 1.25, 2), (12, 1.25, 2.0, 4),  # a subdivision halves its parent
        (6, 0.5, 1.0, 1), (6, 1.0, 1.5, 2), (6, 1.5, 2.0, 3),  # three thirds of 0.5 to 2.0
    ]  # fmt: skip
    codes = read_codes(path, SOURCES)  # b.mp4 began 2 s before what ELAN calls 0
    assert set(codes.videos) == {"b.mp4"}
    assert at(codes, "b.mp4", [2.4, 2.6, 3.3, 4.1], "AU12_i") == [0, 2, 4, 0]


def test_eaf_of_two_people_needs_names(tmp_path: Path) -> None:
    path = write(tmp_path, EAF % ("mother", "infant"), "b.eaf")
    with pytest.raises(InputError, match=r"b\.mp4: has codes of infant, mother; say which face each of them is"):
        read_codes(path, SOURCES)
    names = {("b.mp4", 0): "infant", ("b.mp4", 1): "mother", ("b.mp4", 2): "infant"}
    codes = read_codes(path, SOURCES, names=names)
    assert at(codes, "b.mp4", [2.6], "AU06_i", face=0) == at(codes, "b.mp4", [2.6], "AU06_i", face=2) == [1]
    assert at(codes, "b.mp4", [2.6], "AU06_i", face=1) == [0]
    assert at(codes, "b.mp4", [2.6], "AU12_i", face=1) == [2]


@pytest.mark.parametrize(
    "text",
    [
        "", "<a/>", "<ANNOTATION_DOCUMENT", EAF.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a2"') % ("", ""),
        EAF.replace('"500"', '"soon"') % ("", ""), EAF.replace('REF2="t4"', 'REF2="t9"') % ("", ""),
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">'
        + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)).replace("&a0;", "&a;")
        + "]><ANNOTATION_DOCUMENT>&a11;</ANNOTATION_DOCUMENT>",
    ],
)  # fmt: skip
def test_damaged_eaf_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"a\.eaf"):
        read_events(write(tmp_path, text, "a.eaf"))
