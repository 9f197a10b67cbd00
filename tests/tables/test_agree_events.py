"""Agreement on codes with onset and offset, on exports, and of more than two coders; values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.preparing.codes.test_boris import AGGREGATED, boris

from duchenne.cli.main import main
from duchenne.errors import InputError, UsageError
from duchenne.tables.agree import agree
from duchenne.tables.codings import read_coding

HEAD = "source,au,onset_s,offset_s,coder\n"
ANN, BEN = "a.mp4,12,0,4,ann\n", "a.mp4,12,2,6,ben\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_two_coders_in_one_file_of_events(tmp_path: Path) -> None:
    path = write(tmp_path, "codes.csv", HEAD + ANN + BEN)
    (row,) = agree(path, out=tmp_path / "out", step_s=1.0).to_dict("records")
    # Frames at 0 to 5 s: two both, two ann alone, two ben alone; po = 1/3, pe = 16/36 + 4/36, kappa = -1/2
    assert (row["frames"], row["first_present"], row["second_present"]) == (
        6,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert (row["kappa"], row["f1"], row["first_events"], row["event_f1"]) == (-0.5, 0.5, 1, 1)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["first"], summary["second"]) == ("codes.csv: ann", "codes.csv: ben")
    assert summary["facs_agreement"] == 0.5


def test_files_of_two_coders_and_of_another_program(tmp_path: Path) -> None:
    first = write(tmp_path, "p01_ann.csv", "au,onset_s,offset_s\n12C,0,4\n6,1,2\n")
    second = write(
        tmp_path, "p01_ben.txt", "AU12\t\t00:00:02.000\t00:00:06.000\tB\nAU6\t\t00:00:01.000\t00:00:02.000\t\n"
    )
    table = agree(first, second, out=tmp_path / "out", step_s=1.0).set_index("au")
    assert table.loc["AU12", ["kappa", "frames"]].tolist() == [-0.5, 6]
    assert table.loc["AU06", "kappa"] == 1
    rows = boris(("AU12", 0, 4, "C"), ("AU6", 1, 2, ""), observer="MK")
    rows += boris(("AU12", 2, 6, "B"), ("AU6", 1, 2, ""), observer="BT", obs="two")
    export = write(tmp_path, "boris.csv", AGGREGATED.format(variable="Observer,") + rows)
    both = agree(export, out=tmp_path / "out", step_s=1.0).set_index("au")
    assert both["kappa"].to_dict() == {"AU06": 1, "AU12": -0.5}


def test_events_on_the_frames_of_a_table(tmp_path: Path) -> None:
    time_s = np.arange(100) / 25
    table = pd.DataFrame({"source": "rec/a.mp4", "frame": np.arange(100), "time_s": time_s, "AU12_c": 0, "AU06_p": 0.2})
    table.loc[25:49, "AU12_c"] = 1
    frames = tmp_path / "a_aus.csv"
    table.to_csv(frames, index=False)
    events = write(tmp_path, "codes.csv", HEAD + "a.mp4,12,1.0,2.0,\na.mp4,coded,0.4,3.2,\na.mp4,6,0.5,0.6,\n")
    found = agree(events, frames, out=tmp_path / "out").set_index("au")
    assert found.loc["AU12", ["frames", "kappa", "first_events"]].tolist() == [70, 1, 1]  # 0.4 to 3.2 s alone was coded
    assert found.loc["AU06", ["first_present", "second_present"]].tolist() == [
        pytest.approx(3 / 70, abs=1e-6),
        0,
    ]  # middles .50 .54 .58


def test_an_event_without_a_grade_is_present_like_the_others(tmp_path: Path) -> None:
    time_s = np.arange(100) / 25
    # The tool sees the first second's smile, which is graded, and takes the third's, which is not, for the opposite.
    tool = pd.DataFrame({"frame": np.arange(100), "time_s": time_s, "AU12_p": 0.3})
    tool.loc[:24, "AU12_p"], tool.loc[50:74, "AU12_p"] = 0.9, 0.1
    tool.to_csv(tmp_path / "tool.csv", index=False)
    human = write(tmp_path, "human.csv", "source,au,onset_s,offset_s,intensity\nx,12,0,1,C\nx,12,2,3,\n")
    (row,) = agree(human, tmp_path / "tool.csv", out=tmp_path / "out").to_dict("records")
    assert (row["frames"], row["first_present"], row["second_present"]) == (100, 0.5, 0.25)
    assert row["auc"] == 0.5  # 25 of 50 present frames are above all 50 absent ones, 25 below all
    assert row["kappa"] == 0.5
    assert row["correlation"] == pytest.approx(1)  # of the 75 frames with a grade: 0 and .3, or 3 and .9


def test_events_outside_the_frames_of_a_table_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames at 60.00 to 63.96 s: of four events of a.mp4 three begin before or end after; nobody has b.mp4."""
    time_s = 60 + np.arange(100) / 25
    table = pd.DataFrame({"source": "a.mp4", "frame": np.arange(100), "time_s": time_s, "AU12_c": np.arange(100) % 2})
    frames = tmp_path / "a_aus.csv"
    table.to_csv(frames, index=False)
    lines = "a.mp4,12,1.0,2.0,\na.mp4,12,61.0,62.0,\na.mp4,12,63.0,64.6,\na.mp4,unknown,80,81,\nb.mp4,12,1.0,2.0,\n"
    events = write(tmp_path, "codes.csv", HEAD + lines)
    assert main(["agree", str(events), str(frames), "--out", str(tmp_path / "out")]) == 0
    first = (
        "codes.csv: a: 3 of 4 events lie outside the recording, which goes from 60.00 to 64.00 s (the first at 1.00 s)."
    )
    second = "codes.csv alone has b: left out."
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["notes"] == [second, first]
    said, page = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert all(f"note: {sentence}" in said and sentence in page for sentence in (first, second))


