"""The job from files to tables: every frame is there, bad inputs stop nothing, finished work is kept."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import Any

import av
import joblib
import numpy as np
import pandas as pd
import pytest
from tests.detection.made import picture, points

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detect import detect_files, detect_frames
from duchenne.detection.job import Job, Outcome
from duchenne.detection.runner import Run
from duchenne.detection.settings import DetectArguments
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import crop_face, crop_matrix
from duchenne.faces.batch import FaceBatch
from duchenne.faces.decode import Picture
from duchenne.tables.writing import _parts, output_names, read_table

Film = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("scripted")
# one face, nobody, one face, two (one small), one without landmarks
LEVELS = [20, 0, 40, 130, 200]


def damaged(path: Path) -> Path:
    """The file without its last third."""
    data = path.read_bytes()
    path.write_bytes(data[: 2 * len(data) // 3])
    return path


def test_every_frame_is_there_once_per_face_or_once_empty(film: Film) -> None:
    times_s = [0.0, 0.04, 0.15, 0.152, 2.0]  # variable frame rate
    path = film("a.mov", LEVELS, times_s)
    table = duchenne.detect(path, model="blendshapes")
    assert isinstance(table, pd.DataFrame)
    assert table.frame.tolist() == [0, 1, 2, 3, 3, 4]
    assert table.time_s.tolist() == [0.0, 0.04, 0.15, 0.152, 0.152, 2.0]
    assert table.face.fillna(-1).tolist() == [0, -1, 0, 0, 1, 0]
    assert table.AU12_s.fillna(-1).tolist() == pytest.approx([0.2, -1, 0.4, 0.3, -1, -1])
    assert table.flag.fillna("").tolist() == ["", "", "", "", "small", "no_landmarks"]
    assert table.AU06_s.isna().all()
    assert set(table.source) == {str(path)}
    assert table.attrs["failures"] == {}


def test_long_videos_come_in_pieces(film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duchenne.detection.job._PIECE_FRAMES", 2)
    path = film("a.mov", LEVELS)
    whole = duchenne.detect(path, model="blendshapes")
    for suffix in ("csv", "parquet"):
        detect_files(path, DetectArguments(output=tmp_path / f"t.{suffix}"), model="blendshapes")
        pd.testing.assert_frame_equal(read_table(tmp_path / f"t.{suffix}"), whole)


def test_frames_come_with_pictures(film: Film) -> None:
    results = list(detect_frames(film("a.mov", LEVELS), model="blendshapes"))
    assert [result.frame for result in results] == [0, 1, 2, 3, 4]
    assert [len(result.faces) for result in results] == [1, 0, 1, 2, 1]
    assert all(
        result.image is not None and (result.image == picture(level)).all() for result, level in zip(results, LEVELS)
    )


def test_a_model_of_pixels_gets_aligned_crops_in_batches(film: Film, tmp_path: Path) -> None:
    expected_crop = crop_face(picture(0), crop_matrix(points(), 32), 32)

    class Pixels:
        name = "pixels"
        columns = ("AU12_p", "AU12_c")
        crop_px = 32
        batches: list[int]

        def score(self, batch: FaceBatch) -> np.ndarray:
            self.batches.append(len(batch))
            assert batch.crops is not None
            # The first pixel, which differs, is replicated beyond the picture's edge.
            assert (batch.crops[:, 16:, 16:] == expected_crop[16:, 16:]).all()
            value = batch.blendshapes[:, 0]
            return np.stack([value, value > 0.4], axis=1).astype(np.float32)

        def describe(self) -> dict[str, object]:
            return {}

    model = Pixels()
    model.batches = []
    table = duchenne.detect(film("a.mov", [10, 0, 90, 200, *[50] * 14]), model=model)
    assert model.batches == [14, 2]  # of sixteen frames, then of two
    assert table.AU12_p.tolist() == pytest.approx([0.1, np.nan, 0.9, np.nan, *[0.5] * 14], nan_ok=True)
    assert table.AU12_c.fillna(-1).tolist() == [0, -1, 1, -1, *[1] * 14]
    for suffix in ("csv", "parquet"):
        written = duchenne.detect(tmp_path / "a.mov", model=model, output=tmp_path / f"a.{suffix}")
        pd.testing.assert_frame_equal(written, table)


def test_without_o_one_table_per_input_in_the_working_folder(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film("in/a.mov", LEVELS), film("in/b.mov", [0, 30])
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert main(["detect", "--model", "blendshapes", "../in", "--quiet"]) == 0
    made = ["a_aus.csv", "a_aus.json", "b_aus.csv", "b_aus.json"]
    assert sorted(path.name for path in work.iterdir()) == made
    assert read_table(work / "b_aus.csv").AU12_s.fillna(-1).tolist() == pytest.approx([-1, 0.3])
    film("in/b.mov", [60])
    assert main(["detect", "--model", "blendshapes", "../in/b.mov", "--quiet"]) == 0
    assert read_table(work / "b_aus.csv").AU12_s.tolist() == pytest.approx([0.6])


def test_a_file_merges(film: Film, tmp_path: Path) -> None:
    one, two = film("a.mov", LEVELS), film("b.mov", [0, 30])
    table = duchenne.detect([two, one], output=tmp_path / "out/all.csv")
    assert table.source.unique().tolist() == [str(two), str(one)]
    assert len(table) == 8
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["all.csv", "all.json"]
    assert json.loads((tmp_path / "out" / "all.json").read_text())["smooth_s"] == 0.0


def test_a_record_replaces_nothing_else(film: Film, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"mine": 1}')
    with pytest.raises(UsageError, match=r"study\.json, which is something else"):
        duchenne.detect(film("a.mov", LEVELS), output=tmp_path / "study.csv")
    assert (tmp_path / "study.json").read_text() == '{"mine": 1}'
    assert not (tmp_path / "study.csv").exists()


def test_a_folder_resumes(film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = film("a.mov", LEVELS), film("b.mov", [0, 30])
    out = tmp_path / "out"
    first = duchenne.detect([one, two], output=out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(before) == ["a_aus.csv", "a_aus.json", "b_aus.csv", "b_aus.json"]

    done = detect_files([one, two], DetectArguments(output=out))
    assert done.finished == 2
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    pd.testing.assert_frame_equal(duchenne.detect([one, two], output=out), first)

    half = (out / "a_aus.csv").read_text()
    (out / "a_aus.csv").write_text(half[: len(half) // 2])  # half-written
    (out / "b_aus.json").unlink()  # interrupted before its record
    assert detect_files([one, two], DetectArguments(output=out)).finished == 0
    pd.testing.assert_frame_equal(duchenne.detect([one, two], output=out), first)


def test_half_written_files_of_a_killed_run_are_swept_up(film: Film, tmp_path: Path) -> None:
    path, out = film("a.mov", LEVELS), tmp_path / "out"
    out.mkdir()
    left, other, fresh = out / ".a_aus.123.part.csv", out / ".b_aus.123.part.csv", out / ".a_aus.124.part.csv"
    for part in (left, other, fresh):
        part.write_text("source,frame")
    for part in (left, other):
        os.utime(part, (1e9, 1e9))
    detect_files(path, DetectArguments(output=out))
    # The other is not of this input, and somebody may still be writing the fresh one.
    assert sorted(part.name for part in out.glob(".*")) == [fresh.name, other.name]


@pytest.mark.parametrize(
    "output,sentence", [("out/", "to go on."), ("all.csv", "starts over"), ("", "starts over")]
)  # fmt: skip
def test_ctrl_c_says_what_happens_next(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str,
    sentence: str,
) -> None:  # fmt: skip
    paths = [str(film(name, LEVELS)) for name in ("a.mov", "b.mov")]
    monkeypatch.chdir(tmp_path)
    process = Run.process

    def interrupted(run: Run, job: Job, *rest: Any) -> Outcome:
        if job.path.name == "b.mov":
            raise KeyboardInterrupt
        return process(run, job, *rest)

    monkeypatch.setattr(Run, "process", interrupted)
    assert main(["detect", *paths, "--quiet", *(["-o", output] if output else [])]) == 130
    assert sentence in capsys.readouterr().err
    monkeypatch.setattr(Run, "process", process)
    if output == "out/":
        assert detect_files(paths, DetectArguments(output=tmp_path / "out")).finished == 1
    assert not (tmp_path / "all.csv").exists()


@pytest.mark.parametrize("change", ["format", "min_face", "source"])
def test_a_folder_is_made_anew_where_something_changed(film: Film, tmp_path: Path, change: str) -> None:
    path, out = film("a.mov", LEVELS), tmp_path / "out"
    detect_files(path, DetectArguments(output=out))
    if change == "format":
        assert detect_files(path, DetectArguments(format="openface", output=out)).finished == 0
        assert "face_id" in read_table(out / "a_aus.csv")
    elif change == "min_face":
        assert detect_files(path, DetectArguments(min_face=40, output=out)).finished == 0
    else:
        film("a.mov", [50])
        assert detect_files(path, DetectArguments(output=out)).finished == 0
        assert len(read_table(out / "a_aus.csv")) == 1


def test_parquet_comes_with_a_record(film: Film, tmp_path: Path) -> None:
    path = film("a.mov", LEVELS)
    table = duchenne.detect(path, output=tmp_path / "aus.parquet", model="blendshapes")
    record = json.loads((tmp_path / "aus.json").read_text())
    assert record["model"] == "blendshapes"
    assert record["columns"] == [name for name in table if name.startswith("AU")]
    assert record["aus"]["AU12"] == "lip corner puller"
    assert record["versions"]["mediapipe"]
    assert record["about_model"]["blendshapes"]["AU12_s"] == ["mouthSmileLeft", "mouthSmileRight"]
    counts = {"frames": 5, "faceless": 1, "faces": 5, "unread": 2}
    assert record["inputs"] == [{"source": str(path), **counts, "failure": None, "start_s": 0.0, "notes": []}]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "aus.parquet"), duchenne.detect(path, model="blendshapes"))


def test_bad_inputs_are_named_and_the_rest_is_complete(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = film("good.mov", [30, 40])
    cut = damaged(film("cut.mov", list(range(1, 91))))
    text, empty, zero = tmp_path / "text.mp4", tmp_path / "empty", tmp_path / "zero.png"
    text.write_text("not a video\n")
    empty.mkdir()
    zero.touch()
    missing = tmp_path / "missing.mp4"
    out = tmp_path / "out"
    inputs = [str(path) for path in (missing, empty, text, zero, cut, good)]
    assert main(["detect", "--model", "blendshapes", *inputs, "-o", f"{out}/", "--quiet"]) == 1
    said = capsys.readouterr()
    sentences = [line for line in said.err.splitlines() if line]
    for path in (missing, empty, text, zero, cut):
        assert len([line for line in sentences if str(path) in line]) == 1, path
    assert len(sentences) == 5
    assert "Traceback" not in said.err
    assert "6 inputs" in said.out
    assert "5 failures" in said.out
    assert sorted(path.name for path in out.iterdir()) == [
        "cut_aus.csv", "cut_aus.json", "good_aus.csv", "good_aus.json",
    ]  # fmt: skip
    assert read_table(out / "good_aus.csv").AU12_s.tolist() == pytest.approx([0.3, 0.4])


def test_a_broken_video_gives_all_frames_before_the_break(film: Film, tmp_path: Path) -> None:
    cut = damaged(film("cut.mov", list(range(1, 91))))
    with pytest.warns(UserWarning, match="cut.mov"):
        table = duchenne.detect(cut, model="blendshapes")
    assert 20 < len(table) < 90
    assert table.frame.tolist() == list(range(len(table)))
    assert table.AU12_s.tolist() == pytest.approx([(frame + 1) / 100 for frame in table.frame])
    assert list(table.attrs["failures"]) == [str(cut)]
    for _ in range(2):  # finished by the first call, but its failure is still said
        done = detect_files(cut, DetectArguments(output=tmp_path / "out"), model="blendshapes")
        assert f"{len(table)}" in done.failures[str(cut)]


def test_nothing_readable_writes_nothing_and_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n")
    with pytest.raises(InputError, match=r"text\.mp4"):
        duchenne.detect(text, output=tmp_path / "aus.csv")
    assert main(["detect", str(text), "-o", str(tmp_path / "aus.parquet"), "--quiet"]) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_a_video_without_a_face_is_complete_and_said(
    film: Film, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = film("empty.mov", [0, 0, 0])
    assert main(["detect", str(path), "-o", str(tmp_path / "aus.csv"), "--quiet"]) == 0
    assert "no face was found in any of its 3 frames" in capsys.readouterr().err
    table = read_table(tmp_path / "aus.csv")
    assert table.frame.tolist() == [0, 1, 2]
    assert table.drop(columns=["source", "frame", "time_s"]).isna().all(axis=None)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--model", "no-such"], "no-such"),
        (["-o", "aus.xlsx"], "aus.xlsx"),
        (["--min-face", "0"], "--min-face"),
    ],
)
def test_bad_use(film: Film, capsys: pytest.CaptureFixture[str], words: list[str], named: str) -> None:
    assert main(["detect", str(film("a.mov", [0])), *words]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert len(said.splitlines()) == 1


def test_bad_use_from_python(film: Film) -> None:
    path = film("a.mov", [0])
    with pytest.raises(UsageError, match="openface"):
        duchenne.detect(path, format="openfase")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="blendshapes"):
        duchenne.detect(path, model="blendshape")
    with pytest.raises(UsageError, match="no input"):
        duchenne.detect([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(film: Film, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        detect_files(film("a.mov", [0]), DetectArguments(output=locked / "aus.csv"))


def test_a_disk_that_fills_up_leaves_nothing(film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, piece: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("duchenne.tables.writing.TableWriter.write", full)
    with pytest.raises(InputError, match="No space left"):
        detect_files(film("a.mov", [0]), DetectArguments(output=tmp_path / "out" / "aus.csv"))
    assert list((tmp_path / "out").iterdir()) == []


def test_inputs_of_the_same_name_get_tables_of_their_own() -> None:
    inputs = [Path("s1/talk.mp4"), Path("s2/talk.mp4"), Path("s2/talk.avi"), Path("s2/other.mp4")]
    names = list(output_names(inputs).values())
    assert names == ["s1_talk.mp4", "s2_talk.mp4", "s2_talk.avi", "other"]
    with pytest.raises(UsageError, match="rename"):
        output_names([Path("a/b/c.mp4"), Path("a_b/c.mp4"), Path("a/b_c.mp4.mp4")])
    # Nothing is hidden in the folder of tables, where `summarize` would pass it over.
    beside = list(output_names([Path("../s1/talk.mp4"), Path("s2/talk.mp4"), Path(".quiet.mp4")]).values())
    assert beside == ["s1_talk.mp4", f"{Path.cwd().name}_s2_talk.mp4", "_.quiet"]


def test_a_drive_tells_files_apart() -> None:
    named = [_parts(PureWindowsPath(path)) for path in ("C:\\rec\\a.mp4", "D:\\rec\\a.mp4", "\\\\pc\\share\\a.mp4")]
    assert named == [("C", "rec", "a.mp4"), ("D", "rec", "a.mp4"), ("pc_share", "a.mp4")]


def test_a_table_of_another_recording_of_that_name_stays(
    film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for each participant, and the same name in each."""
    one, two, out = film("day1/p.mov", [20]), film("day2/p.mov", [20, 30]), tmp_path / "out"
    shutil.copystat(one, two)
    monkeypatch.chdir(one.parent)
    first = duchenne.detect("p.mov", output=out)
    monkeypatch.chdir(two.parent)
    for path in ("p.mov", ".", two):
        with pytest.raises(UsageError, match=r"p_aus\.csv is that of another recording, p\.mov; name another output"):
            duchenne.detect(path, output=out)
    pd.testing.assert_frame_equal(read_table(out / "p_aus.csv"), first)
    # It is its own from everywhere, also after a change; and so it is where it was moved.
    assert detect_files("../day1/p.mov", DetectArguments(output=out)).finished == 1
    film("day1/p.mov", [20, 30, 40])
    assert len(duchenne.detect("../day1/p.mov", output=out)) == 3
    (tmp_path / "linked").symlink_to(one.parent)
    film("day1/p.mov", [20, 30])
    assert len(duchenne.detect(tmp_path / "linked" / "p.mov", output=out)) == 2
    one.rename(tmp_path / "p.mov")
    assert detect_files(tmp_path / "p.mov", DetectArguments(output=out)).finished == 1
    duchenne.detect(two, output=tmp_path / "all" / "q_aus.csv")
    with pytest.raises(UsageError, match=r"q_aus\.csv is that of another recording"):
        duchenne.detect(film("q.mov", [20]), output=tmp_path / "all")


