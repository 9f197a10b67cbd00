"""Tables that `summarize` reads: all formats, other tools, folders and lists, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from tests.detection.made import points

import duchenne
from duchenne.cli.main import main
from duchenne.data.spreadsheets import csv_text, read_csv_table
from duchenne.detection.formats import FORMATS
from duchenne.detection.results import DetectedFace, FrameResult, Rows
from duchenne.errors import InputError
from duchenne.faces.find import Face
from duchenne.tables.writing import table_writer, write_record

COLUMNS = ("AU06_s", "AU12_s", "AU45_s")


def detected(source: str = "rec/a.mp4") -> Rows:
    """Ten frames a second for three seconds; somebody smiles in the second one, and is not seen in the last frame."""
    face = Face((1.0, 2.0, 100.0, 110.0), 0.9, points(), None, (40.0, 0.0, 0.0), quality=("turned",))
    frames = []
    for number in range(31):
        values = np.array([np.nan, 0.8 if 10 <= number < 20 else 0.1, 0.2], np.float32)
        found = (DetectedFace(0, face, values),) if number < 30 else ()
        frames.append(FrameResult(source, number, number / 10, found, None))
    return Rows(frames, COLUMNS)


@pytest.mark.parametrize("name", ["duchenne", "openface", "fex"])
def test_our_own_formats_say_the_same(tmp_path: Path, name: str) -> None:
    FORMATS[name](detected()).to_csv(tmp_path / "a_aus.csv", index=False)
    summary = duchenne.summarize(tmp_path / "a_aus.csv")
    rows = summary.faces.set_index("au")
    assert rows.loc[12, ["source", "face", "frames", "peak", "peak_s"]].tolist() == ["rec/a.mp4", 0, 30, 0.8, 1.0]
    assert rows.loc[12, ["mean", "share"]].tolist() == pytest.approx([0.1 * 2 / 3 + 0.8 / 3, 1 / 3], abs=1e-6)
    assert summary.episodes[["au", "onset_s", "offset_s"]].to_numpy().tolist() == [[12, 1.0, 2.0]]
    (quality,) = summary.quality.to_dict("records")
    assert (quality["seen"], quality["turned"], quality["blurred"]) == (pytest.approx(30 / 31, abs=1e-6), 1, 0)


@pytest.mark.parametrize("name", ["duchenne", "openface", "fex"])
def test_our_own_formats_keep_the_scale_of_scores_and_the_decisions(tmp_path: Path, name: str) -> None:
    """A standard deviation over neutral faces is little; what the model decides counts, whatever its score."""
    face = Face((1.0, 2.0, 100.0, 110.0), 0.9, points(), None, (0.0, 0.0, 0.0))
    frames = []
    for number in range(30):
        values = np.array([1.0, 2.5, 12 <= number < 18, 1.0, 20 <= number < 23], np.float32)
        frames.append(FrameResult("a.mp4", number, number / 10, (DetectedFace(0, face, values),), None))
    rows = Rows(frames, ("AU04_s", "AU12_s", "AU12_c", "AU45_s", "AU45_c"), "z")
    FORMATS[name](rows).to_csv(tmp_path / "a_aus.csv", index=False)
    summary = duchenne.summarize(tmp_path / "a_aus.csv")
    assert summary.faces.set_index("au")["share"].to_dict() == pytest.approx({4: 0, 12: 0.2, 45: 0.1})
    assert summary.episodes[["au", "onset_s", "offset_s"]].to_numpy().tolist() == [[12, 1.2, 1.8], [45, 2.0, 2.3]]


def openface() -> pd.DataFrame:
    """As OpenFace writes it, blanks in the header included; the face is lost in the fourth frame."""
    return pd.DataFrame(
        {
            "frame": [1, 2, 3, 4, 5], " face_id": 0, " timestamp": [0.0, 0.5, 1.0, 1.5, 2.0], " confidence": 0.98,
            " success": [1, 1, 1, 0, 1], " pose_Rx": 0.7, " pose_Ry": 0.0, " pose_Rz": 0.0,
            " AU12_r": [0.0, 3.0, 1.0, 0.0, 0.0], " AU12_c": [0, 1, 1, 0, 0], " AU28_c": [0, 0, 1, 0, 0],
        }
    )  # fmt: skip


def test_openface(tmp_path: Path) -> None:
    openface().to_csv(tmp_path / "p01.csv", index=False)
    summary = duchenne.summarize(tmp_path / "p01.csv")
    rows = summary.faces.set_index("au")
    # present is what OpenFace decides; the frame without success is no 0
    assert rows.loc[12, ["source", "face", "measure", "frames"]].tolist() == ["p01", 0, "AU12_r", 4]
    assert rows.loc[12, ["mean", "share"]].tolist() == pytest.approx([1.0, 0.5])
    assert rows.loc[28, ["measure", "share"]].tolist() == ["AU28_c", 0.25]
    assert summary.quality[["seen", "turned"]].to_numpy().tolist() == [[0.8, 1.0]]  # 0.7 rad are 40 degrees


def fex(frames: int = 90, rate: int = 30) -> pd.DataFrame:
    number = np.arange(frames)
    smile = (number >= rate) & (number < 2 * rate)
    table = {"FaceScore": 0.99, "AU12": np.where(smile, 0.9, 0.1), "AU43": 0.2, "input": "clips/a.mp4"}
    clock = [f"{second // 60:02d}:{second % 60:02d}" for second in number // rate]
    return pd.DataFrame(table | {"frame": number, "approx_time": clock})


def test_py_feat_has_no_times(tmp_path: Path) -> None:
    fex().to_csv(tmp_path / "fex.csv", index=False)
    summary = duchenne.summarize(tmp_path / "fex.csv")
    assert summary.episodes[["au", "onset_s", "offset_s"]].to_numpy().tolist() == [[12, 1.0, 2.0]]
    assert sorted(summary.faces["au"]) == [12, 45]
    assert "30 frames per second" in summary.notes[0]
    slow = duchenne.summarize(tmp_path / "fex.csv", fps=15)
    assert slow.episodes["onset_s"].tolist() == [2.0]
    assert not slow.notes
    fex(20).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match=r"is too short to derive its frames per second; give them with fps"):
        duchenne.summarize(tmp_path / "short.csv")


def tables(folder: Path) -> Path:
    made = folder / "tables"
    made.mkdir()
    for name in ("a", "b"):
        FORMATS["duchenne"](detected(f"rec/{name}.mp4")).to_csv(made / f"{name}_aus.csv", index=False)
        (made / f"{name}_aus.json").write_text("{}")
    return made


def test_a_folder_a_list_and_what_is_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tables(tmp_path)
    (tmp_path / "trials.csv").write_text("source;trial;onset_s;offset_s\nrec/a.mp4;joke;1,0;2,0\nb;joke;1;2\n")
    words = ["--trials", str(tmp_path / "trials.csv"), "-o", str(tmp_path / "out")]
    for given in ([str(made)], sorted(map(str, made.glob("*.csv")))):
        assert main(["summarize", *given, *words]) == 0
        trials = pd.read_csv(tmp_path / "out" / "tables_trials.csv").query("au == 12")
        assert trials[["source", "mean"]].to_numpy().tolist() == [["rec/a.mp4", 0.8], ["rec/b.mp4", 0.8]]
        (tmp_path / "out" / "tables_trials.csv").unlink()
    assert duchenne.summarize([made, made / "a_aus.csv"]).faces["source"].nunique() == 2
    (made / "c_aus.csv").write_bytes((made / "a_aus.csv").read_bytes())
    assert main(["summarize", str(made)]) == 1
    assert "c_aus.csv: holds `rec/a.mp4`, which is in" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no table"):
        duchenne.summarize(tmp_path / "empty")


@pytest.mark.parametrize("path", ["semicolons", "excel", "utf-16", "stated"])
def test_tables_that_spreadsheets_saved(tmp_path: Path, path: str) -> None:
    table = FORMATS["duchenne"](detected("NA.mp4"))
    if path == "excel":
        table.to_excel(tmp_path / "t.xlsx", index=False)
    else:
        text = table.to_csv(index=False, sep=";", decimal=",")
        text = "sep=;\n" + text if path == "stated" else text
        (tmp_path / "t.csv").write_text(text, encoding="utf-16" if path == "utf-16" else "utf-8-sig")
    summary = duchenne.summarize(tmp_path / ("t.xlsx" if path == "excel" else "t.csv"))
    assert summary.faces.set_index("au").loc[12, ["source", "peak"]].tolist() == ["NA.mp4", 0.8]


def test_rows_without_a_source_are_called_after_the_table(tmp_path: Path) -> None:
    """As pictures of a camera or of one's own program have them."""
    made = tmp_path / "made"
    made.mkdir()
    for name in ("one", "two"):
        FORMATS["duchenne"](detected("")).to_csv(made / f"{name}.csv", index=False)
    summary = duchenne.summarize(made)
    assert summary.faces.query("au == 12")[["source", "frames"]].to_numpy().tolist() == [["one", 30], ["two", 30]]
    assert summary.quality["seen"].notna().all()
    assert duchenne.summarize(FORMATS["duchenne"](detected(""))).faces["frames"].max() == 30