def test_three_coders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "codes.csv", HEAD + ANN + BEN + ANN.replace("ann", "=cy"))
    assert main(["agree", str(path), "--out", str(tmp_path / "out"), "--step-s", "1"]) == 0
    table = pd.read_csv(tmp_path / "out" / "agreement.csv")
    assert table[["first_coder", "second_coder", "kappa"]].to_numpy().tolist() == [
        ["codes.csv: ann", "codes.csv: ben", -0.5], ["codes.csv: ann", "codes.csv: =cy", 1.0],
        ["codes.csv: ben", "codes.csv: =cy", -0.5],
    ]  # fmt: skip
    (row,) = pd.read_csv(tmp_path / "out" / "reliability.csv").to_dict("records")
    # Four units are split 2 to 1, two are unanimous; 12 of 18 values are ones. Fleiss: P = (4/3 + 2)/6 = 5/9, which is
    # what chance gives; alpha = 1 - 17 * (4 units * 4 unequal ordered pairs / 2) / (2 * 12 * 6)
    assert (row["au"], row["coders"], row["frames"], row["fleiss_kappa"]) == ("AU12", 3, 6, 0)
    assert row["alpha"] == pytest.approx(1 - 17 * 8 / 144, abs=1e-6)
    assert "ben" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 codings" in page
    assert "Reliability of all codings" in page


