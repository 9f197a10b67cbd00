"""Codes of videos: our own tables and the exports of ELAN, BORIS and The Observer; every mistake is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.data.cells import read_rows
from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.programs.events import Event
from duchenne.preparing.codes.programs.notation import parse_au, parse_time
from duchenne.preparing.codes.video_codes import read_codes

SOURCES = ["a.mp4", "sub/b.mov", "sub/c.avi", "other/c.avi"]
TIMES = [frame / 10 for frame in range(30)]


def write(folder: Path, text: str, name: str = "codes.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def intensities(path: Path, source: str, au: int, face: int | None = None) -> list[float | None]:
    labels = read_codes(path, SOURCES).videos[source].labels(face, range(30), TIMES)
    return [found.get(f"AU{au:02d}_i") for found in labels]


EVENTS = """source,au,onset_s,offset_s,intensity,side,coder
a.mp4,12,0.5,1.5,C,B,ann
a.mp4,AU12,1.0,2.0,4,L,ann
b.mov,6,0,0.1,,,ann
b,none,,,,,ann
"""


def test_events(tmp_path: Path) -> None:
    codes = read_codes(write(tmp_path, EVENTS), SOURCES)
    assert (codes.aus, codes.label_kind) == ((6, 12), "intensity")
    assert set(codes.videos) == {"a.mp4", "sub/b.mov"}
    expected = [0.0] * 5 + [3.0] * 5 + [4.0] * 10 + [0.0] * 10  # the stronger side counts where both are there
    assert intensities(tmp_path / "codes.csv", "a.mp4", 12) == expected
    assert intensities(tmp_path / "codes.csv", "a.mp4", 6) == [0.0] * 30  # looked for everywhere
    found = codes.videos["sub/b.mov"].labels(None, range(30), TIMES)
    assert [labels["AU06"] for labels in found] == [1] + [
        0
    ] * 29  # an intensity was not coded: present, how much unknown
    assert found[0]["AU06_i"] is None


def test_only_coded_stretches_have_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "source,au,onset_s,offset_s\na.mp4,coded,1,2\na.mp4,12,1.5,1.8\n")
    codes = read_codes(path, SOURCES)
    assert codes.label_kind == "occurrence"
    found = [labels.get("AU12") for labels in codes.videos["a.mp4"].labels(None, range(30), TIMES)]
    assert found == [None] * 10 + [0] * 5 + [1] * 3 + [0] * 2 + [None] * 10


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 30000 / 1001, 60])
def test_times_that_a_program_rounded_mean_the_same_frames(tmp_path: Path, rate: float) -> None:
    times = [frame / rate for frame in range(100)]
    for digits in (2, 3, 9):
        onset, offset = round(times[31], digits), round(times[57], digits)
        path = write(tmp_path, f"source,au,onset_s,offset_s\na.mp4,12,{onset},{offset}\n")
        labels = read_codes(path, SOURCES).videos["a.mp4"].labels(None, range(100), times)
        assert [frame for frame, found in enumerate(labels) if found["AU12"]] == list(range(31, 57))


@pytest.mark.parametrize(("onset", "offset", "frame"), [(1.501, 1.509, 15), (1.53, 1.55, 15), (0.0, 0.001, 0)])
def test_an_event_shorter_than_a_frame_holds_for_one(tmp_path: Path, onset: float, offset: float, frame: int) -> None:
    """It held for none, so that the AU was absent in all."""
    path = write(tmp_path, f"source,au,onset_s,offset_s\na.mp4,12,{onset},{offset}\n")
    found = [labels["AU12"] for labels in read_codes(path, SOURCES).videos["a.mp4"].labels(None, range(30), TIMES)]
    assert found == [int(number == frame) for number in range(30)]


def test_an_event_between_frames_that_were_looked_at_holds_for_none() -> None:
    for spacing_s, onset_s, offset_s in ((1.0, 0.1, 0.9), (1.0, 0.5, 0.99), (10.0, 6.0, 9.0), (0.1, 0.06, 0.09)):
        assert not Event("a", 12, onset_s, offset_s).holds(np.arange(4) * spacing_s, spacing_s).any()


@given(st.floats(0, 2.9), st.floats(1e-4, 0.5))
def test_every_event_inside_a_recording_holds_for_a_frame(onset_s: float, length_s: float) -> None:
    times_s = np.arange(75) / 25
    offset_s = min(onset_s + length_s, 3.0)
    held = np.flatnonzero(Event("a", 12, onset_s, offset_s).holds(times_s, 0.04))
    middles = times_s + 0.02
    inside = np.flatnonzero((middles >= onset_s) & (middles < offset_s))
    assert held.tolist() == (inside.tolist() or [int(np.abs(middles - (onset_s + offset_s) / 2).argmin())])


@pytest.mark.parametrize("text", [";;;\n;;;\n", "\n \n", '"' + "x" * 200_000 + '",frame,AU12\n'])
def test_tables_that_hold_nothing_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    for read in (read_events, read_rows, lambda path: read_codes(path, SOURCES)):
        with pytest.raises(InputError, match=r"codes\.csv: is (empty|not a text table)"):
            read(path)


@pytest.mark.parametrize("number", ["inf", "nan", "1e999"])
def test_numbers_that_are_not_finite(tmp_path: Path, number: str) -> None:
    with pytest.raises(InputError, match=r"row 2, frame: .* out of range"):
        read_codes(write(tmp_path, f"source,frame,AU12\na.mp4,{number},1\n"), SOURCES)
    with pytest.raises(InputError, match=r"row 2, onset_s: .* is not a time"):
        read_codes(write(tmp_path, f"source,au,onset_s,offset_s\na.mp4,12,{number},1\n"), SOURCES)


def test_the_header_of_events_may_be_in_capitals(tmp_path: Path) -> None:
    path = write(tmp_path, "Source,AU,Onset_s,Offset_s,Intensity\na.mp4,12,0.5,1.5,C\n")
    assert read_codes(path, SOURCES).videos["a.mp4"].faces[None].events[0].intensity == 3


def test_files_that_a_mac_leaves_beside_its_own_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, OWN)
    (tmp_path / "._codes.csv").write_bytes(b"\0\5\x16\7")
    assert set(read_codes(tmp_path, SOURCES).videos) == {"a.mp4"}


def test_elan_without_annotations_or_end_times(tmp_path: Path) -> None:
    path = write(tmp_path, "AU12\t\t00:00:00.500\t00:00:01.500\nAU6\t\t00:00:01.000\t00:00:01.050\n", "a.txt")
    assert [(event.au, event.onset_s, event.intensity) for event in read_events(path)] == [
        (12, 0.5, None),
        (6, 1, None),
    ]
    path = write(tmp_path, "Begin Time - ss.msec\tAU12\n0.5\tC\n", "a.txt")
    with pytest.raises(InputError, match=r"a\.txt: has no column `End Time`"):
        read_events(path)


def test_events_of_several_faces(tmp_path: Path) -> None:
    path = write(tmp_path, "source,face,au,onset_s,offset_s\na.mp4,0,12,0,1\na.mp4,1,4,0,1\n")
    faces = read_codes(path, SOURCES).videos["a.mp4"].faces
    assert set(faces) == {0, 1}


def test_several_coders_need_a_choice(tmp_path: Path) -> None:
    path = write(tmp_path, "source,au,onset_s,offset_s,coder\na.mp4,12,0,1,ann\na.mp4,12,0,2,ben\nb.mov,4,0,1,ben\n")
    with pytest.raises(InputError, match=r"a\.mp4: was coded by ann, ben; choose one with coder"):
        read_codes(path, SOURCES)
    codes = read_codes(path, SOURCES, coder="ann")
    assert [len(codes.videos[source].faces[None].events) for source in ("a.mp4", "sub/b.mov")] == [1, 1]


CODERS = "source,au,onset_s,offset_s,intensity,coder\n"


def test_what_only_the_other_coder_looked_for_is_unknown(tmp_path: Path) -> None:
    shared_out = "a.mp4,12,0.5,1.5,,ann\na.mp4,6,0.2,2,C,ben\n"
    path = write(tmp_path, CODERS + shared_out)
    for coder, own, other in (("ann", 12, 6), ("ben", 6, 12)):
        codes = read_codes(path, SOURCES, coder=coder)
        assert codes.aus == (own,)
        assert codes.label_kind == ("occurrence" if coder == "ann" else "intensity")  # ann coded no intensity
        assert f"AU {other} left out: only coders who were not chosen used it" in " ".join(codes.notes)
        labels = codes.videos["a.mp4"].labels(None, range(30), TIMES)
        assert all(f"AU{other:02d}" not in found for found in labels)
    path = write(tmp_path, CODERS + "a.mp4,none,,,,ann\na.mp4,6,0.2,2,C,ben\n")
    with pytest.raises(InputError, match="ann used no AU of those that are known; choose another coder"):
        read_codes(path, SOURCES, coder="ann")


def test_coders_of_different_videos_looked_for_what_they_used(tmp_path: Path) -> None:
    events = "a.mp4,12,0,1,,ann\na.mp4,6,0,1,,ann\nb.mov,12,0,1,,ben\nsub/c.avi,12,0,1,,ann\n"
    path = write(tmp_path, CODERS + events)
    codes = read_codes(path, SOURCES)
    assert codes.aus == (6, 12)
    said = {
        source: [video.labels(None, range(30), TIMES)[20].get(column, "none") for column in ("AU06", "AU12")]
        for source, video in codes.videos.items()
    }
    assert said == {"a.mp4": [0, 0], "sub/b.mov": ["none", 0], "sub/c.avi": [0, 0]}
    assert any("AU 6 in 1 (first: sub/b.mov)" in note for note in codes.notes)
    unnamed = write(tmp_path, CODERS + events.replace(",ann", ",").replace(",ben", ","))
    codes = read_codes(unnamed, SOURCES)
    assert codes.notes == []
    assert codes.videos["sub/b.mov"].labels(None, range(30), TIMES)[20]["AU06"] == 0


@pytest.mark.parametrize("coder", ["mk", None])
def test_a_video_without_anything_in_nobodys_name_was_coded(tmp_path: Path, coder: str | None) -> None:
    path = write(tmp_path, CODERS + "a.mp4,12,0,1,,mk\na.mp4,6,0,1,,mk\nb.mov,none,,,,\n")
    codes = read_codes(path, SOURCES, coder=coder)
    (found,) = codes.videos["sub/b.mov"].labels(None, [5], [0.5])
    assert (found["AU06"], found["AU12"]) == (0, 0)
    assert codes.notes == []


def test_rows_of_one_coder_leave_the_events_of_another_alone(tmp_path: Path) -> None:
    write(tmp_path, "source,frame,AU04,AU12,coder\na.mp4,0,1,,ann\na.mp4,1,0,,ann\n", "rows.csv")
    write(tmp_path, CODERS + "b.mov,12,0,1,,ben\nsub/c.avi,12,0,1,,ann\n", "events.csv")
    codes = read_codes(tmp_path, SOURCES)
    assert codes.aus == (4, 12)
    last = {source: video.labels(None, [29], [2.9])[0] for source, video in codes.videos.items() if source != "a.mp4"}
    assert last["sub/b.mov"] == {"AU12": 0, "AU12_i": 0}
    assert last["sub/c.avi"] == {"AU04": 0, "AU04_i": 0, "AU12": 0, "AU12_i": 0}


def test_rows_per_frame(tmp_path: Path) -> None:
    path = write(tmp_path, "source;frame;AU1;AU12_i\na.mp4;0;1;B\na.mp4;2;0;2,5\na.mp4;3;;\n")
    codes = read_codes(path, SOURCES)
    assert (codes.aus, codes.label_kind) == ((1, 12), "intensity")
    found = codes.videos["a.mp4"].labels(None, range(5), TIMES[:5])
    assert found == [
        {"AU01": 1, "AU12_i": 2.0}, {}, {"AU01": 0, "AU12_i": 2.5}, {"AU01": None, "AU12_i": None}, {},
    ]  # fmt: skip


def test_rows_per_time_belong_to_the_nearest_frame(tmp_path: Path) -> None:
    rows = "\n".join(f"{k / 10 + 0.004:.3f}\t{k % 2}" for k in range(10))
    path = write(tmp_path, f"time_s\tAU04\n{rows}\n", "a.txt")  # the file is named like its video
    found = read_codes(path, SOURCES).videos["a.mp4"].labels(None, range(30), TIMES)
    assert [labels.get("AU04") for labels in found] == [0, 1] * 5 + [None] * 20


@pytest.mark.parametrize("rate", [25, 30000 / 1001, 50, 60, 240])
@pytest.mark.parametrize("late", [0.0, 0.3, 0.5])
def test_rows_per_time_label_no_neighbour(tmp_path: Path, rate: float, late: float) -> None:
    """Rows of some frames, written at their start, a little later or at their middle; the others stay unknown."""
    coded = [0, 1, 2, 3, 14, 15, 16, 40]
    rows = "".join(f"a.mp4,{(frame + late) / rate:.6f},{frame % 2}\n" for frame in coded)
    path = write(tmp_path, "source,time_s,AU04\n" + rows)
    found = read_codes(path, SOURCES).videos["a.mp4"].labels(None, range(60), [frame / rate for frame in range(60)])
    assert {frame: labels["AU04"] for frame, labels in enumerate(found) if labels} == {
        frame: frame % 2 for frame in coded
    }


def test_of_several_rows_of_a_frame_the_nearest_counts(tmp_path: Path) -> None:
    rows = "a.mp4,0.95,0\na.mp4,0.99,1\na.mp4,1.03,0\na.mp4,1.31,1\n"  # 1.31 is nobody's
    path = write(tmp_path, "source,time_s,AU04\n" + rows)
    video = read_codes(path, SOURCES).videos["a.mp4"]
    assert video.labels(None, [0, 1], [1.0, 2.0]) == [{"AU04": 1}, {}]
    assert video.labels(None, [1, 0], [2.0, 1.0]) == [{}, {"AU04": 1}]
    assert video.labels(None, [], []) == []


BORIS_AGGREGATED = (
    "Observation id\tObservation date\tDescription\tMedia file name\tSubject\tBehavior\tBehavioral category\t"
    "Modifier #1\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\n"
    "one\t2024-05-01\t\tvideos/a.mp4\tNo focal subject\tAU12\tmouth\tC\tSTATE\t0.500\t1.500\t1.000\n"
    "one\t2024-05-01\t\tvideos/a.mp4\tNo focal subject\tAU6\teyes\tB\tPOINT\t1.000\t1.000\tNA\n"
    "one\t2024-05-01\t\tvideos/a.mp4\tNo focal subject\tspeaks\tother\t\tSTATE\t0.000\t3.000\t3.000\n"
)
BORIS_TABULAR = (
    "Observation id,one\nMedia file(s)\n\nTime,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,"
    "Modifiers,Comment,Status\n"
    "0.5,C:\\study\\a.mp4,3,10,,AU12,mouth,C,,START\n1.0,C:\\study\\a.mp4,3,10,,AU6,eyes,B,,POINT\n"
    "1.5,C:\\study\\a.mp4,3,10,,AU12,mouth,C,,STOP\n"
)
OBSERVER = (
    '"Date_Time_Absolute_dmy_hmsf";"Time_Relative_sf";"Duration_sf";"Observation";"Behavior";"Modifier_1";"Event_Type"\n'
    '"01-05-2024 10:00:00.500";"0,5";"1";"a";"AU12";"C";"State start"\n'
    '"01-05-2024 10:00:01.000";"1";"0";"a";"AU6";"B";"Point"\n'
    '"01-05-2024 10:00:01.500";"1,5";"0";"a";"AU12";"C";"State stop"\n'
)
ELAN_COLUMNS = (
    "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\tAU12\tAU6\n"
    "00:00:00.500\t0.5\t00:00:01.500\t1.5\tC\t\n00:00:01.000\t1.0\t00:00:01.050\t1.05\t\tB\n"
)
ELAN_TIERS = (
    "AU12\t\t00:00:00.500\t0.5\t00:00:01.500\t1.5\t00:00:01.000\t1.0\tC\n"
    "upper face\tPeter\t00:00:01.000\t1.0\t00:00:01.050\t1.05\t00:00:00.050\t0.05\t6B+L12A\n"
    "notes\tPeter\t00:00:01.000\t1.0\t00:00:02.000\t2.0\t00:00:01.000\t1.0\the laughs\n"
)
ELAN_MILLISECONDS = "AU12\t\t500\t1500\tC\nAU6\t\t1000\t1050\tB\n"
OWN = "source,au,onset_s,offset_s\na.mp4,12C,0.5,1.5\na.mp4,6B,0:01,0:01.05\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text", [OWN, BORIS_AGGREGATED, BORIS_TABULAR, OBSERVER, ELAN_COLUMNS, ELAN_TIERS, ELAN_MILLISECONDS]
)
def test_exports_say_the_same(tmp_path: Path, text: str, encoding: str) -> None:
    path = write(tmp_path, text, "a.txt", encoding)
    assert intensities(path, "a.mp4", 12) == [0.0] * 5 + [3.0] * 10 + [0.0] * 15
    assert intensities(path, "a.mp4", 6) == [0.0] * 10 + [2.0] + [0.0] * 19


def test_a_folder_of_exports(tmp_path: Path) -> None:
    write(tmp_path, ELAN_COLUMNS, "a.txt")
    write(tmp_path, ELAN_TIERS, "b.txt")
    assert set(read_codes(tmp_path, SOURCES).videos) == {"a.mp4", "sub/b.mov"}


def test_unknown_aus_are_named_and_left_out(tmp_path: Path) -> None:
    codes = read_codes(write(tmp_path, "source,au,onset_s,offset_s\na.mp4,12,0,1\na.mp4,28,0,1\n"), SOURCES)
    assert codes.aus == (12,)
    assert len(codes.notes) == 1
    assert "AU 28 left out" in codes.notes[0]


BAD = {
    "source,onset_s,offset_s\na.mp4,0,1\n": "is neither rows per frame .* nor an export",
    "source,au,onset_s,offset_s\na.mp4,12,0,1\nx.mp4,12,0,1\n": "row 3: no video or several are meant by `x.mp4`",
    "source,au,onset_s,offset_s\nc.avi,12,0,1\n": "row 2: no video or several are meant by `c.avi`",
    "source,au,onset_s,offset_s\na.mp4,12,2,1\n": "row 2, au: the offset 1 s lies before the onset 2 s",
    "source,au,onset_s,offset_s\na.mp4,smile,0,1\n": "row 2, au: `smile` is not an AU",
    "source,au,onset_s,offset_s\na.mp4,12,soon,1\n": "row 2, onset_s: `soon` is not a time",
    "source,au,onset_s,offset_s,intensity\na.mp4,12,0,1,6\n": r"row 2, intensity: 6 is out of range \(0 to 5\)",
    "source,au,onset_s,offset_s,intensity\na.mp4,12C,0,1,B\n": "row 2, intensity: 12C says another intensity",
    "source,au,onset_s,offset_s\n": "has a header but no rows",
    "source,au,onset_s,offset_s\na.mp4,28,0,1\n": "holds no AU of those that are known",
    "source,frame,AU12\na.mp4,0,2\n": "row 2, AU12: `2` is not 0 or 1",
    "source,frame,AU12_i\na.mp4,0,5.5\n": r"row 2, AU12_i: 5.5 is out of range \(0 to 5\)",
    "source,frame,AU12\na.mp4,0,1\na.mp4,0,0\n": r"row 3, frame: a\.mp4 at 0 is coded twice",
    "source,frame,AU12\na.mp4,1.5,1\n": "row 2, frame: 1.5 is not a whole number",
    "source,frame,AU12\na.mp4,-1,1\n": r"row 2, frame: -1 is out of range \(0 or more\)",
    "source,frame,AU12\na.mp4,,1\n": "row 2, frame: is empty",
    "source,frame,AU12\na.mp4,9007199254740993,1\n": "row 2, frame: 9007199254740993 is not a whole number up to",
    "source,AU12\na.mp4,1\n": "has neither a column `frame`",
    "": "is empty",
    BORIS_TABULAR.replace("STOP", "START"): "AU12 starts again before it stopped",
    BORIS_TABULAR.replace(",START", ",STOP", 1): "AU12 stops without having started",
    OBSERVER.rsplit('"01-05', 1)[0]: "AU12 starts and never stops",
}


@pytest.mark.parametrize("text", BAD)
def test_mistakes_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text, "a.csv")
    with pytest.raises(InputError, match=BAD[text]) as caught:
        read_codes(path, SOURCES)
    assert str(caught.value).count("\n") == 0
    assert "a.csv" in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
        read_codes(tmp_path / "gone.csv", SOURCES)
    (tmp_path / "codes.xlsx").write_bytes(b"PK\3\4\0\0\0\0")
    with pytest.raises(InputError, match=r"codes\.xlsx: cannot be read as a spreadsheet .*; save it as CSV"):
        read_codes(tmp_path / "codes.xlsx", SOURCES)


@given(
    st.integers(1, 99),
    st.sampled_from([None, *"ABCDE"]),
    st.sampled_from(["{}{}", "AU{}{}", "au {}{}", "L{}{}", "AU{}{} left", "R12".replace("12", "{}{}")]),
)
def test_aus_are_read_as_coders_write_them(number: int, letter: str | None, form: str) -> None:
    expected = (number, None if letter is None else float("ABCDE".index(letter) + 1))
    assert parse_au(form.format(number, letter or "")) == expected


def test_times() -> None:
    texts = ["12.5", "12,5", "0:12.5", "00:00:12.500", "1:00:12,5"]
    assert [parse_time(text) for text in texts] == [12.5, 12.5, 12.5, 12.5, 3612.5]
    assert parse_time("now") is None


def test_event_layouts_are_told_apart_by_their_header(tmp_path: Path) -> None:
    (event, *_) = read_events(write(tmp_path, BORIS_AGGREGATED))
    assert (event.source, event.au, event.onset_s, event.offset_s, event.intensity) == ("videos/a.mp4", 12, 0.5, 1.5, 3)
