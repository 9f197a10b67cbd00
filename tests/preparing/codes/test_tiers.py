"""Which tiers, columns and modifiers are about action units, and which numbers are none; values worked out by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.preparing.codes.coded import said, write
from tests.preparing.codes.test_boris import AGGREGATED, boris, project
from tests.preparing.codes.test_neighbours import ELAN, elan

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.programs.tiers import is_bare, numbers_are_aus

SMILE = ("AU12", "C")


@pytest.mark.parametrize(
    "name", ["Pain", "valence", "arousal", "VAS", "Likert", "PSPI", "ID", "week", "head pose", "MK", "AU count",
             "default", "FACS trial", "AU certainty", "FACS segment", "Réponse au stimulus",
             "Réaction au stress", "No score", "Upper Face Visible", "FACS coded", "AU Ausprägung"],
)  # fmt: skip
def test_bare_numbers_in_other_tiers_are_no_aus(tmp_path: Path, name: str) -> None:
    """`Pain` = 4 was AU 4."""
    notes: list[str] = []
    events = read_events(write(tmp_path, elan(SMILE, (name, "4"), (name, "1, 2"))), notes)
    assert [(event.au, event.intensity) for event in events] == [(12, 3)]
    assert notes == [f"{tmp_path / 'a.txt'}: bare numbers in `{name}` are not read as AUs; write AU12 where they are."]


@pytest.mark.parametrize("name", ["100 VAS", "Score"])
def test_numbers_that_no_au_has_need_no_word(tmp_path: Path, name: str) -> None:
    notes: list[str] = []
    assert [event.au for event in read_events(write(tmp_path, elan(SMILE, (name, "87"), (name, "3/5"))), notes)] == [12]
    assert not notes


@pytest.mark.parametrize(
    "name", ["FACS", "facs mother", "AU", "AUs", "AU_nr", "AU number", "FACS session 1", "FACS phase 2",
             "Action Units (day 1)", "upper face", "lower_face", "motherAU", "AUcode", "AU n°", "FACS N1", "au",
             "Unité d'action", "Aktionseinheit", "Unidad de acción", "FACS MK"],
)  # fmt: skip
def test_bare_numbers_are_aus_where_the_tier_says_so(tmp_path: Path, name: str) -> None:
    """`AU number`, `FACS session 1` and `FACS phase 2` were left out without a word."""
    assert said(write(tmp_path, elan(("AU4", ""), (name, "12"), (name, "6, 25")))) == [
        (4, 1, 2, None), (12, 1, 2, None), (6, 1, 2, None), (25, 1, 2, None),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.sampled_from([", ", "/", " ", ";", "-"]))
def test_numbers_alone_are_bare(numbers: list[int], between: str) -> None:
    assert is_bare(between.join(map(str, numbers)))
    assert not is_bare(between.join(f"{number}C" for number in numbers))
    assert not numbers_are_aus("rating " + between.join(map(str, numbers)))


@pytest.mark.parametrize(("strength", "intensity"), [("4", 4), ("A", 1), ("1", 1), ("marked", 3), ("absent", 0)])
@pytest.mark.parametrize("names", [("FACS", "Intensity"), ("AU", "AU intensity"), ("FACS_MK", "Intensity_MK")])
def test_a_tier_of_intensities_says_how_strong_the_other_is(
    tmp_path: Path, names: tuple[str, str], strength: str, intensity: float
) -> None:
    """`FACS` = 12 with `Intensity` = 4 was AU 12 without intensity and an AU 4."""
    text = elan((names[0], "12"), (names[1], strength)) + f"{names[1]}\t5000\t6000\t2\n"
    assert said(write(tmp_path, text)) == [(12, 1, 2, intensity)]


def test_of_two_tiers_of_intensities_that_of_the_coder_counts(tmp_path: Path) -> None:
    path = write(tmp_path, elan(("FACS MK", "12"), ("FACS BT", "12"), ("Intensity MK", "B"), ("Intensity BT", "D")))
    assert {(event.coder, event.intensity) for event in read_events(path)} == {("MK", 2), ("BT", 4)}
    with pytest.raises(InputError, match="row 4, AU intensity: `B` and `D` are intensities of one annotation"):
        read_events(write(tmp_path, elan(("FACS", "12"), ("Intensity", "B"), ("AU intensity", "D"))))
    notes: list[str] = []
    both = read_events(write(tmp_path, elan(("FACS", "6+12"), ("Intensity", "C"))), notes)
    assert [(event.au, event.intensity) for event in both] == [(6, None), (12, None)]
    assert "1 intensities in `Intensity` are of nothing that is coded at the same time, or of several" in notes[0]
    with pytest.raises(InputError, match="row 3, Intensity: `7` is no intensity"):
        read_events(write(tmp_path, elan(("FACS", "12"), ("Intensity", "7"))))


def test_columns_of_datavyu_about_people_are_no_aus(tmp_path: Path) -> None:
    """The usual column `id` made AU 12 present in the whole recording, and `age` = 24 AU 24."""
    times = "00:00:00:000,00:01:00:000"
    text = (
        f"#4\nid (MATRIX,true,)-idnum|NOMINAL,testdate|NOMINAL,sex|NOMINAL\n{times},(12,03/02/2024,f)\n"
        "facs (MATRIX,true,)-code01|NOMINAL,id|NOMINAL\n00:00:01:000,00:00:02:000,(6B,4)\n"
        "00:00:03:000,00:00:04:000,(25,4)\n"
    )
    notes: list[str] = []
    events = read_events(write(tmp_path, text, "a.csv"), notes)
    assert [(event.au, event.onset_s, event.intensity) for event in events] == [(6, 1, 2), (25, 3, None)]
    assert [note.split(": ", 1)[1] for note in notes] == [
        "bare numbers in `facs.id`, `id.idnum` are not read as AUs; write AU12 where they are."
    ]
    for states, intensity in (("AU12.state", 0), ("AU12.side,AU12.state", 0), ("AU12.valence", None)):
        cells = {"AU12.state": "off", "AU12.side,AU12.state": "left,off", "AU12.valence": "neutral"}[states]
        wide = f"AU12.onset,AU12.offset,{states}\n1000,2000,{cells}\n"
        assert said(write(tmp_path, wide, "c.csv")) == [(12, 1, 2, intensity)]
    numbered = "AU.onset,AU.offset,AU.number,AU.level\n1000,2000,12,C\n"
    assert said(write(tmp_path, numbered, "d.csv")) == [(12, 1, 2, 3)]
    wide = "id.ordinal,id.onset,id.offset,id.age,smile.onset,smile.offset,smile.code01\n1,0,9000,24,1000,2000,AU12\n"
    assert [(event.au, event.onset_s) for event in read_events(write(tmp_path, wide, "b.csv"))] == [(12, 1)]


def test_intensities_of_others_are_nobodys(tmp_path: Path) -> None:
    rows = [("FACS_mother", "12"), ("FACS_infant", "6"), ("Intensity_mother", "4"), ("Intensity_pain", "2")]
    notes: list[str] = []
    found = {event.au: event.intensity for event in read_events(write(tmp_path, elan(*rows)), notes)}
    assert found == {12: 4, 6: None}
    assert [note.split(": ", 1)[1] for note in notes] == [
        "1 intensities in `Intensity_pain` are of nothing that is coded at the same time, or of several; left out."
    ]
    late = elan(("FACS", "12"), ("Level", "game 3"), ("Intensity", "high")) + "Intensity\t1020\t2000\tC\n"
    assert said(write(tmp_path, late)) == [(12, 1, 2, None)]
    for value in ("", "smile"):
        assert said(write(tmp_path, elan(("AU12", value), ("Intensity (A-E)", "4")))) == [(12, 1, 2, 4)]
    assert said(write(tmp_path, elan(("AU12", "off"), ("Intensidad", "C")))) == [(12, 1, 2, 0)]
    with pytest.raises(InputError, match=r"row 2, AU12: `maybe 12\?` is no intensity"):
        read_events(write(tmp_path, elan(("AU12", "maybe 12?"), ("Intensity", "C"))))
    for strength in ("", "NA"):
        both = said(write(tmp_path, elan(("FACS", "6+12"), ("Intensity", strength))))
        assert both == [(6, 1, 2, None), (12, 1, 2, None)]
    assert said(write(tmp_path, elan(("FACS", "6+12"), ("Intensity", "B+C")))) == [(6, 1, 2, 2), (12, 1, 2, 3)]
    unseen = read_events(write(tmp_path, elan(("FACS", "12"), ("Intensity", "?"))))
    assert [(event.au, event.kind) for event in unseen] == [(12, "unknown")]


def below(*tiers: tuple[str, str, str, str]) -> str:
    """An ELAN file with (tier, value, tier that depends on it, value), all from 1 to 2 s."""
    written = "".join(
        f"""<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="x"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{mark}"
        TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
        </ANNOTATION></TIER><TIER TIER_ID="{child}" LINGUISTIC_TYPE_REF="x" PARENT_REF="{name}"><ANNOTATION>
        <REF_ANNOTATION ANNOTATION_ID="{mark}r" ANNOTATION_REF="{mark}"><ANNOTATION_VALUE>{strength}</ANNOTATION_VALUE>
        </REF_ANNOTATION></ANNOTATION></TIER>"""
        for mark, (name, value, child, strength) in zip("abcdefgh", tiers)
    )
    return (
        '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" '
        f'TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="2000"/></TIME_ORDER>{written}'
        "</ANNOTATION_DOCUMENT>"
    )


def test_in_an_elan_file_a_tier_of_intensities_is_that_of_its_parent(tmp_path: Path) -> None:
    text = below(
        ("FACS", "12", "Intensity", "2"), ("FACS 2", "6", "Intensity 2", "4"), ("AU4", "", "valence", "neutral"),
        ("AU1", "", "level", "C"), ("AU2 raise", "x", "AU intensity", "B"),
    )  # fmt: skip
    expected = [(12, 1, 2, 2), (6, 1, 2, 4), (4, 1, 2, None), (1, 1, 2, 3), (2, 1, 2, 2)]
    assert said(write(tmp_path, text, "a.eaf")) == expected


def test_what_depends_on_an_au_and_is_no_intensity_does_not_grade_it(tmp_path: Path) -> None:
    """`no` in a tier `laughing` below that of AU 12 made AU 12 absent, and a certainty of 5 a maximal smile."""
    text = below(("AU12", "", "laughing", "no"), ("AU6", "C", "certainty", "5"), ("FACS", "4B", "side", "L"))
    notes: list[str] = []
    found = read_events(write(tmp_path, text, "a.eaf"), notes)
    assert [(event.au, event.intensity) for event in found] == [(12, None), (6, 3), (4, 2)]
    told = [note.split(": ", 1)[1] for note in notes]
    assert told == [f"`{tier}` is not read; if it holds intensities, call it `intensity`." for tier in (
        "laughing", "certainty")]  # fmt: skip


@pytest.mark.parametrize(
    "about", ["certainty", "Confidence", "comment", "duration (s)", "count", "Sicherheit", "visible"]
)
def test_what_stands_beside_an_au_is_no_intensity_of_it(tmp_path: Path, about: str) -> None:
    """A certainty of 1 made AU 12, whose tier says no more than that it is there, a trace, and so absent."""
    files = {
        "a.txt": elan(("AU12", ""), (f"AU12 {about}", "1")),
        "b.csv": f"AU12.onset,AU12.offset,AU12.{about}\n1000,2000,1\n",
        "c.csv": f"AU12.onset,AU12.offset,AU12 {about}.onset,AU12 {about}.offset,AU12 {about}.code01\n"
        "1000,2000,1000,2000,1\n",
    }
    for name, text in files.items():
        notes: list[str] = []
        found = read_events(write(tmp_path, text, name), notes)
        assert [(event.au, event.kind, event.intensity) for event in found] == [(12, "au", None)]
        assert re.search(rf"{name}: not read as intensities: `AU12[ .]{re.escape(about)}(\.code01)?`\.$", notes[0])
    unsure = read_events(write(tmp_path, elan(("AU12", "C"), (f"AU12 {about}", "?"))))
    assert [(event.au, event.kind) for event in unsure] == [(12, "au"), (12, "unknown")]


@pytest.mark.parametrize("text", ["S1", "P1", "0:12", "joy1", "ok 2", "?", "missing"])
def test_other_words_in_a_tier_that_is_called_facs_are_nothing(tmp_path: Path, text: str) -> None:
    for name in ("FACS segments", "FACS Bemerkung", "FACS", "AU"):
        assert said(write(tmp_path, elan(SMILE, (name, text)))) == [(12, 1, 2, 3)]
    with_codes = elan(SMILE, ("FACS", "6"), ("FACS", "?"))
    assert [event.kind for event in read_events(write(tmp_path, with_codes))] == ["au", "au", "unknown"]


@pytest.mark.parametrize("name", ["FACS", "AU", "AUs", "action unit"])
@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        ("AU12C", [(12, 3)]), ("12C", [(12, 3)]), ("AU 12|C", [(12, 3)]), ("12|C", [(12, 3)]), ("12", [(12, None)]),
        ("12|marked", [(12, 3)]), ("6|12", [(6, None), (12, None)]), ("12|left", [(12, None)]), ("12|?", None),
    ],
)  # fmt: skip
def test_an_au_among_the_modifiers(
    tmp_path: Path, name: str, modifier: str, expected: list[tuple[int, float | None]] | None
) -> None:
    """Behaviour `FACS` with the modifier `AU12C` was left out, and AU 12 absent, without a word."""
    rows = boris((name, 1.0, 2.0, modifier), ("AU4", 4.0, 5.0, "C"))
    events = [e for e in read_events(write(tmp_path, AGGREGATED.format(variable="") + rows)) if e.onset_s == 1]
    if expected is None:
        assert [(event.au, event.kind) for event in events] == [(12, "unknown")]
    else:
        assert [(event.au, event.intensity) for event in events] == expected


def test_an_au_among_the_modifiers_of_any_behaviour(tmp_path: Path) -> None:
    rows = boris(("smile", 1.0, 2.0, "AU12C"), ("room", 3.0, 4.0, "12C"), ("speech", 5.0, 6.0, "None"))
    assert said(write(tmp_path, AGGREGATED.format(variable="") + rows)) == [(12, 1, 2, 3)]
    for modifier in ("12|4", "1|2"):
        with pytest.raises(InputError, match=r"Modifier: `[14]` may be an AU or an intensity; write AU before"):
            read_events(write(tmp_path, AGGREGATED.format(variable="") + boris(("FACS", 1.0, 2.0, modifier))))
    logged = [[1.0, "", "FACS", "12|C", ""], [1.5, "", "FACS", "6|B", ""], [2.0, "", "FACS", "12|C", ""],
              [3.0, "", "FACS", "6|B", ""]]  # fmt: skip
    states = {"0": {"type": "State event", "code": "FACS"}}
    given = project(events=logged, file={"1": ["a.mp4"]}, **{"time offset": 0.0}) | {"behaviors_conf": states}
    assert said(write(tmp_path, json.dumps(given), "p.boris")) == [(12, 1, 2, 3), (6, 1.5, 3, 2)]


@pytest.mark.parametrize(
    ("name", "modifier", "expected"),
    [
        ("FACS", "AU12 Lip corner puller,C", [(12, 3)]), ("Face", "AU12 Lip corner puller,C", [(12, 3)]),
        ("frown", "AU4,4", [(4, 4)]), ("frown", "AU1,1", [(1, 1)]), ("AU12", "neutral", [(12, None)]),
        ("AU12", "false", [(12, None)]), ("AU12", "C|neutral", [(12, 3)]), ("AU12", "C|ambiguous", [(12, 3)]),
        ("joue au ballon", "2", []), ("touches lower face", "2", []), ("No AU", "1", []), ("regarde au loin", "1", []),
        ("FACS", "1,2", [(1, None), (2, None)]), ("FACS", "unscorable", "unknown"), ("FACS", "?", "unknown"),
        ("FACS", "12 smile", "error"), ("FACS", "AU12?", "error"), ("FACS", "12Z", "error"), ("FACS", "3|12", "error"),
        ("FACS", "AU4|4", [(4, 4)]), ("FACS", "AU12|3", [(12, 3)]), ("FACS", "12|Level 3", [(12, 3)]),
        ("FACS", "12|4 - severe", "error"), ("FACS", "12|5 (max)", "error"), ("FACS", "None|4", "error"),
        ("FACS", "L12D,R12B", [(12, 4)]), ("FACS", "12C,12", [(12, 3)]), ("FACS mother", "12C", [(12, 3)]),
        ("AUs lower face", "12C", [(12, 3)]), ("FACS upper face", "1|C", [(1, 3)]), ("AU present", "12C", [(12, 3)]),
        ("smile", "AU12,AU6", [(12, None), (6, None)]), ("smile", "without AU6", "error"),
        ("smile", "AU6 not present", "error"), ("Regard", "au 1er plan", []), ("Regard", "Au 2e essai", []),
        ("smile", "room 12C", []),
    ],
)  # fmt: skip
def test_modifiers_say_what_they_say(tmp_path: Path, name: str, modifier: str, expected: Any) -> None:
    rows = boris((name, 1.0, 2.0, f'"{modifier}"'), ("AU25", 4.0, 5.0, "C"))
    path = write(tmp_path, AGGREGATED.format(variable="") + rows)
    if expected == "error":
        with pytest.raises(InputError, match=r"Modifier: `.*` (names an AU and cannot be read|may be an AU or)"):
            read_events(path)
        return
    events = [event for event in read_events(path) if event.onset_s == 1]
    if expected == "unknown":
        assert [(event.au, event.kind) for event in events] == [(None, "unknown")]
    else:
        assert [(event.au, event.intensity) for event in events] == expected


def test_a_stop_of_the_observer_needs_no_modifier(tmp_path: Path) -> None:
    head = "Observation;Time_Relative_sf;Behavior;Modifier_1;Event_Type;Subject\n"
    rows = (
        "p01;1.0;FACS;12;State start;\np01;2.0;FACS;;State stop;\np01;3;smile;;State start;\np01;4;smile;;State stop;\n"
    )
    assert said(write(tmp_path, head + rows)) == [(12, 1, 2, None)]
    for other in ("C", "?"):  # rows of a behaviour that has an AU in others
        rows = f"p01;1.0;smile;AU12;Point;\np01;3;smile;{other};Point;\n"
        assert said(write(tmp_path, head + rows)) == [(12, 1, 1, None)]


def test_an_au_among_the_modifiers_of_the_observer(tmp_path: Path) -> None:
    rows = "".join(
        f"p01;{time};FACS;{modifier};State {kind};mother\n"
        for time, modifier, kind in (("1.0", "AU12", "start"), ("1.5", "AU6B", "start"), ("2.0", "AU12", "stop"),
                                     ("3.0", "AU6B", "stop"))
    )  # fmt: skip
    head = "Observation;Time_Relative_sf;Behavior;Modifier_1;Event_Type;Subject\n"
    assert said(write(tmp_path, head + rows)) == [(12, 1, 2, None), (6, 1.5, 3, 2)]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("AU12\t01\t1000\t2000\tC", (1, 2, "01")), ("AU12\t07\t1000\t2000\t1000\tC", (1, 2, "07")),
        ("AU12\t1000\t2000\t1000\tC", (1, 2, "")), ("AU12\t1000\t2000\tC", (1, 2, "")),
        ("AU12\t\t1000\t2000\tC", (1, 2, "")), ("AU12\tann\t1000\t2000\t1000\tC", (1, 2, "ann")),
        ("AU12\t1000\t2000\t999\tC", (1, 2, "")),
        ("AU12\t1000\t2000\t3\tC", (1, 2, "")),
    ],
)  # fmt: skip
def test_a_participant_that_is_a_number(tmp_path: Path, cells: str, expected: tuple[float, float, str]) -> None:
    """Participant 7 was the onset, 0.007 s."""
    (event,) = read_events(write(tmp_path, f"{cells}\n"))
    assert (event.onset_s, event.offset_s, event.subject) == expected
    assert event.intensity == 3


@pytest.mark.parametrize(
    "word", ["off", "false", "inactive", "neutral", "zero", "nil", "ausente", "aucun", "fehlt", "relaxed", "Off"]
)
def test_words_for_what_is_not_there(tmp_path: Path, word: str) -> None:
    assert said(write(tmp_path, elan(("AU12", word)))) == [(12, 1, 2, 0)]


@pytest.mark.parametrize("word", ["obscured", "blurred", "uncertain", "unscharf", "NULL"])
def test_words_for_what_cannot_be_told(tmp_path: Path, word: str) -> None:
    assert [event.kind for event in read_events(write(tmp_path, elan(("AU12", word))))] == ["unknown"]


@pytest.mark.parametrize(
    "name",
    [
        "AU12 occurrence",
        "AU12_presence",
        "AU12 on/off",
        "AU12 (present)",
        "AU12 présence",
        "AU12 Präsenz",
        "AU12 vorhanden",
        "AU12 yes/no",
        "AU12_pres",
    ],
)
def test_one_says_that_an_au_occurs_where_the_tier_says_so(tmp_path: Path, name: str) -> None:
    """It was intensity 1, a trace, which is below what counts as present."""
    text = ELAN + f"{name}\t1000\t2000\t1\n{name}\t3000\t4000\t0\n{name}\t5000\t6000\tC\n"
    assert said(write(tmp_path, text)) == [(12, 1, 2, None), (12, 3, 4, 0), (12, 5, 6, 3)]