def test_what_could_not_be_coded_takes_no_part(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", HEAD + ANN + "a.mp4,unknown,1,3,ann\n")
    second = write(tmp_path, "b.csv", HEAD + BEN)
    (row,) = agree(first, second, out=tmp_path / "out", step_s=1.0).to_dict("records")
    # left are 0 (ann), 3 (both), 4 and 5 (ben)
    assert (row["frames"], row["first_present"], row["second_present"]) == (4, 0.5, 0.75)


@pytest.mark.parametrize(("seconds", "scale"), [(True, 1.0), (False, 1000.0)])
def test_libreface_writes_seconds_or_milliseconds(tmp_path: Path, seconds: bool, scale: float) -> None:
    frame = np.arange(62)
    pd.DataFrame({"frame_idx": frame, "frame_time_in_ms": frame / 30 * scale, "au_12": frame % 2}).to_csv(
        tmp_path / "libreface.csv"
    )
    assert read_coding(tmp_path / "libreface.csv").keys["time_s"].tolist() == pytest.approx((frame / 30).tolist())
    ours = pd.DataFrame({"frame": frame, "time_s": frame / 30, "AU12": frame % 2})
    ours.to_csv(tmp_path / "ours.csv", index=False)
    (row,) = agree(tmp_path / "ours.csv", tmp_path / "libreface.csv", out=tmp_path / "out").to_dict("records")
    assert (row["frames"], row["kappa"]) == (62, 1)


def test_every_thirtieth_frame_of_libreface(tmp_path: Path) -> None:
    frame = np.arange(0, 3000, 60)  # two seconds apart: only the frame numbers tell seconds from milliseconds
    pd.DataFrame({"frame_idx": frame, "frame_time_in_ms": frame / 30, "au_12": frame % 2}).to_csv(tmp_path / "l.csv")
    assert read_coding(tmp_path / "l.csv").keys["time_s"].max() == pytest.approx(98)


def test_codes_per_frame_with_letters_and_marks(tmp_path: Path) -> None:
    text = "source;frame;AU12_i;AU06\na;0;C;1\na;1;2,5;9\na;2;NA;0\na;3;.;-1\na;4;0;1\n"
    coding = read_coding(write(tmp_path, "codes.csv", text))
    assert coding.values[12, "intensity"].tolist() == pytest.approx([3, 2.5, np.nan, np.nan, 0], nan_ok=True)
    assert coding.values[6, "occurrence"].tolist() == pytest.approx([1, np.nan, 0, np.nan, 1], nan_ok=True)


def test_bad_use(tmp_path: Path) -> None:
    path = write(tmp_path, "codes.csv", HEAD + ANN)
    with pytest.raises(UsageError, match="needs two codings"):
        agree(path, out=tmp_path / "out")
    with pytest.raises(InputError, match="no action unit in common"):
        agree(path, write(tmp_path, "b.csv", HEAD + "a.mp4,6,0,1,x\n"), out=tmp_path / "out")
    with pytest.raises(UsageError, match="step_s 0: must be at least"):
        agree(path, path, out=tmp_path / "out", step_s=0)
    assert not (tmp_path / "out").exists()


def test_recordings_of_one_coding_alone_are_said(tmp_path: Path) -> None:
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "p01,12,0,2\np02,12,0,2\n")
    second = write(tmp_path, "y.csv", head + "p02.mp4,12,0,1\np03,12,0,2\n")
    notes = agree(first, second, out=tmp_path / "out", step_s=1.0).attrs["notes"]
    assert notes == ["x.csv alone has p01, y.csv alone has p03: left out."]
    alone = write(tmp_path, "z.csv", head + "p09,12,0,1\n")
    notes = agree(write(tmp_path, "x.csv", head + "p01,12,0,2\n"), alone, out=tmp_path / "out", step_s=1.0).attrs[
        "notes"
    ]
    assert notes == ["z.csv: p09 is taken for the recording p01 of x.csv."]


def test_what_nobody_could_see_takes_part_for_nobody(tmp_path: Path) -> None:
    """Two people by two coders, 4 s each; the last two seconds nobody could see anybody."""
    head = "Tier\tParticipant\tBegin Time - msec\tEnd Time - msec\tAnnotation\n"
    rows = "".join(
        f"AU12@{who}\t{seen}\t{start}\t{start + 1000}\t\n"
        for who, start in (("ann", 0), ("ben", 1000))
        for seen in ("mother", "infant")
    )
    path = write(tmp_path, "a.txt", head + rows + "Visibility\t\t2000\t4000\tface not visible\n")
    (row,) = agree(path, out=tmp_path / "out", step_s=1.0).to_dict("records")
    assert (row["frames"], row["first_present"], row["kappa"]) == (4, 0.5, -1)


