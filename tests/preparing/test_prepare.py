"""The `prepare` job on real faces: what it writes, that nothing stops it, and that kills and workers change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.faces.media import Image, flat, write_video

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError

TWO = 40  # frames with two people: enough that the job is not over before a test kills it


@pytest.fixture(scope="module")
def study(portrait: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos: one person, two people, nobody, a text file, and one that is cut off."""
    root = tmp_path_factory.mktemp("study")
    wide = np.ascontiguousarray(np.hstack([portrait, portrait[:, ::-1]]))
    noise = np.random.default_rng(0).integers(0, 255, (12, 200, 200, 3), dtype=np.uint8)
    (root / "sub").mkdir()
    write_video(root / "one.mp4", [np.roll(portrait, k, axis=1) for k in range(8)])
    write_video(root / "sub" / "two.mp4", [wide] * TWO)
    write_video(root / "sub" / "nobody.avi", [flat(120, (90, 120))] * 4)
    (root / "text.mp4").write_text("not a video\n" * 50)
    cut = write_video(root / "cut.mp4", [portrait // 2 + noise[k] // 8 for k in range(12)], faststart=True)
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * 0.7)])
    return root


@pytest.fixture(scope="module")
def prepared(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    duchenne.prepare("videos", root=study, out=out, workers=1, size_px=64, quiet=True)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and folder / "index" not in path.parents
    }


