"""The file of codes: what is there stays, what is changed is stored whole, and `prepare` and `agree` read it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.reviewing.codes import Code, CodesFile, Conflict, Entry, read_entries
from duchenne.reviewing.exchange import EXPORTS, export, imported

SOURCES = ["a/one.mp4", "two.mp4"]


def au(number: int, onset_s: float, offset_s: float, **more: object) -> Code:
    return Code(kind="au", au=number, onset_s=onset_s, offset_s=offset_s, **more)  # type: ignore[arg-type]


def test_what_is_written_is_read_by_the_other_commands(tmp_path: Path) -> None:
    codes = CodesFile(tmp_path / "codes.csv", SOURCES)
    assert codes.of("two.mp4", "mk")[0] == []
    stored = [
        au(12, 0.4, 1.2, intensity="C", side="L", certainty="uncertain", face=0, comment="faint"),
        au(6, 2, 2.04, face=1),
        Code(kind="coded", onset_s=0, offset_s=5, face=0), Code(kind="unknown", onset_s=3, offset_s=3.5, face=0),
    ]  # fmt: skip
    mark = codes.replace("two.mp4", "mk", stored, codes.of("two.mp4", "mk")[1])
    codes.replace("a/one.mp4", "mk", [Code(kind="none")], codes.of("a/one.mp4", "mk")[1])
    found, again = codes.of("two.mp4", "mk")
    assert (set(found), again) == (set(stored), mark)
    fresh = CodesFile(tmp_path / "codes.csv", SOURCES)
    assert fresh.entries() == codes.entries()  # what is kept in memory is what stands in the file
    assert fresh.of("two.mp4", "mk") == (found, mark)
    events = read_events(tmp_path / "codes.csv")
    assert {(e.source, e.au, e.onset_s, e.offset_s, e.intensity, e.face, e.coder, e.kind) for e in events} == {
        ("two.mp4", 12, 0.4, 1.2, 3.0, 0, "mk", "au"), ("two.mp4", 6, 2.0, 2.04, None, 1, "mk", "au"),
        ("two.mp4", None, 0.0, 5.0, None, 0, "mk", "coded"), ("two.mp4", None, 3.0, 3.5, None, 0, "mk", "unknown"),
        ("a/one.mp4", None, 0.0, 0.0, None, None, "mk", "none"),
    }  # fmt: skip
    read = read_codes(tmp_path / "codes.csv", SOURCES)
    times = [0.0, 0.4, 1.16, 1.2, 3.04, 4.96, 5.0]
    labels = read.videos["two.mp4"].labels(0, range(7), times)
    assert [one.get("AU12_i") for one in labels] == [0.0, 3.0, 3.0, 0.0, None, 0.0, None]
    assert "AU12_i" not in labels[6]


def test_rows_of_others_and_unknown_columns_stay(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(
        "source;au;onset_s;offset_s;coder;mood\none;L12C+6;0:01,5;2,5;anna;happy\nelse.mp4;18;1;2;anna;\ntwo.mp4;70;1;2;ben;\n",
        encoding="cp1252",
    )
    codes = CodesFile(path, SOURCES)
    found, mark = codes.of("a/one.mp4", "anna")
    happy = (("mood", "happy"),)
    assert found == [au(12, 1.5, 2.5, intensity="C", side="L", others=happy), au(6, 1.5, 2.5, side="L", others=happy)]
    before = path.read_bytes()
    mark = codes.replace("a/one.mp4", "anna", [replace(found[0], offset_s=2.75, intensity="D")], mark)
    assert (tmp_path / "duchenne_review" / "codes_before_review.csv").read_bytes() == before
    assert codes.entries() == CodesFile(path, SOURCES).entries()
    assert "a/one.mp4,12,1.5,2.75,D,L,,,anna,,happy" in path.read_text()
    codes.replace("a/one.mp4", "anna", found[:1], mark)
    assert (tmp_path / "duchenne_review" / "codes_before_review.csv").read_bytes() == before
    text = path.read_text()
    assert text.splitlines()[0] == "source,au,onset_s,offset_s,intensity,side,certainty,face,coder,comment,mood"
    assert "a/one.mp4,12,1.5,2.5,C,L,,,anna,,happy" in text
    assert "else.mp4,18,1,2,,,,,anna,," in text
    assert "two.mp4,70,1,2,,,,,ben,," in text
    assert len(text.splitlines()) == 4


def test_nothing_is_written_over_what_changed_elsewhere(tmp_path: Path) -> None:
    codes = CodesFile(tmp_path / "codes.csv", SOURCES)
    _, mark = codes.of("two.mp4", "mk")
    codes.replace("two.mp4", "mk", [au(4, 1, 2)], mark)
    before = (tmp_path / "codes.csv").read_bytes()
    with pytest.raises(Conflict, match="changed elsewhere"):
        codes.replace("two.mp4", "mk", [au(6, 1, 2)], mark)
    assert (tmp_path / "codes.csv").read_bytes() == before
    _, mark = codes.of("two.mp4", "mk")
    text = before.decode().replace(",4,", ",9,")
    (tmp_path / "codes.csv").write_text(text)  # in a spreadsheet, of the same length
    os.utime(tmp_path / "codes.csv", ns=(1, 1))
    with pytest.raises(Conflict):
        codes.replace("two.mp4", "mk", [], mark)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,frame,AU12\none.mp4,0,1\n", "holds no events"),
        ("source,au,onset_s,offset_s\ntwo.mp4,smile,1,2\n", "row 2"),
        ("source,au,onset_s,offset_s\ntwo.mp4,12,3,2\n", "before the onset"),
        ("source,au,onset_s,offset_s\ntwo.mp4,coded,2,2\n", "row 2: what was coded begins and ends at 2 s; give its"),
        ("Tier,Begin Time - ss.msec,End Time - ss.msec,Annotation\nAU12,1,2,C\n", "holds no events"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_left_alone(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_entries(path, SOURCES)
    assert path.read_text() == text


def test_a_file_without_rows_has_no_codes(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("source,au,onset_s,offset_s\n")
    assert read_entries(tmp_path / "codes.csv", SOURCES) == []


TIMES = {"two.mp4": np.arange(100) / 25, "a/one.mp4": np.arange(50) / 25}
ENTRIES = [
    Entry("two.mp4", "anna", au(12, 0.4, 1.2, intensity="C", face=0)),
    Entry("two.mp4", "anna", au(6, 0.4, 2.0, face=0)),
    Entry("a/one.mp4", "anna", au(12, 0.0, 0.04, intensity="E", face=0)),
    Entry("two.mp4", "anna", Code(kind="coded", onset_s=0.0, offset_s=3.0, face=0)),
]  # fmt: skip


@pytest.mark.parametrize("form", EXPORTS)
def test_what_goes_out_comes_in_again(form: str) -> None:
    text = export(form, ENTRIES, TIMES.__getitem__)
    found, notes = imported(EXPORTS[form][0], text.encode(), SOURCES, "anna", TIMES.__getitem__)
    said = {
        (e.source, e.coder, e.code.au, round(e.code.onset_s, 6), round(e.code.offset_s, 6), e.code.intensity)
        for e in found
        if e.code.kind == "au"
    }
    assert said == {
        ("two.mp4", "anna", 12, 0.4, 1.2, "C"), ("two.mp4", "anna", 6, 0.4, 2.0, ""),
        ("a/one.mp4", "anna", 12, 0.0, 0.04, "E"),
    }  # fmt: skip
    assert notes == []


def test_rows_per_frame_are_what_prepare_makes_of_the_codes(tmp_path: Path) -> None:
    for form in ("events", "frames"):
        (tmp_path / f"{form}.csv").write_text(export(form, ENTRIES, TIMES.__getitem__))
    events, frames = (read_codes(tmp_path / f"{form}.csv", SOURCES) for form in ("events", "frames"))
    for source, times in TIMES.items():
        mine = events.videos[source].labels(0, range(len(times)), times.tolist())
        other = frames.videos[source].labels(0, range(len(times)), times.tolist())
        known = [[(one.get(f"AU{au:02d}"), one.get(f"AU{au:02d}_i")) for au in (6, 12)] for one in mine]
        assert [[(one.get(f"AU{au:02d}"), one.get(f"AU{au:02d}_i")) for au in (6, 12)] for one in other] == known


def test_stretches_that_could_not_be_judged_are_not_absent(tmp_path: Path) -> None:
    data = b"source\tau\tonset_s\toffset_s\ntwo.mp4\t73\t1\t2\ntwo.mp4\t12\t2.5\t3\n"
    found, _ = imported("x.tsv", data, SOURCES, "mk", TIMES.__getitem__)
    kinds = [(one.code.kind, one.code.onset_s) for one in found]
    assert ("unknown", 1.0) in kinds
    assert kinds.count(("au", 2.5)) == 1


def test_a_file_about_other_recordings_is_refused() -> None:
    with pytest.raises(InputError, match="none of the recordings"):
        imported("x.csv", b"source,au,onset_s,offset_s\nother.mp4,12,1,2\n", SOURCES, "mk", TIMES.__getitem__)


def test_unknown_cells_are_not_absent() -> None:
    rows = [
        "source,frame,AU12,AU06_i",
        *(f"two.mp4,{n},{'NA' if 4 <= n < 8 else int(n < 2)},{'C' if n < 6 else 0}" for n in range(12)),
    ]
    found, notes = imported("x.csv", "\n".join(rows).encode(), SOURCES, "mk", TIMES.__getitem__)
    said = [(one.code.kind, one.code.au, round(25 * one.code.onset_s), round(25 * one.code.offset_s)) for one in found]
    assert said == [("coded", None, 0, 4), ("coded", None, 8, 12), ("au", 6, 0, 4), ("au", 12, 0, 2)]
    assert "4 frames in which some action unit is unknown" in notes[0]


def test_frames_beyond_the_recording_are_an_error() -> None:
    with pytest.raises(InputError, match="has 100 frames"):
        imported("x.csv", b"source,frame,AU12\ntwo.mp4,100,1\n", SOURCES, "mk", TIMES.__getitem__)


def test_whose_codes_they_are_is_kept(tmp_path: Path) -> None:
    text = "source,au,onset_s,offset_s,subject\ntwo.mp4,12,1,2,MK\ntwo.mp4,12,1,2,AB\n"
    found, _ = imported("x.csv", text.encode(), SOURCES, "c", TIMES.__getitem__)
    codes = CodesFile(tmp_path / "codes.csv", SOURCES)
    assert codes.add(found) == 2
    assert codes.add(found) == 0
    assert sorted(event.subject for event in read_events(tmp_path / "codes.csv")) == ["AB", "MK"]
    with pytest.raises(InputError, match="say which face"):
        read_codes(tmp_path / "codes.csv", SOURCES)
