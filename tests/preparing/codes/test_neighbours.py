"""What lies beside the plain case in codes of every program: sides, words, people, languages; values by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.preparing.codes.coded import SOURCES, at, said, write
from tests.preparing.codes.test_boris import AGGREGATED, boris, project
from tests.preparing.codes.test_programs import OBSERVER

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.preparing.datasets.videos import plan_videos

ELAN = "Tier\tBegin Time - msec\tEnd Time - msec\tAnnotation\n"


def elan(*rows: tuple[str, str], header: str = ELAN) -> str:
    return header + "".join(f"{tier}\t1000\t2000\t{value}\n" for tier, value in rows)


@pytest.mark.parametrize(("value", "intensity"), [("C left", 3), ("left C", 3), ("CL", 3), ("LC", 3), ("R", None)])
def test_a_side_beside_an_intensity_does_not_hide_it(tmp_path: Path, value: str, intensity: float | None) -> None:
    assert said(write(tmp_path, elan(("AU12", value)))) == [(12, 1, 2, intensity)]


@pytest.mark.parametrize("value", ["CD", "Cc", "III", "not him", "vielleicht", "C+", "B-C"])
def test_a_tier_of_an_au_refuses_what_is_neither_intensity_nor_word(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"row 2, AU12: .* is no intensity"):
        read_events(write(tmp_path, elan(("AU12", value))))


@pytest.mark.parametrize("value", ["12?", "12Cc", "M12C", "12.C"])
def test_a_tier_of_codes_refuses_what_seems_to_be_one(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=r"row 3, FACS: .* cannot be read"):
        read_events(write(tmp_path, elan(("FACS", "4B"), ("FACS", value))))


def test_other_descriptors_are_named_and_hide_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, elan(("FACS", "12C+M57"), ("FACS", "AD19+6B"), ("FACS", "in 3 days")))
    assert said(path) == [(12, 1, 2, 3), (57, 1, 2, None), (19, 1, 2, None), (6, 1, 2, 2)]
    notes = read_codes(write(tmp_path, path.read_text(), "a.txt"), SOURCES).notes
    assert any("AU 19, 57 left out" in note for note in notes)


@pytest.mark.parametrize("where", ["Visibility:face not visible", "not visible:", "Gesicht:verdeckt", "notes:no face"])
def test_a_face_that_is_not_visible_is_unknown_whatever_the_tier(tmp_path: Path, where: str) -> None:
    tier, _, value = where.partition(":")
    text = ELAN + f"AU12\t0\t1000\tC\n{tier}\t1000\t2000\t{value}\nhands\t2000\t3000\tnot visible\n"
    codes = read_codes(write(tmp_path, text), SOURCES)
    assert at(codes, "a.mp4", [0.5, 1.5, 2.5], "AU12_i") == [3, None, 0]
    assert codes.aus == (12,)


def test_parts_that_are_not_visible_leave_the_others_coded(tmp_path: Path) -> None:
    text = ELAN + "AU12\t0\t500\tC\nAU4\t0\t500\tB\nnotes\t1000\t2000\tmouth covered\n"
    codes = read_codes(write(tmp_path, text), SOURCES)
    assert at(codes, "a.mp4", [1.5, 2.5], "AU12_i") == [None, 0]
    assert at(codes, "a.mp4", [1.5, 2.5], "AU04_i") == [0, 0]
    assert codes.aus == (4, 12)  # what could not be seen was not coded for that


@pytest.mark.parametrize("tiers", [("Mutter", "Kind"), ("FACS_MK", "FACS_BT"), ("Coder 1", "Coder 2")])
def test_tiers_of_codes_of_two_people_are_not_merged(tmp_path: Path, tiers: tuple[str, str]) -> None:
    path = write(tmp_path, elan((tiers[0], "12C"), (tiers[1], "12A+6B")))
    with pytest.raises(InputError, match=r"was coded by .*; choose one with coder"):
        read_codes(path, SOURCES)
    name = tiers[1].removeprefix("FACS_")
    assert at(read_codes(path, SOURCES, name), "a.mp4", [1.5], "AU12_i") == [1]


def test_tiers_of_two_people_belong_to_their_faces(tmp_path: Path) -> None:
    path = write(tmp_path, elan(("Mutter", "12C"), ("Kind", "12A")))
    codes = read_codes(path, SOURCES, names={("a.mp4", 0): "Kind", ("a.mp4", 1): "Mutter"})
    assert [at(codes, "a.mp4", [1.5], "AU12_i", face=face) for face in (0, 1)] == [[1], [3]]


@pytest.mark.parametrize("tiers", [("FACS upper", "FACS lower"), ("left", "right"), ("links", "rechts")])
def test_tiers_of_parts_and_sides_belong_together(tmp_path: Path, tiers: tuple[str, str]) -> None:
    codes = read_codes(write(tmp_path, elan((tiers[0], "12C"), (tiers[1], "12A"))), SOURCES)
    assert at(codes, "a.mp4", [1.5], "AU12_i") == [3]


@pytest.mark.parametrize(
    ("header", "row", "subject"),
    [
        ("Ebene\tTeilnehmer\tAnfangszeit - msec\tEndzeit - msec\tDauer - msec\tAnnotation",
         "AU12\tVP\t1480\t2000\t520\tC", "VP"),
        ("Ligne\tParticipant\tTemps de début - ss.msec\tTemps de fin - ss.msec\tAnnotation",
         "AU12\tVP\t1.48\t2.0\tC", "VP"),
        ("Type\tBegin Time - ss.msec\tEnd Time - ss.msec\tlabel\tpath", "AU12\t1,48\t2,0\tC\tC:/rec/a.eaf", ""),
        ("Begin Time - msec\tEnd Time - msec\tAU12\tDatei", "1480\t2000\tC\ta.eaf", ""),
        ("Datei\tAnfangszeit - msec\tEndzeit - msec\tAU12", "a.eaf\t1480\t2000\tC", ""),
    ],
)  # fmt: skip
def test_elan_columns_are_known_by_their_place(tmp_path: Path, header: str, row: str, subject: str) -> None:
    path = write(tmp_path, f"{header}\n{row}\n")
    assert said(path) == [(12, 1.48, 2, 3)]
    assert [event.subject for event in read_events(path)] == [subject]


@pytest.mark.parametrize(
    ("modifier", "intensity"), [("12C", 3), ("C left", 3), ("Level 3", 3), ("with a smile", None), ("NA", None)]
)
def test_modifiers_hold_the_intensity_in_many_ways(tmp_path: Path, modifier: str, intensity: float | None) -> None:
    assert said(write(tmp_path, AGGREGATED.format(variable="") + boris(("AU12", 1, 2, modifier)))) == [
        (12, 1, 2, intensity)
    ]


@pytest.mark.parametrize("modifier", ["2-3", "B/C", "C+", "C-", "III", "6B"])
def test_modifiers_that_seem_to_be_an_intensity_are_refused(tmp_path: Path, modifier: str) -> None:
    with pytest.raises(InputError, match=r"row 2, Modifier: .* is no intensity"):
        read_events(write(tmp_path, AGGREGATED.format(variable="") + boris(("AU12", 1, 2, modifier))))


@pytest.mark.parametrize("modifier", ["not visible", "9", "?"])
def test_modifiers_that_say_it_could_not_be_seen(tmp_path: Path, modifier: str) -> None:
    rows = boris(("AU12", 0, 1, "C"), ("AU12", 1, 2, modifier), ("AU4", 0, 1, "B"), ("Face occluded", 3, 4, ""))
    codes = read_codes(write(tmp_path, AGGREGATED.format(variable="") + rows, "boris.csv"), SOURCES)
    assert at(codes, "a.mp4", [0.5, 1.5, 2.5, 3.5], "AU12_i") == [3, None, 0, None]
    assert at(codes, "a.mp4", [1.5, 3.5], "AU04_i") == [0, None]


def test_boris_live_observations_and_states_that_never_stop(tmp_path: Path) -> None:
    live = AGGREGATED.format(variable="") + boris(("AU12", 1, 2, "C"), media="NA", lengths="NA", obs="a")
    live = live.replace(",x\n", ",NA\n")
    assert at(read_codes(write(tmp_path, live, "x.csv"), SOURCES), "a.mp4", [1.5], "AU12_i") == [3]
    text = AGGREGATED.format(variable="") + boris(("AU12", 1, 2, "C")).replace(",2,1,x", ",NA,NA,x")
    with pytest.raises(InputError, match=r"row 2, Stop \(s\): AU12 starts and never stops"):
        read_events(write(tmp_path, text))


def row_of(at_s: float, kind: str, modifier: str = "C", hms: str = "00:00:01") -> str:
    return f"01-05-2024,{hms},{at_s},1,a,log,,AU12,{modifier},{kind},\n"


def test_observer_rows_of_one_moment_may_come_in_any_order(tmp_path: Path) -> None:
    rows = [(2.5, "State start", "D"), (1.5, "State start", "C"), (2.5, "State stop", "C"), (3.5, "State stop", "D")]
    path = write(tmp_path, OBSERVER + "".join(row_of(*row) for row in rows), "x.csv")
    assert said(path) == [(12, 1.5, 2.5, 3), (12, 2.5, 3.5, 4)]


def test_observer_before_the_recording_and_unknown_kinds(tmp_path: Path) -> None:
    early = OBSERVER + row_of(-1.5, "State start") + row_of(2.5, "State stop")
    assert said(write(tmp_path, early, "x.csv")) == [(12, -1.5, 2.5, 3)]
    for kind in ("Zustand Beginn", ""):  # taken for a point event before
        with pytest.raises(InputError, match=f"row 2, Behavior: AU12: `{kind.lower()}` is none of state start"):
            read_events(write(tmp_path, OBSERVER + row_of(1.5, kind) + row_of(2.5, kind), "x.csv"))


def test_observer_in_whole_seconds_is_said(tmp_path: Path) -> None:
    text = OBSERVER + row_of(1.5, "State start", hms="00:00:01") + row_of(2.5, "State stop", hms="00:00:02")
    notes: list[str] = []
    read_events(write(tmp_path, text.replace("Time_Relative_sf", "x"), "x.csv"), notes)
    assert [note.partition(": ")[2] for note in notes] == [
        "has its times in whole seconds; export Time_Relative_sf too."
    ]


def test_own_events_whose_intensity_could_not_be_judged(tmp_path: Path) -> None:
    rows = "a,12,0,1,C\na,12,1,2,not visible\na,12,2,3,9\na,12,4,5,NA\n"
    codes = read_codes(write(tmp_path, "source,au,onset_s,offset_s,intensity\n" + rows, "x.csv"), SOURCES)
    assert at(codes, "a.mp4", [0.5, 1.5, 2.5, 3.5, 4.5], "AU12_i") == [3, None, None, 0, None]
    assert at(codes, "a.mp4", [1.5, 2.5, 4.5], "AU12") == [None, None, 1]  # without a level it is there


@pytest.mark.parametrize("column", ["LAU12", "left_AU12", "AU12L", "my AU 12"])
def test_columns_of_rows_that_name_an_au_in_passing_are_refused(tmp_path: Path, column: str) -> None:
    path = write(tmp_path, f"source,frame,AU06,{column}\na,0,1,1\n", "x.csv")
    with pytest.raises(InputError, match=f"the column `{column}` names an AU and cannot be read"):
        read_codes(path, SOURCES)


def datavyu(*columns: tuple[str, str, str]) -> str:
    return "#4\n" + "".join(
        f"{name} (MATRIX,true,)-{','.join(f'{code}|NOMINAL' for code in codes.split())}\n"
        + "".join(f"00:00:01:000,00:00:02:000,({cell})\n" for cell in cells.split())
        for name, codes, cells in columns
    )


@pytest.mark.parametrize(
    ("codes", "cell", "expected"),
    [
        ("AU12 AU6", "3,2", {12: 3, 6: 2}), ("AU1 AU2 AU12", "0,0,C", {1: 0, 2: 0, 12: 3}),
        ("AU04 AU12", ",B", {12: 2}), ("au1 au2", "12C,6B", {12: 3, 6: 2}), ("au1 au2", "12,25", {12: None, 25: None}),
        ("AU1 AU2", "B,C", {1: 2, 2: 3}),
    ],
)  # fmt: skip
def test_datavyu_a_code_for_each_au(tmp_path: Path, codes: str, cell: str, expected: dict[int, float | None]) -> None:
    found = said(write(tmp_path, datavyu(("facs", codes, cell)), "a.csv"))
    assert {au: intensity for au, _, _, intensity in found} == expected


def test_datavyu_codes_that_may_be_both_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`au1, au2` may be intensities of AUs or AUs one after another; rename"):
        read_events(write(tmp_path, datavyu(("facs", "au1 au2", "1,2")), "a.csv"))


@pytest.mark.parametrize(
    "text",
    [
        datavyu(("facs_mother", "code01", "12C"), ("facs_infant", "code01", "12A")),
        datavyu(("mother", "au intensity", "12,C"), ("infant", "au intensity", "12,A")),
        datavyu(("facs", "au intensity who", "12,C,mother 12,A,infant")),
    ],
)
def test_datavyu_two_people_are_not_merged(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text, "a.csv")
    with pytest.raises(InputError, match="infant, mother"):
        read_codes(path, SOURCES)
    codes = read_codes(path, SOURCES, names={("a.mp4", 0): "mother", ("a.mp4", 1): "infant"})
    assert [at(codes, "a.mp4", [1.5], "AU12_i", face=face) for face in (0, 1)] == [[3], [1]]


@pytest.mark.parametrize("names", [None, {("a.mp4", 0): "Kind", ("a.mp4", 1): "Mutter"}])
def test_what_nobody_could_see_holds_for_all(tmp_path: Path, names: dict[tuple[str, int], str] | None) -> None:
    text = elan(("FACS Mutter", "12C"), ("FACS Kind", "12A")) + "Visibility\t1500\t2000\tface not visible\n"
    path = write(tmp_path, text)
    codes = read_codes(path, SOURCES, None if names else "Mutter", names)
    for face, intensity in ((0, 1), (1, 3)) if names else ((None, 3),):
        assert at(codes, "a.mp4", [0.5, 1.2, 1.7, 2.5], "AU12_i", face=face) == [0, intensity, None, 0]


def test_codes_of_a_later_chapter_are_told_where_they_belong(tmp_path: Path) -> None:
    for name in ("GH010042.MP4", "GH020042.MP4"):
        (tmp_path / name).write_bytes(b"not decoded here")
    labels = write(tmp_path, "source,au,onset_s,offset_s\nGH020042,12,0,1\n", "codes.csv")
    with pytest.raises(InputError, match=r"row 2: `GH020042\.MP4` is a chapter of GH010042\.MP4 \(chapters\)"):
        plan_videos(tmp_path, labels, chapters=True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"events": [[1.0, "", "AU17", "", ""], [2.0, "", "AU17", "", ""]]}, "AU17 is not in the ethogram"),
        ({"type": "IMAGES", "events": [["NA", "", "AU12", "", "", 1, "1.jpg"]]}, "`NA` is no time; pictures have none"),
    ],
)
def test_boris_projects_that_leave_open_what_was_when(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_events(write(tmp_path, json.dumps(project(**changes)), "a.boris"))


@pytest.mark.parametrize(
    ("tier", "value", "lips", "brows"),
    [
        ("mouth", "covered", None, 0), ("brows", "not visible", 0, None), ("face", "not visible", None, None),
        ("eye gaze", "off camera", 0, 0), ("hands", "out of view", 0, 0), ("Mund", "verdeckt", None, 0),
        ("view quality", "eyes hidden", 0, 0),
    ],
)  # fmt: skip
def test_which_part_is_not_visible(tmp_path: Path, tier: str, value: str, lips: int | None, brows: int | None) -> None:
    text = ELAN + f"AU12\t0\t500\tC\nAU4\t0\t500\tB\n{tier}\t1000\t2000\t{value}\n"
    codes = read_codes(write(tmp_path, text), SOURCES)
    assert at(codes, "a.mp4", [1.5], "AU12_i") + at(codes, "a.mp4", [1.5], "AU04_i") == [lips, brows]


def test_somebody_whom_the_names_do_not_know_is_not_the_largest_face(tmp_path: Path) -> None:
    text = "Tier\tParticipant\tBegin Time - msec\tEnd Time - msec\tAnnotation\nAU12\tchild\t0\t1000\tC\n"
    path, names = write(tmp_path, text), {("a.mp4", 0): "mother", ("a.mp4", 1): "Child"}
    with pytest.raises(InputError, match=r"has codes of child; say which face .* called Child, mother now"):
        read_codes(path, SOURCES, names=names)
    alone = read_codes(path, SOURCES, names={("a.mp4", 0): "p01"})  # there is one whom it can be
    assert at(alone, "a.mp4", [0.5], "AU12_i") == [3]


@pytest.mark.parametrize("second", ["AU12@BT", "AU12_BT", "AU12_R2", "AU12_reliability", "AU12 coder 2", "AU12_2"])
def test_tiers_of_a_second_coder_beside_unnamed_ones_are_not_merged(tmp_path: Path, second: str) -> None:
    path = write(tmp_path, elan(("AU12", "C"), ("AU6", "B"), (second, "A")))
    with pytest.raises(InputError, match=r"a\.mp4: was coded by \(unnamed\), .*; choose one with coder"):
        read_codes(path, SOURCES)
    assert at(read_codes(path, SOURCES, "(unnamed)"), "a.mp4", [1.5], "AU12_i") == [3]
    together = write(tmp_path, elan(("AU12 Smile", "C"), ("AU6@BT", "B"), ("AU12", "")))  # one coder, partly named
    assert at(read_codes(together, SOURCES), "a.mp4", [1.5], "AU12_i") == [3]


def test_a_subject_of_whom_only_ranges_were_coded_is_somebody(tmp_path: Path) -> None:
    """The infant's coded range made the mother absent where she was not coded."""
    head = "source,subject,au,onset_s,offset_s\n"
    path = write(tmp_path, head + "a.mp4,mother,12,0.5,1\na.mp4,mother,coded,0,1\na.mp4,infant,coded,0,4\n", "x.csv")
    with pytest.raises(InputError, match="has codes of infant, mother; say which face"):
        read_codes(path, SOURCES)
    codes = read_codes(path, SOURCES, names={("a.mp4", 0): "mother", ("a.mp4", 1): "infant"})
    assert [at(codes, "a.mp4", [0.2, 0.7, 2.0], "AU12", face=face) for face in (0, 1)] == [[0, 1, "none"], [0, 0, 0]]


def test_numbers_of_faces_and_names_that_differ_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "source,subject,au,onset_s,offset_s\na.mp4,mother face#1,12,0,1\n", "x.csv")
    assert set(read_codes(path, SOURCES, names={("a.mp4", 1): "mother"}).videos["a.mp4"].faces) == {1}
    with pytest.raises(
        InputError, match=r"x.csv, row 2: is of face 1, and mother is face 0 in the table of names; corr"
    ):
        read_codes(path, SOURCES, names={("a.mp4", 0): "mother"})
    rows = write(tmp_path, "source,subject,frame,AU12\na.mp4,face#1,0,1\n", "rows.csv")
    assert set(read_codes(rows, SOURCES).videos["a.mp4"].faces) == {1}