def test_trials_and_names_in_workbooks(tmp_path: Path) -> None:
    """As spreadsheets save them: formats reach further to the right than the table."""
    (tmp_path / "t.csv").write_text(HEAD + "a,0,0,0,1\na,1,1,0,3\n")
    tables = {
        "trials": [["trial", "onset_s", "offset_s", None, None], ["joke", 1, 2, None, None]],
        "names": [["source", "face", None, "name", None], ["a", 0, "remark", "007", None]],
    }
    for name, rows in tables.items():
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.active["E1"].font = Font(bold=True)
        book.active["D1"].font = Font(bold=True)
        book.save(tmp_path / f"{name}.xlsx")
    paths = {name: tmp_path / f"{name}.xlsx" for name in tables}
    trials = duchenne.summarize(tmp_path / "t.csv", **paths).trials  # type: ignore[arg-type]
    assert trials is not None
    assert trials[["face", "trial", "mean"]].to_numpy().tolist() == [["007", "joke", 3.0]]
    book = load_workbook(paths["trials"])
    book.active["D2"] = "remark"
    book.save(paths["trials"])
    with pytest.raises(InputError, match=r"trials.xlsx: .*a row has more cells than the 3 columns"):
        duchenne.summarize(tmp_path / "t.csv", trials=paths["trials"])
    book.active["D1"] = "trial"
    book.save(paths["trials"])
    with pytest.raises(InputError, match=r"trials.xlsx: .*has the column `trial` twice; remove or rename one"):
        duchenne.summarize(tmp_path / "t.csv", trials=paths["trials"])


