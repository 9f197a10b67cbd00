"""BORIS: exports and projects; every expected value is worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.preparing.codes.coded import SOURCES, at, read_codes_events, said, write

from duchenne.errors import InputError
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.preparing.datasets.videos import plan_videos
from duchenne.preparing.sources.parts import VideoPart

AGGREGATED = (
    "Observation id,Observation date,Description,Observation type,Source,Time offset (s),Coding duration,"
    "Media duration (s),FPS,{variable}Subject,Behavior,Behavioral category,Modifier #1,Behavior type,Start (s),"
    "Stop (s),Duration (s),Media file name\n"
)


def boris(
    *rows: tuple[str, float, float, str], media: str = "player #1:rec/a.mp4", lengths: str = "60.000",
    offset: str = "0.0", obs: str = "one", observer: str = "", subject: str = "No focal subject",
) -> str:  # fmt: skip
    middle = f"{observer}," if observer else ""
    return "".join(
        f"{obs},2024-05-01,,Media file,{media},{offset},60,{lengths},25,{middle}{subject},{au},face,{modifier},STATE,"
        f"{start},{stop},1,x\n"
        for au, start, stop, modifier in rows
    )


def test_boris_several_media_and_time_offset(tmp_path: Path) -> None:
    # a is 1.84 s long: 2.0 s of the observation is 0.16 s into b; 1.5 to 2.5 is 1.5 to 1.84 of a and 0 to 0.66 of b
    rows = boris(
        ("AU12", 2.0, 2.5, "C"), ("AU6", 1.5, 2.5, "B"), media="player #1:rec/a.mp4;rec/b.mp4", lengths="1.840;5.000"
    )
    path = write(tmp_path, AGGREGATED.format(variable="") + rows, "boris.csv")
    found = {(e.source, e.au): (round(e.onset_s, 6), round(e.offset_s, 6)) for e in read_events(path)}
    assert found == {
        ("rec/b.mp4", 12): (0.16, 0.66), ("rec/a.mp4", 6): (1.5, 1.84), ("rec/b.mp4", 6): (0, 0.66),
    }  # fmt: skip
    shifted = boris(("AU12", 102.0, 102.5, "C"), media="player #1:a.mp4;b.mp4", lengths="1.840;5.000", offset="100")
    assert said(write(tmp_path, AGGREGATED.format(variable="") + shifted)) == [(12, 0.16, 0.66, 3)]
    early = boris(("AU12", 1.0, 2.0, "C"), offset="-00:00:03.500")
    assert said(write(tmp_path, AGGREGATED.format(variable="") + early)) == [(12, 4.5, 5.5, 3)]


def test_boris_several_media_of_unknown_length_are_refused(tmp_path: Path) -> None:
    text = AGGREGATED.format(variable="").replace("Media duration (s)", "Length") + boris(
        ("AU12", 2.0, 2.5, "C"), media="player #1:a.mp4;b.mp4"
    )
    with pytest.raises(InputError, match=r"2 media follow each other and their durations are not given"):
        read_events(write(tmp_path, text))


def test_boris_two_observers_need_a_choice(tmp_path: Path) -> None:
    rows = boris(("AU12", 1, 2, "C"), observer="MK") + boris(("AU12", 1, 2, "B"), observer="BT", obs="two")
    path = write(tmp_path, AGGREGATED.format(variable="Observer,") + rows, "boris.csv")
    with pytest.raises(InputError, match=r"a\.mp4: was coded by BT, MK; choose one with coder"):
        read_codes(path, SOURCES)
    for coder, intensity in (("MK", 3), ("BT", 2), ("two", 2)):
        assert at(read_codes(path, SOURCES, coder), "a.mp4", [1.5], "AU12_i") == [intensity]
    alone = write(tmp_path, AGGREGATED.format(variable="Rater,") + boris(("AU12", 1, 2, "C"), observer="MK"))
    assert at(read_codes(alone, SOURCES, "MK"), "a.mp4", [1.5], "AU12_i") == [3]
    with pytest.raises(InputError, match="coder XX: there is no such coder; there are MK, one"):
        read_codes(alone, SOURCES, "XX")


def test_boris_two_observations_are_two_coders(tmp_path: Path) -> None:
    rows = boris(("AU12", 1, 2, "C"), obs="first") + boris(("AU12", 1, 2, "B"), obs="second")
    path = write(tmp_path, AGGREGATED.format(variable="") + rows, "boris.csv")
    with pytest.raises(InputError, match="was coded by first, second; choose one with coder"):
        read_codes(path, SOURCES)
    assert at(read_codes(path, SOURCES, "second"), "a.mp4", [1.5], "AU12_i") == [2]


def test_boris_passes_of_one_observer_belong_together_unless_they_meet(tmp_path: Path) -> None:
    rows = boris(("AU12", 1, 2, "C"), obs="lower", observer="MK") + boris(
        ("AU4", 1, 2, "B"), obs="upper", observer="MK"
    )
    path = write(tmp_path, AGGREGATED.format(variable="Coder,") + rows, "boris.csv")
    codes = read_codes(path, SOURCES)
    assert (at(codes, "a.mp4", [1.5], "AU12_i"), at(codes, "a.mp4", [1.5], "AU04_i")) == ([3], [2])
    again = rows + boris(("AU12", 1, 2, "D"), obs="again", observer="MK")
    with pytest.raises(InputError, match=r"was coded more than once \(again, lower, upper\); choose one with coder"):
        read_codes(write(tmp_path, AGGREGATED.format(variable="Coder,") + again, "boris.csv"), SOURCES)


def test_boris_two_subjects_need_names(tmp_path: Path) -> None:
    rows = boris(("AU12", 1, 2, "C"), subject="mother") + boris(("AU12", 1, 2, "A"), subject="infant")
    path = write(tmp_path, AGGREGATED.format(variable="") + rows, "boris.csv")
    with pytest.raises(InputError, match=r"a\.mp4: has codes of infant, mother; say which face"):
        read_codes(path, SOURCES)
    with pytest.raises(InputError, match=r"a\.mp4: has codes of infant, mother; say which face"):
        read_codes(path, SOURCES, names={("a.mp4", 0): "mother", ("a.mp4", 1): "a#1"})
    codes = read_codes(path, SOURCES, names={("a.mp4", 0): "mother", ("a.mp4", 1): "infant"})
    assert [at(codes, "a.mp4", [1.5], "AU12_i", face=face) for face in (0, 1)] == [[3], [1]]


@pytest.mark.parametrize(
    ("modifier", "expected"), [("C", 3), ("None", None), ("left|D", 4), ("C - marked", 3), ("4", 4)]
)
def test_boris_modifiers(tmp_path: Path, modifier: str, expected: float | None) -> None:
    text = AGGREGATED.format(variable="") + boris(("AU12", 1, 2, modifier))
    assert said(write(tmp_path, text)) == [(12, 1, 2, expected)]


@pytest.mark.parametrize(
    ("behaviour", "modifier"), [("AU12", "A|C"), ("AU12", "6"), ("AU12C", "B"), ("AU12?x AU6", "")]
)
def test_boris_what_cannot_be_read(tmp_path: Path, behaviour: str, modifier: str) -> None:
    text = AGGREGATED.format(variable="") + boris(("AU4", 1, 2, "B")) + boris((behaviour, 1, 2, modifier))
    if behaviour == "AU12?x AU6":
        assert {au for au, *_ in said(write(tmp_path, text))} == {4, 6, 12}  # named after both
        return
    with pytest.raises(InputError, match="row 3, Modifier: "):
        read_events(write(tmp_path, text))


def project(**changes: Any) -> dict[str, Any]:
    observation = {
        "file": {"1": ["C:/rec/a.mp4", "C:/rec/b.mp4"], "2": []}, "type": "MEDIA", "time offset": 10.0,
        "events": [[11.0, "", "AU12", "C", ""], [12.5, "", "AU12", "C", ""], [11.2, "", "AU6", "B|left", ""]],
        "media_info": {"length": {"C:/rec/a.mp4": 1.84, "C:/rec/b.mp4": 5.0}},
        "independent_variables": {"observer": "MK"},
    } | changes  # fmt: skip
    return {
        "project_name": "x", "observations": {"one": observation},
        "behaviors_conf": {"0": {"type": "State event", "code": "AU12"}, "1": {"type": "Point event", "code": "AU6"}},
    }  # fmt: skip


def test_outside_a_behaviour_of_coded_ranges_nothing_is_known(tmp_path: Path) -> None:
    rows = boris(("AU12", 1, 2, "C"), ("coded range", 0, 3, ""), subject="Face #1")
    codes = read_codes(write(tmp_path, AGGREGATED.format(variable="") + rows), SOURCES)
    assert at(codes, "a.mp4", [0.5, 1.5, 2.5, 3.5], "AU12_i", face=1) == [0, 3, 0, "none"]
    assert set(codes.videos["a.mp4"].faces) == {1}
    wrong = boris(("AU12", 1, 2, "C"), ("coded range", 1, 2, "AU12"))
    with pytest.raises(InputError, match=r"`AU12` names an AU, and these are the ranges that were coded"):
        read_events(write(tmp_path, AGGREGATED.format(variable="") + wrong))


def test_boris_observations_called_as_their_videos_are_nobodys(tmp_path: Path) -> None:
    """Each video was another coder, so that an AU used in one of them was unknown in the others."""
    rows = boris(("AU12", 1, 2, "C"), obs="a") + boris(("AU6", 1, 2, "B"), obs="b", media="player #1:rec/b.mp4")
    codes = read_codes(write(tmp_path, AGGREGATED.format(variable="") + rows), ["rec/a.mp4", "rec/b.mp4"])
    assert [at(codes, f"rec/{name}.mp4", [1.5], "AU12_i") for name in "ab"] == [[3], [0]]
    assert codes.notes == []


def test_boris_project(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(project()), "study.boris")
    found = [
        (e.source, e.au, round(e.onset_s, 6), round(e.offset_s, 6), e.intensity, e.coder) for e in read_events(path)
    ]
    # less the offset 10: AU12 from 1.0 to 2.5, so 1.0 to 1.84 of a and 0 to 0.66 of b; AU6 at 1.2
    assert sorted(found) == [
        ("C:/rec/a.mp4", 6, 1.2, 1.2, 2, "MK"), ("C:/rec/a.mp4", 12, 1.0, 1.84, 3, "MK"),
        ("C:/rec/b.mp4", 12, 0.0, 0.66, 3, "MK"),
    ]  # fmt: skip
    packed = tmp_path / "study.boris.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert said(packed) == said(path)
    second = {"1": ["x.mp4"], "2": ["b.mp4"]}
    info = {"length": {"x.mp4": 60.0}, "offset": {"1": 0.0, "2": 0.5}}  # b begins half a second later
    text = json.dumps(project(file=second, media_info=info))
    (point, state) = sorted(read_codes_events(write(tmp_path, text, "study.boris")), key=lambda event: event.au or 0)
    assert (point.source, point.onset_s) == ("b.mp4", pytest.approx(0.7))
    assert (state.onset_s, state.offset_s) == (pytest.approx(0.5), pytest.approx(2.0))


def test_boris_project_observed_in_part(tmp_path: Path) -> None:
    text = json.dumps(project(file={"1": ["a.mp4"]}, **{"observation time interval": [0.5, 2.0], "time offset": 10}))
    codes = read_codes(write(tmp_path, text, "study.boris"), SOURCES)
    assert at(codes, "a.mp4", [0.2, 0.7, 1.5, 2.2], "AU12_i") == ["none", 0, 3, "none"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"observations": 1}', '{"observations": {"a": {"events": [[1]]}}}', "[" * 100_000,
             json.dumps(project(events=[[11.0, "", "AU12", "C", ""]])), json.dumps(project(media_info=[]))]
)  # fmt: skip
def test_damaged_projects_are_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"a\.boris"):
        read_events(write(tmp_path, text, "a.boris"))


def test_names_reach_the_codes_of_prepare(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not decoded here")
    rows = boris(("AU12", 1, 2, "C"), subject="mother") + boris(("AU12", 1, 2, "A"), subject="infant")
    labels = write(tmp_path, AGGREGATED.format(variable="") + rows, "boris.csv")
    names = write(tmp_path, "source;face;name;frames\na;0;infant;9\na.mp4;1;mother;9\na.mp4;2;;9\n", "names.csv")
    (part,) = plan_videos(tmp_path, labels, names=names).parts
    assert isinstance(part, VideoPart)
    assert part.codes is not None
    assert {face: codes.events[0].intensity for face, codes in part.codes.faces.items()} == {0: 1, 1: 3}
    longer = write(tmp_path, "source,face,name\na,0,infant,9\n", "names.csv")
    with pytest.raises(InputError, match=r"names\.csv, row 2: has 4 cells under 3 columns"):
        plan_videos(tmp_path, labels, names=longer)