def command(*words: object) -> subprocess.Popen[bytes]:
    # In a group of its own, as from a terminal: workers belong to it.
    return subprocess.Popen(
        [sys.executable, "-m", "duchenne.cli.main", "prepare", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def test_what_is_written(prepared: Path) -> None:
    data = Prepared([prepared])
    frames = data.frames
    counts = data.infos[0].counts
    assert (counts["files"], counts["failures"]) == (5, 2)
    assert counts["faceless_frames"] == 4
    lengths = frames.groupby("clip").size()
    assert lengths["one.mp4#0.0"] == 8
    assert lengths["sub/two.mp4#0.0"] == lengths["sub/two.mp4#1.0"] == TWO
    assert 0 < lengths["cut.mp4#0.0"] < 12  # what there is of it
    assert set(frames["subject"]) == {"one#0", "sub/two#0", "sub/two#1", "cut#0"}
    one = frames[frames["clip"] == "one.mp4#0.0"]
    assert list(one["frame"]) == list(range(8))
    np.testing.assert_allclose(one["time_s"], np.arange(8) / 25, atol=1e-3)
    assert (frames["score"] > 0.7).all()
    assert not np.isnan(data.blendshapes()).any()
    eyes = data.landmarks()[:, 36:48].mean(axis=1) / 64
    np.testing.assert_allclose(eyes, np.tile((0.5, 0.42), (len(eyes), 1)), atol=0.03)
    assert data.image(0).shape == (64, 64, 3)
    failures = pd.read_csv(prepared / "failures.csv").set_index("source")["reason"]
    assert failures["text.mp4"].startswith("is not an image or video")
    assert "frames were read" in failures["cut.mp4"]
    assert not list(prepared.rglob("*.part*"))


@pytest.mark.slow
def test_any_number_of_workers_and_any_kill_write_the_same_bytes(study: Path, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("videos", "--root", study, "--out", out, "--size", 64, "--workers", 2)
    for sign in (signal.SIGKILL, signal.SIGINT):
        done = len(list(out.glob("parts/*.parquet")))
        job = command(*words)
        while job.poll() is None and len(list(out.glob("parts/*.parquet"))) == done:
            time.sleep(0.02)
        assert job.poll() is None, "it ended before it was killed; give it more to do"
        (os.killpg if sign == signal.SIGINT else os.kill)(job.pid, sign)
        _, printed = job.communicate(timeout=60)
        assert job.returncode == (130 if sign == signal.SIGINT else -sign)
        assert b"Traceback" not in printed, printed.decode()
        with pytest.raises(InputError, match="is not complete"):
            Prepared([out])
    job = command(*words)
    printed, complaints = job.communicate(timeout=120)
    assert job.returncode == 1, complaints.decode()
    assert b"5 files" in printed
    assert b"2 failures" in printed
    assert contents(out) == contents(prepared)


def test_a_finished_folder_is_left_alone(study: Path, prepared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    done = duchenne.prepare("videos", root=study, out=prepared, size_px=64, workers=1, quiet=True)
    assert done.counts == Prepared([prepared]).infos[0].counts
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before
    with pytest.raises(UsageError, match="holds the data of another job"):
        duchenne.prepare("videos", root=study, out=prepared, size_px=96, quiet=True)


def test_names(study: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "out", tmp_path / "names.csv"

    def people() -> dict[str, int]:
        return Prepared([out]).frames.groupby("subject").size().to_dict()

    duchenne.prepare("videos", root=study, out=out, size_px=64, workers=1, quiet=True)
    whole, crops = pd.read_parquet(out / "frames.parquet"), people()
    assert "sub/two.mp4" in (out / "faces.html").read_text()
    assert pd.read_csv(out / "names.csv")["name"].tolist() == sorted(crops)
    names.write_text("source,face,name\none,0,Ann\nsub/two.mp4,1,Ann\nsub/two.mp4,0,\n")
    done = duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    assert people() == {"Ann": crops["one#0"] + crops["sub/two#1"], "cut#0": crops["cut#0"]}
    assert (done.counts["left_out"], done.counts["crops"]) == (TWO, len(whole) - TWO)
    names.write_text("source,face,name\n" + "".join(f"{source},{face},\n" for source, face in [("one", 0), ("cut", 0)]))
    duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    assert set(people()) == {"sub/two#0", "sub/two#1"}  # those left out before are back
    names.write_text("source,face,name\nsub/two,0,Ann\nsub/two,1,Ann\none,0,Ann\n")  # one of the first two is wrong
    done = duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    assert f"faces 0 and 1 of sub/two.mp4 are both called Ann and are seen at the same time in {TWO} frames" in str(
        done.notes[0]
    )
    names.write_text("source,face,name\none,0,Ann\ncut,0,ann\n")
    done = duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    assert "`Ann` and `ann` count as different people" in str(done.notes[0])
    names.write_text("source,face,name\none,0,one#0\n")
    duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "frames.parquet"), whole)
    for text, sentence in {
        "source,face,name\none,7,x\n": "row 2: there is no face 7 in `one`",
        "source,face,name\none,0,x\none.mp4,0,y\n": "row 3: face 0 of one.mp4 is listed twice",
        "source,name\none,x\n": "has no column `face`",
    }.items():
        names.write_text(text)
        with pytest.raises(InputError, match=sentence):
            duchenne.prepare("videos", root=study, out=out, size_px=64, names=names, workers=1, quiet=True)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "frames.parquet"), whole)


def test_everyone_left_out_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out, names = tmp_path / "root", tmp_path / "out", tmp_path / "names.csv"
    root.mkdir()
    write_video(root / "one.mp4", [flat(9)] * 2)
    info = DatasetInfo(name="made", aus=(), label_kind="none", alignment="as given", size_px=32, licence="-")
    write_prepared(out, info, [0], one_face, workers=1, quiet=True)
    monkeypatch.setattr("duchenne.preparing.prepare.write_prepared", lambda *_, **__: None)  # nothing is searched anew
    monkeypatch.setattr("duchenne.preparing.prepare.model_path", lambda _: None)
    names.write_text("source,face,name\none,0,\n")
    with pytest.raises(InputError, match="all 1 crops were left out by name"):
        duchenne.prepare("videos", root=root, out=out, names=names, quiet=True)
    names.write_text("source,face,name\none,0,Ann\n")
    duchenne.prepare("videos", root=root, out=out, names=names, quiet=True)
    assert Prepared([out]).frames["subject"].tolist() == ["Ann"]


def one_face(writer: PartWriter, _: int) -> None:
    row = {"subject": "one#0", "clip": "one.mp4#0.0", "frame": 0, "time_s": 0.0, "source": "one.mp4"}
    writer.add(row, encode_jpeg(flat(9, (32, 32))))


def test_coded_videos(study: Path, tmp_path: Path) -> None:
    codes = tmp_path / "codes.csv"
    codes.write_text("source,face,au,onset_s,offset_s,intensity\none,,12,0.08,0.2,D\nsub/two.mp4,1,6,0,9,A\n")
    done = duchenne.prepare("videos", root=study, out=tmp_path / "out", labels=codes, size_px=64, workers=1, quiet=True)
    data = Prepared([tmp_path / "out"])
    assert (data.aus, data.infos[0].label_kind) == ((6, 12), "intensity")
    one = data.frames[data.frames["clip"] == "one.mp4#0.0"]
    assert list(one["AU12"]) == [0, 0, 1, 1, 1, 0, 0, 0]
    assert list(one["AU12_i"]) == [0, 0, 4, 4, 4, 0, 0, 0]
    two = data.frames[data.frames["subject"] == "sub/two#1"]
    assert (two["AU06"] == 0).all()  # 1 (trace) does not count as present
    assert (two["AU06_i"] == 1).all()
    assert data.frames.loc[data.frames["subject"] == "sub/two#0", "AU06"].isna().all()
    assert done.counts["coded"] == 8 + TWO
    assert "names 2 of 5 videos" in done.notes[0]
    names = tmp_path / "names.csv"
    names.write_text("source,face,name\nsub/two,1,\n")
    asked = {"root": study, "labels": codes, "names": names, "size_px": 64, "workers": 1, "quiet": True}
    done = duchenne.prepare("videos", out=tmp_path / "out", **asked)
    assert (done.counts["coded"], done.counts["left_out"]) == (8, TWO)
    names.write_text("source,face,name\none,0,\n")  # its codes would be lost
    with pytest.raises(InputError, match=r"leaves out face 0 of one\.mp4, for which its codes, which name no face"):
        duchenne.prepare("videos", out=tmp_path / "out", **asked)
    codes.write_text("source,au,onset_s,offset_s\none,12,0.08,0.16\n")  # changed codes are another job
    with pytest.raises(UsageError, match="another job"):
        duchenne.prepare("videos", root=study, out=tmp_path / "out", labels=codes, size_px=64, workers=1, quiet=True)


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A function (status, sentence, words): the command ends so, with one line on stderr and nothing written."""

    def check(status: int, sentence: str, *words: object, kept: bool = False) -> None:
        out = tmp_path / "out"
        assert main(["prepare", *map(str, words), "--out", str(out), "--quiet"]) == status
        printed = capsys.readouterr()
        assert sentence in printed.err
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        assert out.exists() == kept

    return check


def test_bad_inputs(tmp_path: Path, shared: Path, fails) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "file.mp4").write_text("x")
    fails(1, "nowhere: there is no such folder", "videos", "--root", tmp_path / "nowhere")
    fails(1, "none: holds no videos", "videos", "--root", tmp_path / "none")
    fails(1, "file.mp4: is a file; name the folder", "videos", "--root", tmp_path / "file.mp4")
    fails(2, "there is no data set `vidoes`", "vidoes", "--root", tmp_path)
    fails(2, "--size 8", "videos", "--root", tmp_path, "--size", 8)
    fails(2, "--min-face 0", "videos", "--root", tmp_path, "--min-face", 0)
    fails(2, "--fps 0", "videos", "--root", tmp_path, "--fps", 0)
    fails(2, "--table", "videos", "--root", tmp_path, "--table", "x.csv")
    fails(2, "needs --table", "table", "--root", tmp_path)
    fails(2, "--no-detect", "videos", "--root", tmp_path, "--no-detect")
    fails(2, "--alignment smooth", "table", "--root", tmp_path, "--table", "x.csv", "--alignment", "smooth")
    write_video(tmp_path / "videos" / "a.mp4", [flat(90)] * 2) if (tmp_path / "videos").mkdir() is None else None
    fails(
        1, "gone.csv: there is no such file", "videos", "--root", tmp_path / "videos", "--labels", tmp_path / "gone.csv"
    )


def test_no_face_at_all_names_the_folder(tmp_path: Path, shared: Path, fails) -> None:
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "a.mp4", [flat(90)] * 2)
    fails(1, "v: no face was found in 2 frames of 1 files", "videos", "--root", tmp_path / "v", kept=True)
    with pytest.raises(InputError, match="holds no face crops"):
        Prepared([tmp_path / "out"])


def test_nothing_readable_names_the_reasons(tmp_path: Path, shared: Path, fails) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_text("text")
    (tmp_path / "v" / "b.mp4").touch()
    fails(1, "v: none of its 2 files could be read", "videos", "--root", tmp_path / "v", kept=True)


def test_too_small_faces_say_so(tmp_path: Path, portrait: Image, fails) -> None:
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "a.mp4", [portrait] * 2)
    words = ("videos", "--root", tmp_path / "v", "--min-face", 150)
    fails(1, "none of the 2 faces found could be kept (2 too small, 0 without landmarks)", *words, kept=True)


def test_models_that_cannot_be_had(tmp_path: Path, study: Path, fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path / "none"))
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "face_landmarker.task").write_text("x")
    (tmp_path / "none" / "face_detection_yunet_2026may.onnx").write_text("x")
    fails(1, "is not the expected file", "videos", "--root", study)