HEAD = "source,frame,time_s,face,AU12_s\n"
BAD = {
    HEAD + "a,0,0,0,1\na,1,1,0,1\na,1,1,0,2\n": r"row 4: frame 1 of `a` occurs twice of face 0; keep one row",
    HEAD + "a,0,0,,\na,0,0,,\n": "row 3: frame 0 of `a` occurs twice without a face",
    HEAD + 'a,0,0,0,"1""2"\n': "column AU12_s, row 2: '1\"2' is no number",
    HEAD + "a,0,0,inf,1\n": "row 2: face is inf",
    HEAD + "a,0,0,0.5,1\n": "row 2: face is 0.5",
    HEAD.replace("frame", "time_s", 1) + "a,0,0,0,1\n": "has the column `time_s` twice; remove or rename one",
    HEAD[:-1] + ",au12_S\na,0,0,0,1,2\n": "has the column `AU12_s` twice",
    HEAD + "a,0,0,1e30,1\n": "row 2: face is 1e",
    HEAD + "a,1e30,0,0,1\n": "row 2: frame is 1e",
    "frame,timestamp,success,AU12_r\n1e30,0,1,1\n": "row 2: 1e.30 is no number of a frame",
    "frame,timestamp,success,AU12_r\n1.5,0,1,1\n": "row 2: 0.5 is no number of a frame",
    "source,frame,face,AU12\na,0,1e30,1\n": "row 2: 1e.30 is no number of a face",
    HEAD + "a,0,1e999,0,1\n": "row 2: time_s is inf",
    HEAD + "a,0,,0,1\n": "row 2: time_s is nan",
    HEAD + "a,,0,0,1\n": "row 2: frame is nan",
    HEAD + "a,0,0,0,1,5\n": "row 2 has more cells than the 5 columns",
    HEAD + "a,0,0,0,1\nb,0,0,0,1,5\n": "Expected 5 fields in line 3, saw 6",
    HEAD + "a,0,0,0,1\0\n": "it is no text",
    HEAD + "a,0,0,0,inf\n": "row 2: AU12_s is inf",
    HEAD + "a,0,0,0,1\na,1,2,0,1\na,2,1,0,1\n": "row 4: frame 2 is at 1 s, before frame 1 at 2 s; correct the times",
    HEAD + "a,0,0,0,1\na,1,1e9,0,1\na,2,2,0,1\n": "row 4: frame 2 is at 2 s, before frame 1 at 1e",
    "frame,timestamp,success,AU12_r\n1,0,1,1\n2,2,1,1\n3,1,1,1\n": "row 4: frame 2 is at 1 s",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=BAD[text]) as caught:
        duchenne.summarize(tmp_path / "t.csv")
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_line_ends_of_old_macs(tmp_path: Path, end: str) -> None:
    """As Excel's "CSV (Macintosh)" has them."""
    texts = {
        "t": HEAD + "a,0,0,0,1\na,1,1,0,3\n", "semi": "sep=;\n" + HEAD.replace(",", ";") + "a;0;0;0;1,5\n",
        "trials": TRIALS + "x,1,2,0,1\n", "names": "source,face,name\na,0,Ann\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_bytes(text.replace("\n", end).encode())
    given = {name: tmp_path / f"{name}.csv" for name in ("trials", "names")}
    trials = duchenne.summarize(tmp_path / "t.csv", **given).trials  # type: ignore[arg-type]
    assert trials is not None
    assert trials[["face", "trial", "mean", "change"]].to_numpy().tolist() == [["Ann", "x", 3.0, 2.0]]
    assert duchenne.summarize(tmp_path / "semi.csv").faces["mean"].tolist() == [1.5]


def test_names_that_only_quotes_keep(tmp_path: Path) -> None:
    """A line end of old Macs, blanks before a name."""
    names = [" a.mp4", "b\rc.mp4", "d\n.mp4", "\re", " =f", '"g"']
    table = pd.DataFrame(
        {"source": names, "frame": 0, "time_s": 0.0, "face": pd.array([0] * 6, "Int64"), "AU12_s": 1.0}
    )
    (tmp_path / "t.csv").write_text(csv_text(table), newline="")
    assert read_csv_table(tmp_path / "t.csv")["source"].tolist() == names
    with table_writer(tmp_path / "w.csv") as writer:
        writer.write(table.head(3))
        writer.write(table.tail(3))
    assert duchenne.summarize(tmp_path / "w.csv").faces["source"].tolist() == names


def test_text_of_several_lines_in_trials(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "a,0,0,0,1\na,1,1,0,3\n")
    (tmp_path / "trials.csv").write_text('trial,onset_s,offset_s,remark\nx,0,1,"late, she said,\nand 2, left,\nhome"\n')
    trials = duchenne.summarize(tmp_path / "t.csv", trials=tmp_path / "trials.csv").trials
    assert trials is not None
    assert trials["mean"].tolist() == [1.0]


@pytest.mark.parametrize("name", ["au12_s", "AU12_S", " Au12_s"])
def test_capitals_that_another_program_changed(tmp_path: Path, name: str) -> None:
    """AU 12 was taken from its decisions, without a word."""
    (tmp_path / "t.csv").write_text(f"source,frame,time_s,face,{name},AU12_c,AU06_s,AU04\na,0,0,0,2.5,1,1,1\n")
    summary = duchenne.summarize(tmp_path / "t.csv")
    assert summary.faces.set_index("au").loc[12, ["measure", "mean"]].tolist() == ["AU12_s", 2.5]
    assert any("not read: AU04" in note for note in summary.notes)


def test_a_table_that_was_cut_off_is_no_longer_that_of_its_record(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "a,0,0,0,1\na,1,1,0,3\n")
    write_record(path, {"model": "duchenne"})
    assert duchenne.summarize(path).made_with == ("Model: duchenne.",)
    path.write_text(path.read_text()[:-10])
    (said,) = duchenne.summarize(path).made_with
    assert "was it changed or cut off since?" in said


def test_a_frame_that_outweighs_all_others_is_told(tmp_path: Path) -> None:
    """Its time is wrong, or the camera was paused: the mean is its own in both cases."""
    rows = [f"a,{number},{number / 10},0,{number % 2}" for number in range(30)]
    (tmp_path / "t.csv").write_text(HEAD + "\n".join(rows) + "\n")
    assert duchenne.summarize(tmp_path / "t.csv").notes == ()
    (tmp_path / "t.csv").write_text(HEAD + "\n".join([*rows, "a,30,1e9,0,0"]) + "\n")
    (note,) = duchenne.summarize(tmp_path / "t.csv").notes
    assert "frame 29 of `a` counts for 1e+09 s, to the next at 1e+09 s" in note
    (tmp_path / "t.csv").write_text(HEAD + "\n".join(f"a,{n},{60 * n},0,1" for n in range(5)) + "\n")
    assert duchenne.summarize(tmp_path / "t.csv").notes == ()  # one frame a minute: all weigh the same


TRIALS = "trial,onset_s,offset_s,baseline_onset_s,baseline_offset_s\n"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("trials", 'trial,onset_s,offset_s\n"a,0,1\nb,1,1.5\nc",1.5,2\n', "closed in line 4 swallows rows"),
        ("trials", "trial,onset_s,offset_s,onset_s\nx,0,1,2\n", "has the column `onset_s` twice"),
        ("names", "source,face,name, name\na,0,Ann,Bob\n", "has the column `name` twice"),
        ("trials", "Source,trial,onset_s,offset_s\nb,x,0,1\n", "has a column `Source`; call it `source`"),
        ("names", "source,Face,name\na,0,Ann\n", "has a column `Face`; call it `face`"),
        ("trials", TRIALS + "x,,2,,\n", "row 2: has no onset_s or no offset_s"),
        ("trials", TRIALS + "x,1,,,\n", "row 2: has no onset_s or no offset_s"),
        ("trials", TRIALS + "x,1,2,0,\n", "row 2: has no baseline_onset_s or no baseline_offset_s"),
        ("trials", TRIALS + "x,1,2,3,1\n", "row 2: baseline_offset_s is not after baseline_onset_s"),
        ("trials", TRIALS + "x,1,inf,,\n", "row 2: offset_s is infinite"),
        ("trials", TRIALS + "x,1,2,0,1,9\n", "row 2 has more cells than the 5 columns"),
        ("trials", TRIALS + "x,1,2\0,0,1\n", "it is no text"),
        ("names", "source,face,name\na,0,Ann,Bob\n", "row 2 has more cells than the 3 columns"),
        ("names", "source,face,name\na,inf,Ann\n", "row 2: there is no face inf"),
        ("names", 'source,face,name\na,"0""",Ann\n', "row 2: there is no face 0"),
        ("names", "source,face,name\na,,Ann\n", "row 2: there is no face"),
    ],
)  # fmt: skip
def test_names_and_trials_that_are_wrong(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "a,0,0,0,1\n")
    (tmp_path / f"{name}.csv").write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        duchenne.summarize(tmp_path / "t.csv", **{name: tmp_path / f"{name}.csv"})  # type: ignore[arg-type]
    assert f"{name}.csv" in str(caught.value)


