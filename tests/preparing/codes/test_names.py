"""Which video a name in a table means, and what a face is called until somebody names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from duchenne.preparing.codes.names import Sources, labels_of, own_name, read_names, same_recordings, stem_of
from duchenne.preparing.codes.video_codes import read_codes

TAKEN_APART = "mu\u0308ller.mp4"  # as file systems of Macs write it
TOGETHER = "m\u00fcller.mp4"


@pytest.mark.parametrize(("stored", "written"), [(TAKEN_APART, TOGETHER), (TOGETHER, TAKEN_APART)])
def test_accents_are_the_same_however_they_are_encoded(tmp_path: Path, stored: str, written: str) -> None:
    source, stem = f"lab/{stored}", written.removesuffix(".mp4")
    for name in (f"lab/{written}", written, stem):
        assert Sources([source, "lab/other.mp4"]).find(name) == source
    assert Sources([source]).find_start(f"{stem} MK") == source
    codes = tmp_path / "codes.csv"
    codes.write_text(f"source,au,onset_s,offset_s\n{written},12,0.2,0.4\n", encoding="utf-8")
    assert set(read_codes(codes, [source]).videos) == {source}
    names = tmp_path / "names.csv"
    names.write_text(f"source,face,name\n{written},0,anna\n", encoding="utf-8")
    assert read_names(names, [source], {(source, 0)}) == {(source, 0): "anna"}


@pytest.mark.parametrize("name", ["rec\\p01.mp4", "rec/p01.mp4", "p01.mp4", "p01", "C:\\study\\p01.mp4"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_paths_of_windows_are_found_by_any_spelling(name: str, slash: str) -> None:
    first, second = f"rec{slash}p01.mp4", f"rec{slash}p02.mp4"
    assert Sources([first, second]).find(name) == first
    assert Sources([first, second]).find_start("p02 second") == second


def test_only_the_suffix_of_a_video_is_left_out_of_a_subject() -> None:
    assert own_name("sub/one.MP4", 0) == "sub/one#0"
    assert own_name("a.b.mkv", 1) == "a.b#1"
    days = ["01.05.2024", "01.05.2025", "p1.baseline", "p1.followup"]  # folders of pictures
    assert [own_name(day, 0) for day in days] == [f"{day}#0" for day in days]


def test_what_follows_a_point_is_an_ending_only_where_files_have_it() -> None:
    """`p1.followup`, whose video is missing, was taken for `p1`."""
    assert Sources(["lab/p1.mp4"]).find("p1.followup") is None
    assert Sources(["lab/p1.mp4"]).find_start("p1.followup MK") is None
    assert Sources(["lab/p1.mp4"]).find("p1.MOV") == "lab/p1.mp4"
    assert Sources(["p1.pre.mp4", "p1.post.mp4"]).find("p1.post") == "p1.post.mp4"
    assert Sources(["p1.pre.mp4", "p1.post.mp4"]).find_start("p1.post MK") == "p1.post.mp4"
    assert Sources(["p1.pre", "p1.post"]).find("p1") is None
    assert [stem_of(name) for name in ("rec\\p1.mp4", "rec/p1.pre", "p1.WAV", "..mp4")] == ["p1", "p1.pre", "p1", ""]


def test_no_two_recordings_become_the_same_one() -> None:
    assert same_recordings(["p1", "p1 MK"], ["lab/p1.mp4", "p2.mp4"]) == {"p1": "lab/p1.mp4"}
    assert same_recordings(["p1 AB", "p1 MK"], ["p1", "p2"]) == {}
    assert same_recordings(["p1 MK", "p2"], ["p1", "p2"]) == {"p1 MK": "p1", "p2": "p2"}
    assert same_recordings(["first"], ["second"]) == {"first": "second"}
    assert same_recordings(["p1", "p2"], ["p1 AB", "p1 MK", "p2 MK"]) == {"p2": "p2 MK"}


def test_recordings_are_called_by_their_stems_where_that_keeps_them_apart() -> None:
    one = ["rest", "rest.mp4", "P01/rest.mp4", "lab/P01/rest", "C:\\study\\P01\\rest.mp4", "/home/ann/rest.mp4 "]
    assert set(labels_of(one).values()) == {"rest"}
    assert labels_of(["P01/rest.mp4", "P02\\rest.mp4", "x/p3.mov"]) == {
        "P01/rest.mp4": "P01/rest", "P02\\rest.mp4": "P02/rest", "x/p3.mov": "p3",
    }  # fmt: skip
    assert labels_of(["D:/a/p.mp4", "D:/b/p.mp4"]) == {"D:/a/p.mp4": "D:/a/p", "D:/b/p.mp4": "D:/b/p"}
    assert labels_of(["p.mp4", "p.mov", "p.wav"]) == {"p.mp4": "p.mp4", "p.mov": "p.mov", "p.wav": "p.wav"}


def test_a_name_that_gets_longer_in_small_letters() -> None:
    turkish = "\u0130lk"  # a capital I with a dot, which lower() makes two characters
    assert Sources([turkish.lower()]).find_start(turkish) == turkish.lower()
    assert Sources([turkish]).find_start(turkish.lower()) == turkish
    assert Sources(["p1.mp4"]).find_start("p1.MP4 MK") == "p1.mp4"
