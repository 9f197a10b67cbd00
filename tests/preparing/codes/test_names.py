"""Which video a name in a table means, and what a face is called until somebody names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.errors import InputError
from duchenne.preparing.codes.names import Sources, labels_of, own_name, read_names, same_recordings, stem_of
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.tables.study import read_trials

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


def test_recordings_of_one_file_are_called_alike_where_they_may_be_one() -> None:
    one = ["rest", "rest.mp4", "P01/rest.mp4", "lab/P01/rest", "C:\\study\\P01\\rest.mp4", "/home/ann/rest.mp4 "]
    assert set(labels_of(one).values()) == {"rest"}
    assert labels_of(["P01/rest.mp4", "P02\\rest.mp4", "x/p3.mov"]) == {
        "P01/rest.mp4": "P01/rest", "P02\\rest.mp4": "P02/rest", "x/p3.mov": "x/p3",
    }  # fmt: skip
    assert labels_of(["D:/a/p.mp4", "D:/b/p.mp4"]) == {"D:/a/p.mp4": "D:/a/p", "D:/b/p.mp4": "D:/b/p"}
    assert labels_of(["p.mp4", "p.mov", "p.wav"]) == {"p.mp4": "p.mp4", "p.mov": "p.mov", "p.wav": "p.wav"}


def test_a_recording_in_another_folder_is_another() -> None:
    """Codes of `S01/video.mp4` were put onto `S02/video.mp4`, the only one of that name."""
    alone = Sources(["S02/video.mp4"])
    assert alone.find("S01/video.mp4") is alone.find("S01/video") is alone.find_start("S01/video MK") is None
    both = Sources(["S01/video.mp4", "lab/S02/video.mp4"])
    assert both.find("C:\\study\\S01\\video.mp4") == both.find("S01/video") == "S01/video.mp4"
    assert both.find("../S02/video.mp4") == both.find_start("S02/video MK") == "lab/S02/video.mp4"
    assert both.find("video.mp4") is both.find("C:/video.mp4") is both.find("S03/video.mp4") is None
    assert Sources(["lab/p01.mp4", "lab/p02.mp4"]).find("C:/Users/ann/Desktop/p01.mp4") == "lab/p01.mp4"  # a copy
    assert Sources(["S01/video.mov", "S02/video.mp4"]).find("S01/video.mp4") == "S01/video.mov"  # converted
    assert Sources(["a/S01/video.mp4", "video.mp4"]).find("S01/video.mp4") == "a/S01/video.mp4"
    assert Sources(["A/video.mov", "B/video.mp4"]).find("C:/x/A/video.mp4") == "A/video.mov"
    assert Sources(["P01.mp4", "P01/rest.mp4"]).find_start("P01/rest MK") == "P01/rest.mp4"
    assert Sources(["S01/video.mp4"]).find("c:/study/s01/video.mp4", copies=False) == "S01/video.mp4"
    assert Sources(["study/p01.mp4"]).find("C:/Users/ann/p01.mp4", copies=False) is None


def test_codes_trials_and_names_of_a_recording_in_another_folder_are_refused(tmp_path: Path) -> None:
    table, sources = tmp_path / "codes.csv", ["S02/video.mp4"]
    for text in ("source,au,onset_s,offset_s\nS01/video.mp4,12,0,1\n", "source,frame,AU12\nS01/video.mp4,0,1\n"):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"no video or several are meant by `S01/video\.mp4`"):
            read_codes(table, sources)
    table.write_text("source,face,name\nS01/video.mp4,0,anna\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 2, source: no video or several are meant by `S01/video\.mp4`"):
        read_names(table, sources, {("S02/video.mp4", 0)})
    table.write_text("source,trial,onset_s,offset_s\nS01/video.mp4,a,0,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"`S01/video\.mp4` means no input of the table"):
        read_trials(table, sources)


def test_a_copy_of_another_computer_is_taken_and_said(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("source,au,onset_s,offset_s\nC:\\Users\\ann\\p01.mp4,12,0,1\nD:/study/p02.mp4,6,0,1\n")
    codes = read_codes(path, ["study/p01.mp4", "study/p02.mp4"])
    assert set(codes.videos) == {"study/p01.mp4", "study/p02.mp4"}
    assert codes.notes == [f"{path}: by file name alone, taken C:\\Users\\ann\\p01.mp4 for study/p01.mp4."]


def test_two_files_of_another_computer_are_not_one(tmp_path: Path) -> None:
    """S01's codes were put onto S02's recording, beside its own."""
    path = tmp_path / "codes.csv"
    path.write_text("source,au,onset_s,offset_s\nC:/study/S02/v.mp4,12,0,1\nC:/study/S01/v.mp4,6,0,1\n")
    with pytest.raises(
        InputError, match=r"row 3: `C:/study/S01/v\.mp4` cannot be S02/v\.mp4, as `C:/study/S02/v\.mp4` is"
    ):
        read_codes(path, ["S02/v.mp4"])
    path.write_text("source,au,onset_s,offset_s\nD:/ann/S02/v.mp4,12,0,1\nC:/study/v.mp4,6,0,1\n")
    assert len(read_codes(path, ["S02/v.mp4"]).notes) == 1  # a copy


def test_two_names_of_one_recording_are_one_file(tmp_path: Path) -> None:
    """A recording beside the folders fits every folder, and got the codes of all."""
    path, head = tmp_path / "codes.csv", "source,au,onset_s,offset_s\n"
    for sources in (["video.mp4"], ["video.mp4", "S01/video.mp4"]):
        path.write_text(head + "S02/video.mp4,12,0,1\nS03/video.mp4,6,0,1\n")
        with pytest.raises(InputError, match=r"row 3: `S03/video\.mp4` cannot be video\.mp4, as `S02/video\.mp4` is"):
            read_codes(path, sources)
    path.write_text(head + "D:/Rec/p01.mp4,12,0,1\nd:/rec/p01.mp4,6,0,1\n")
    assert set(read_codes(path, ["video/p01.mp4"]).videos) == {"video/p01.mp4"}
    media = '"#file:///D:/video/p01.mp4 -- offset: 0"\n"#file:///D:/audio/p01.wav -- offset: 0"\n'
    path = tmp_path / "p01.txt"
    path.write_text(media + "AU12\t\t00:00:00.500\t00:00:01.500\tC\n")
    assert set(read_codes(path, ["video/p01.mp4"]).videos) == {"video/p01.mp4"}


def test_of_several_cameras_the_one_whose_folder_fits_is_meant(tmp_path: Path) -> None:
    text = '"#file:///C:/study/P01/front.mp4 -- offset: 0"\n"#file:///C:/study/P01/side.mp4 -- offset: 0"\n'
    path = tmp_path / "P01.txt"
    path.write_text(text + "AU12\t\t00:00:00.500\t00:00:01.500\tC\n")
    assert set(read_codes(path, ["P01/side.mp4", "P02/front.mp4"]).videos) == {"P01/side.mp4"}
    (note,) = read_codes(path, ["P02/side.mp4"]).notes
    assert note.endswith("taken C:/study/P01/side.mp4 for P02/side.mp4.")


_PATHS = st.lists(st.lists(st.sampled_from(["a", "b", "P01"]), min_size=1, max_size=4), min_size=1, max_size=6)


@given(_PATHS, st.data())
def test_a_path_is_found_by_every_end_of_it_that_no_other_has(paths: list[list[str]], data: st.DataObject) -> None:
    sources = [f"{path}.mp4" for path in dict.fromkeys(map("/".join, paths))]
    chosen = data.draw(st.sampled_from(sources))
    start = data.draw(st.integers(0, chosen.count("/")))
    end = "/".join(chosen.split("/")[start:])
    above = data.draw(st.sampled_from(["", "D:/elsewhere/"])) if start == 0 else ""
    fits = [source for source in sources if f"/{source}".endswith(f"/{end}")]
    assert Sources(sources).find(above + end) == (end if end in sources else fits[0] if len(fits) == 1 else None)


def test_recordings_in_other_folders_are_compared_only_where_nothing_tells_them_apart() -> None:
    assert same_recordings(["S01/x", "S01/y"], ["S02/x", "S02/y"]) == {"S01/x": "S02/x", "S01/y": "S02/y"}
    assert same_recordings(["S01/x", "S01/y"], ["S02/x", "S02/y"], alone=False) == {}
    assert same_recordings(["S02/x", "S03/x"], ["S01/x", "S02/x"]) == {"S02/x": "S02/x"}  # folders count here
    assert same_recordings(["S02/x", "S03/x"], ["S04/x"]) == {}
    raw, coded = ["p03", "raw/p01", "raw/p02"], ["p03", "coded/p01", "coded/p02"]
    assert same_recordings(raw, coded) == dict(zip(raw, coded, strict=True))
    assert same_recordings(["study/S01/x", "S02/x"], ["S01/x", "S02/x"], alone=False) == {
        "study/S01/x": "S01/x", "S02/x": "S02/x",
    }  # fmt: skip


def test_a_name_that_gets_longer_in_small_letters() -> None:
    turkish = "\u0130lk"  # a capital I with a dot, which lower() makes two characters
    assert Sources([turkish.lower()]).find_start(turkish) == turkish.lower()
    assert Sources([turkish]).find_start(turkish.lower()) == turkish
    assert Sources(["p1.mp4"]).find_start("p1.MP4 MK") == "p1.mp4"