def test_a_trial_may_have_no_baseline_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "a,0,0,0,1\na,1,1,0,3\n")
    (tmp_path / "trials.csv").write_text(TRIALS + "x,1,2,0,1\ny,0,2,,\n")
    trials = duchenne.summarize(tmp_path / "t.csv", trials=tmp_path / "trials.csv").trials
    assert trials is not None
    assert trials["change"].tolist() == pytest.approx([2, np.nan], nan_ok=True)


def test_tables_of_two_tools_are_each_judged_by_their_own_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four of ten frames of each; beside OpenFace's decisions py-feat's probabilities counted as absent."""
    present = [3 <= number < 7 for number in range(10)]
    rows = [f"{number + 1},0,{number / 10},.98,1,{3 * on:.1f},{int(on)}" for number, on in enumerate(present)]
    text = "frame, face_id, timestamp, confidence, success, AU12_r, AU12_c\n"
    (tmp_path / "of.csv").write_text(text + "\n".join(rows) + "\n")
    rows = [f"b.mp4,{number},{0.9 if on else 0.1}" for number, on in enumerate(present)]
    (tmp_path / "fex.csv").write_text("input,frame,AU12\n" + "\n".join(rows) + "\n")
    (tmp_path / "trials.csv").write_text("source,trial,onset_s,offset_s\nof,1,0,0.5\nb.mp4,1,0,0.5\nof,2,60,61\n")
    tables = [str(tmp_path / name) for name in ("of.csv", "fex.csv")]
    words = ["--fps", "10", "--trials", str(tmp_path / "trials.csv"), "-o", str(tmp_path / "out")]
    assert main(["summarize", *tables, *words]) == 0
    assert capsys.readouterr().err.count("1 of 2 trials lie outside") == 1  # said once
    found = duchenne.summarize(tables, fps=10, trials=tmp_path / "trials.csv")
    by_source = found.faces.set_index("source")
    assert by_source["measure"].to_dict() == {"of": "AU12_r", "b.mp4": "AU12_p"}
    assert by_source[["share", "episodes"]].to_numpy().tolist() == [[0.4, 1], [0.4, 1]]
    assert by_source["peak"].tolist() == [3, 0.9]
    assert found.trials is not None
    assert found.trials["share"].tolist()[:2] == [0.4, 0.4]