def test_what_follows_a_point_is_an_ending_only_where_files_have_it(tmp_path: Path) -> None:
    """`p1.pre` and `p1.post` are two recordings, and nobody's codes are replaced by those of `p1 MK`."""
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "p1.pre,12,0,2\np1.post,12,3,5\np2,12,0,2\n")
    second = write(tmp_path, "y.csv", head + "p1.pre.mp4,12,0,2\np1.post.mov,12,3,5\np1 MK,12,0,1\np2_MK,12,0,2\n")
    table = agree(first, second, out=tmp_path / "out", step_s=0.5)
    assert table[["frames", "kappa"]].to_numpy().tolist() == [[18, 1]]  # 2, 5 and 2 s, every half second
    assert table.attrs["notes"] == [
        "y.csv: p2_MK is taken for the recording p2 of x.csv.",
        "y.csv alone has p1 MK: left out.",
    ]


def test_two_files_of_one_name_stay_two(tmp_path: Path) -> None:
    """P01's and P02's `rest.mp4` were one recording, in which two coders who agree nowhere seemed to agree."""
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "P01/rest.mp4,12,0,2\nP02/rest.mp4,12,3,5\n")
    second = write(tmp_path, "y.csv", head + "P01\\rest.mp4,12,3,5\nP02\\rest.mp4,12,0,2\n")
    table = agree(first, second, out=tmp_path / "out", step_s=0.5)
    # 10 frames each, 4 of either coder: po = 4/20, pe = (8*8 + 12*12)/400
    assert table[["frames", "kappa"]].to_numpy().tolist() == [[20, pytest.approx((0.2 - 0.52) / 0.48, abs=1e-6)]]
    frames = tmp_path / "frames.csv"
    rows = [
        {"source": f"{person}/rest.mp4", "frame": frame, "time_s": frame / 2, "AU12_c": int(frame < 4)}
        for person in ("P01", "P02") for frame in range(10)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(frames, index=False)
    assert agree(frames, first, out=tmp_path / "out")["frames"].tolist() == [20]


def test_two_recordings_of_one_file_are_two_also_where_each_coder_has_one(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", HEAD + "p1,12,0,2,ann\np2,12,2,4,ben\np1,12,0,2,cy\np2,12,2,4,cy\n")
    codings = {"ann": "p1,12,0,2,\n", "ben": "p2,12,2,4,\n", "cy": "p1,12,0,2,\np2,12,2,4,\n"}
    files = [write(tmp_path, f"{name}.csv", HEAD + rows) for name, rows in codings.items()]
    for given in ([path], files):
        found = agree(*given, out=tmp_path / "out", step_s=0.5)
        assert found[["frames", "f1"]].to_numpy().tolist() == [[4, 1], [8, 1]]  # each with cy; p2 ends at 4 s
        assert found.attrs["notes"][-1].startswith("left out: ")
        assert "no frame of one is in the other" in found.attrs["notes"][-1]
    with pytest.raises(InputError, match=r"x.csv: ann and x.csv: ben: no frame of one is in the other"):
        agree(write(tmp_path, "x.csv", HEAD + "p1,12,0,2,ann\np2,12,2,4,ben\n"), out=tmp_path / "out")
    sessions = write(tmp_path, "s.csv", HEAD + "p1 - MK,12,0,2,MK\np1 - BT,12,0,2,BT\n")
    assert agree(sessions, out=tmp_path / "out", step_s=0.5)["frames"].tolist() == [4]


def test_names_that_begin_alike_are_found_from_either_side(tmp_path: Path) -> None:
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "p1 MK,12,0,2\np2 MK,12,0,2\np3,12,0,2\n")
    second = write(tmp_path, "y.csv", head + "p1,12,0,2\np2,12,0,2\np3,12,0,2\n")
    for pair in ((first, second), (second, first)):
        table = agree(*pair, out=tmp_path / "out", step_s=0.5)
        assert table[["frames", "f1"]].to_numpy().tolist() == [[12, 1]]
    tables = []
    for name, sources in (("a.csv", ("p1", "p2")), ("b.csv", ("p1 cam", "p2 cam"))):
        rows = [{"source": source, "frame": f, "AU12_c": f % 2} for source in sources for f in range(10)]
        pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
        tables.append(tmp_path / name)
    assert agree(*tables, out=tmp_path / "out")["frames"].tolist() == [20]


def test_a_table_without_sources_is_about_one(tmp_path: Path) -> None:
    pd.DataFrame({"frame": range(10), "time_s": np.arange(10) / 2, "AU12_c": 1}).to_csv(tmp_path / "t.csv", index=False)
    one = write(tmp_path, "one.csv", "source,au,onset_s,offset_s\np1,12,0,5\n")
    assert agree(tmp_path / "t.csv", one, out=tmp_path / "out").attrs["notes"] == []
    codes = write(tmp_path, "codes.csv", "source,au,onset_s,offset_s\np1,12,0,2\np2,12,0,2\n")
    with pytest.raises(InputError, match=r"^t.csv and codes.csv: one has several sources, the other no column"):
        agree(tmp_path / "t.csv", codes, out=tmp_path / "out")


def test_recordings_of_one_name_in_two_folders_are_compared_only_with_a_word(tmp_path: Path) -> None:
    """S01's recording was compared with S02's as if they were one, and nothing said so."""
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "S01/video.mp4,12,0,2\nS01/rest.mp4,12,0,2\n")
    second = write(tmp_path, "y.csv", head + "S02/video.mp4,12,0,2\nS02/rest.mp4,12,0,2\n")
    assert agree(first, second, out=tmp_path / "out", step_s=1).attrs["notes"] == [
        "y.csv: S02/rest is taken for the recording S01/rest of x.csv.",
        "y.csv: S02/video is taken for the recording S01/video of x.csv.",
    ]
    lines = "S01/video.mp4,12,0,2,ann\nS02/video.mp4,12,0,2,ben\n"
    coders = write(tmp_path, "z.csv", head.replace("\n", ",coder\n") + lines)
    with pytest.raises(InputError, match="no frame of one is in the other"):  # one file names both: they are two
        agree(coders, out=tmp_path / "out", step_s=1)


