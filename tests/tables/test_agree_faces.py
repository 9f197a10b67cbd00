"""Whose codes they are: faces with numbers, names or none, in `agree`; values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne.errors import InputError
from duchenne.preparing.codes.video_codes import read_codes
from duchenne.tables.agree import agree
from duchenne.tables.event_codings import read_event_codings


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def framed(folder: Path, faces: dict[int | None, range], widths: tuple[int, ...] = ()) -> Path:
    """A table of `p1`, two frames a second: everybody shows AU 12 from 0 to 2 s and AU 6 from 3 to 5 s."""
    parts = []
    for face, frames in faces.items():
        time_s = np.array(frames) / 2
        part = pd.DataFrame({"source": "p1", "frame": frames, "time_s": time_s, "face": face})
        for column, onset_s, offset_s in (("AU12_c", 0, 2), ("AU06_c", 3, 5)):
            there = ((time_s >= onset_s) & (time_s < offset_s)).astype(float)
            part[column] = np.nan if face is None else there
        if widths:
            part["width"] = widths[len(parts)]
        parts.append(part)
    path = folder / "p1_aus.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


BOTH = "source,au,onset_s,offset_s\np1,12,0,2\np1,6,3,5\n"
FACES = "source,face,au,onset_s,offset_s\n"


def test_codes_that_name_no_face_are_of_the_one_seen_largest_and_longest(tmp_path: Path) -> None:
    table = framed(tmp_path, {0: range(4), 1: range(12)})
    found = agree(table, write(tmp_path, "codes.csv", BOTH), out=tmp_path / "out")
    assert found[["kappa", "frames"]].to_numpy().tolist() == [[1, 12], [1, 12]]
    assert found.attrs["notes"] == [
        "codes.csv: names no face in p1, where p1_aus.csv has 2; taken to be face 1, which is seen largest and longest."
    ]

    near = framed(tmp_path, {0: range(4), 1: range(12)}, widths=(200, 20))  # 800 to 240: as `prepare` takes it
    found = agree(near, write(tmp_path, "codes.csv", BOTH), out=tmp_path / "out")
    assert "taken to be face 0" in found.attrs["notes"][0]
    pd.read_csv(near).assign(width="wide").to_csv(near, index=False)
    found = agree(near, tmp_path / "codes.csv", out=tmp_path / "out")
    assert "taken to be face 1" in found.attrs["notes"][0]


def test_frames_without_a_face_are_nobody(tmp_path: Path) -> None:
    """`detect` writes rows for frames in which it found nobody; they were face 0, and the codes were left out."""
    table = framed(tmp_path, {1: range(5), None: range(5, 12)})
    found = agree(table, write(tmp_path, "codes.csv", BOTH), out=tmp_path / "out").set_index("au")
    assert (found.loc["AU12", "frames"], found.loc["AU12", "kappa"]) == (5, 1)
    assert found.attrs["notes"] == []


def test_who_was_coded_is_asked_where_nothing_says_it(tmp_path: Path) -> None:
    table = framed(tmp_path, {10: range(12), 2: range(12)})
    sentence = r"^codes.csv: names no face in p1, and it may be any of 2, 10 \(p1_aus.csv\); say in a column `face`"
    with pytest.raises(InputError, match=sentence):
        agree(table, write(tmp_path, "codes.csv", BOTH), out=tmp_path / "out")
    three = [write(tmp_path, f"{name}.csv", BOTH) for name in "bc"]
    two = write(tmp_path, "a.csv", FACES + "p1,3,12,0,2\np1,3,6,3,5\np1,4,12,4,6\n")
    with pytest.raises(InputError, match=r"^b.csv: names no face in p1, and it may be any of 3, 4 \(a.csv\)"):
        agree(two, *three, out=tmp_path / "out")
    mixed = write(tmp_path, "mixed.csv", FACES + "p1,,12,0,2\np1,0,6,3,5\n")
    with pytest.raises(InputError, match=r"^mixed.csv: some codes in p1 name a face \(0\), others none; say of whom"):
        agree(mixed, three[0], out=tmp_path / "out")


def test_codes_without_a_face_are_of_the_one_that_others_name(tmp_path: Path) -> None:
    one = write(tmp_path, "a.csv", FACES + "p1,3,12,0,2\np1,3,6,3,5\n")
    others = [write(tmp_path, f"{name}.csv", BOTH) for name in "bc"]
    for order in ([one, *others], [*others, one]):
        found = agree(*order, out=tmp_path / "out", step_s=0.5)
        assert found[["frames", "kappa"]].to_numpy().tolist() == [[10, 1]] * 6
        assert found.attrs["notes"] == []


def test_codes_of_faces_that_a_table_lacks_are_said(tmp_path: Path) -> None:
    table = framed(tmp_path, {0: range(12), 1: range(8)})
    found = agree(table, write(tmp_path, "codes.csv", FACES + "p1,5,12,0,2\np1,0,12,0,2\n"), out=tmp_path / "out")
    assert found["kappa"].tolist() == [1]
    assert found.attrs["notes"] == ["codes.csv: the codes of 5 in p1 are left out: p1_aus.csv has 0, 1."]
    alone = framed(tmp_path, {0: range(12)})
    found = agree(alone, write(tmp_path, "codes.csv", FACES + "p1,1,12,0,2\n"), out=tmp_path / "out")
    assert found["kappa"].tolist() == [1]
    assert found.attrs["notes"] == [
        "codes.csv: the codes of 1 in p1 are taken to be those of 0, the only face that p1_aus.csv has there."
    ]
    subject = write(tmp_path, "codes.csv", "source,subject,au,onset_s,offset_s\np1,MK,12,0,2\np1,,6,3,5\n")
    found = agree(alone, subject, out=tmp_path / "out")
    assert (found["kappa"].tolist(), found.attrs["notes"]) == ([1, 1], [])


def test_stretches_without_a_face_hold_for_all_and_codes_for_one(tmp_path: Path) -> None:
    """AU 12 of the face that nobody named was counted as present on face 1, too."""
    path = write(tmp_path, "x.csv", FACES + "p1,0,12,0,2\np1,1,12,2,4\np1,,unknown,3,4\n")
    (coding,) = read_event_codings(path)
    assert {face: len(codes.events) for face, codes in coding.videos["p1"].items()} == {"0": 1, "1": 1}
    assert {face: len(codes.unknown) for face, codes in coding.videos["p1"].items()} == {"0": 1, "1": 1}
    nothing = write(tmp_path, "y.csv", FACES + "p1,,none,0,6\np2,0,12,0,1\n")
    found = agree(framed(tmp_path, {0: range(12), 1: range(8)}), nothing, out=tmp_path / "out")
    assert found[["frames", "first_present", "second_present"]].to_numpy().tolist() == [[20, 0.4, 0]]
    both = write(tmp_path, "z.csv", FACES + "p1,0,12,0,2\np1,1,12,2,4\np2,0,12,0,1\n")
    found = agree(both, nothing, out=tmp_path / "out", step_s=0.5)
    # of p1 8 frames of each face, 4 of which show it; of p2 2 and 2
    assert found[["frames", "first_present", "second_present"]].to_numpy().tolist() == [[18, 0.555556, 0.111111]]


def test_a_recording_in_which_a_tool_finds_nobody_is_compared_between_coders(tmp_path: Path) -> None:
    table = framed(tmp_path, {None: range(12)})
    seen = pd.read_csv(table).assign(source="p2", face=0, AU12_c=0)
    pd.concat([pd.read_csv(table), seen]).to_csv(table, index=False)
    lines = "".join(f"{source},12,0,2,{who}\n" for source in ("p1", "p2") for who in ("ann", "ben"))
    codes = write(tmp_path, "codes.csv", "source,au,onset_s,offset_s,coder\n" + lines)
    found = agree(table, codes, out=tmp_path / "out")
    assert found.set_index(["first_coder", "second_coder"])["frames"].to_dict() == {
        ("p1_aus.csv", "codes.csv: ann"): 12, ("p1_aus.csv", "codes.csv: ben"): 12,
        ("codes.csv: ann", "codes.csv: ben"): 24,
    }  # fmt: skip


def test_a_face_of_which_is_said_only_that_it_could_not_be_seen_was_not_coded(tmp_path: Path) -> None:
    """Face 0, one stretch of which is unknown, was absent in all others, also in `prepare`."""
    codes = write(tmp_path, "codes.csv", FACES + "p1,1,12,0,2\np1,0,unknown,3,4\n")
    found = agree(framed(tmp_path, {0: range(12), 1: range(8)}), codes, out=tmp_path / "out")
    assert found[["frames", "kappa"]].to_numpy().tolist() == [[8, 1]]
    assert set(read_codes(codes, ["p1"]).videos["p1"].faces) == {1}
    open_ = write(tmp_path, "open.csv", FACES + "p1,,12,0,2\np1,1,unknown,3,4\n")  # may be of face 1
    found = agree(framed(tmp_path, {1: range(12)}), open_, out=tmp_path / "out")
    assert found[["frames", "kappa"]].to_numpy().tolist() == [[10, 1]]
    assert [len(codes.unknown) for codes in read_codes(open_, ["p1"]).videos["p1"].faces.values()] == [1]


def test_one_person_may_be_called_differently_by_everybody(tmp_path: Path) -> None:
    head = "source,subject,au,onset_s,offset_s\n"
    files = [
        write(tmp_path, "a.csv", head + "p1,MK,12,0,2\np2,kid,12,0,2\np2,dad,12,2,4\n"),
        write(tmp_path, "b.csv", head + "p1,Mary,12,0,2\np2,kid,12,0,2\np2,dad,12,2,4\n"),
        write(tmp_path, "c.csv", head + "p1,,12,0,2\n"),
    ]
    found = agree(*files, out=tmp_path / "out", step_s=0.5)
    assert found[["frames", "f1"]].to_numpy().tolist() == [[20, 1], [4, 1], [4, 1]]


def test_codes_of_which_no_face_is_there_are_an_error(tmp_path: Path) -> None:
    table = framed(tmp_path, {0: range(12), 1: range(8)})
    codes = write(tmp_path, "codes.csv", "source,subject,au,onset_s,offset_s\np1,mother,12,0,2\np1,infant,12,2,4\n")
    with pytest.raises(InputError, match=r"^codes.csv: p1_aus.csv has none of its faces \(infant, mother\); write the"):
        agree(table, codes, out=tmp_path / "out")


def coder_table(folder: Path, *, face: str | None = None) -> Path:
    """What a coder says of the ten frames of `framed`, in rows per frame: AU 12 from 0 to 2 s, AU 6 never."""
    table = pd.DataFrame({"frame": range(10), "time_s": np.arange(10) / 2, "AU12": [1] * 4 + [0] * 6, "AU06": 0})
    if face is not None:
        table["face"] = face
    path = folder / "coder.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("face", [None, "ann"])
def test_rows_of_nobody_are_no_second_face(tmp_path: Path, face: str | None) -> None:
    # The only face has another name than the coder's, and in two frames nobody was found.
    tool = framed(tmp_path, {1: range(8), None: range(8, 10)})
    coder = coder_table(tmp_path, face=face)
    for one, other in ((coder, tool), (tool, coder)):
        table = agree(one, other, out=tmp_path / "out").set_index("au")
        assert list(table["frames"]) == [8, 8]
        assert table.loc["AU12", "kappa"] == 1


def test_a_table_that_names_no_face_is_of_the_one_seen_largest_and_longest(tmp_path: Path) -> None:
    # Face 0 passes by and shows nothing of what was coded.
    tool = framed(tmp_path, {0: range(4, 8), 1: range(10)}, (40, 90))
    coder = coder_table(tmp_path)
    for one, other in ((coder, tool), (tool, coder)):
        table = agree(one, other, out=tmp_path / "out")
        assert list(table["frames"]) == [10, 10]
        assert table.set_index("au").loc["AU12", "kappa"] == 1
        assert table.attrs["notes"] == [
            "coder.csv: names no face, where p1_aus.csv has 2; taken to be face 1, which is seen largest and longest."
        ]
    tool = framed(tmp_path, {0: range(10), 1: range(10)}, (90, 90))
    with pytest.raises(InputError, match="it may be any of 0, 1"):
        agree(coder, tool, out=tmp_path / "out")