def test_the_same_input_named_twice_is_read_once(film: Film) -> None:
    path = film("in/a.mov", [30])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert len(duchenne.detect([path, path.parent, path.parent / "*.mov"])) == 1


def test_several_workers_write_the_same_table(film: Film, tmp_path: Path) -> None:
    # Threads in place of processes, so that the scripted faces are seen there too.
    paths = [film(f"{name}.mov", [10 * number, 0, 40]) for number, name in enumerate("abcd", start=1)]
    alone = duchenne.detect(paths, output=tmp_path / "alone.csv")
    with joblib.parallel_config(backend="threading"):
        together = duchenne.detect(paths, output=tmp_path / "together.csv", workers=3)
    assert together.equals(alone)
    assert (tmp_path / "together.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_probabilities_have_no_baseline(film: Film) -> None:
    model = BlendshapeModel()
    model.columns = ("AU12_s", "AU12_p")
    with pytest.raises(UsageError, match="AU12_p"):
        duchenne.detect(film("a.mov", [10]), model=model, baseline="0-1")


def test_sides_are_asked_for(film: Film) -> None:
    path = film("a.mov", [30, 200])
    table = duchenne.detect(path, sides=True, model="blendshapes")
    assert list(table)[10:12] == ["AU01_s", "AU02_s"]
    assert list(table)[-6:] == ["AU45_left", "AU45_right", "pitch", "yaw", "roll", "quality"]
    assert table.AU12_left.tolist() == pytest.approx([0.3, np.nan], nan_ok=True)
    assert (
        duchenne.summarize(table).faces.au.tolist()
        == duchenne.summarize(duchenne.detect(path, model="blendshapes")).faces.au.tolist()
    )
    with pytest.raises(UsageError, match="sides"):
        duchenne.detect(path, model=BlendshapeModel(), sides=True)


def test_pictures_as_they_come(film: Film) -> None:
    """A camera is an iterator of pictures: every frame comes out before the next is taken."""
    taken: list[int] = []

    def camera() -> Iterator[Picture]:
        for number, level in enumerate([20, 0, 90]):
            taken.append(number)
            yield Picture(picture(level), number, number / 25)

    for result in duchenne.detect_frames(camera()):
        assert taken[-1] == result.frame
    assert taken == [0, 1, 2]


def test_an_output_folder_that_is_a_file(film: Film, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be"):
        detect_files(film("a.mov", [10]), DetectArguments(output=tmp_path / "taken" / "aus.csv"))


def test_times_are_the_containers_with_reordered_frames(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(30_000, 1001), options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 400_000
        for level in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(level), format="rgb24")))
        container.mux(stream.encode(None))
    frames = duchenne.detect(path, model="blendshapes").drop_duplicates("frame")
    assert frames.frame.tolist() == list(range(25))
    steps_s = np.diff(frames.time_s)
    assert steps_s == pytest.approx(np.full(24, 1001 / 30_000), abs=2e-4)


def test_a_video_of_one_frame(film: Film) -> None:
    table = duchenne.detect(film("a.mov", [50]), model="blendshapes", smooth_s=1.0)
    assert table[["frame", "time_s", "AU12_s"]].to_numpy().tolist() == [[0, 0, 0.5]]