def test_a_recording_that_only_later_codings_have_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    head = "source,au,onset_s,offset_s\n"
    first = write(tmp_path, "x.csv", head + "p1.mp4,12,0,2\n")
    second = write(tmp_path, "y.csv", head + "p1.mp4,12,0,2\nlab/p9.mp4,12,0,2\n")
    third = write(tmp_path, "z.csv", head + "p1.mp4,12,0,2\np9,12,0,2\n")
    table = agree(first, second, third, out=tmp_path / "out", step_s=1)
    assert table["frames"].tolist() == [2, 2, 4]
    assert table.attrs["notes"] == ["y.csv alone has lab/p9: left out.", "z.csv alone has lab/p9: left out."]


def test_what_reading_codes_says_is_said_by_agree(tmp_path: Path) -> None:
    head = "Tier\tBegin Time - msec\tEnd Time - msec\tAnnotation\n"
    first = write(tmp_path, "p1.txt", head + "AU4\t0\t2000\t\nMouth\t0\t2000\t12\n")
    second = write(tmp_path, "p1_b.txt", head + "AU4\t0\t2000\t\nFACS\t0\t2000\t12\n")
    table = agree(first, second, out=tmp_path / "out", step_s=1)
    assert table["au"].tolist() == ["AU04"]
    assert any("bare numbers in `Mouth` are not read as AUs" in note for note in table.attrs["notes"])
    alone = write(tmp_path, "p2.txt", head + "Mouth\t0\t2000\t12\n")
    with pytest.raises(InputError, match=r"holds no AU .* bare numbers in `Mouth`"):
        agree(first, alone, out=tmp_path / "out")
