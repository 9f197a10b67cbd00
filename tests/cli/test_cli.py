"""The command: what it says, its exit statuses, and that a user never sees a traceback."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duchenne import __version__
from duchenne.cli.main import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and what in shown for name, what in COMMANDS.items())
    assert main([]) == 2
    assert capsys.readouterr().out == shown
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(("word", "near"), [("detekt", "detect"), ("Train", "pretrain"), ("evalute", "evaluate")])
def test_an_unknown_command_names_the_nearest(word: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"duchenne: there is no command `{word}`; did you mean `{near}`?\n"


def status_of(*words: str) -> object:
    """The exit status, whether the command returns it or leaves with it."""
    try:
        return main(list(words))
    except SystemExit as left:
        return left.code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: duchenne {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_bad_use(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(name, "--no-such-flag") == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"demo", "info"}))
def test_nothing_given_is_bad_use(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(name) == 2
    said = capsys.readouterr()
    assert said.err or said.out.startswith(f"usage: duchenne {name}")


BAD_USE = [
    (["pretrain", "temporal_rankin", "--data", "{empty}", "--out", "{new}"], 2, "did you mean `temporal_ranking`"),
    (["pretrain", "temporal_ranking", "--data", "{none}", "--out", "{new}"], 1, "there is no such folder"),
    (["pretrain", "temporal_ranking", "--data", "{empty}", "--out", "{new}"], 1, "is not prepared data"),
    (["evaluate", "linear", "--model", "pixels", "--data", "{none}", "--out", "{new}"], 1, "there is no such folder"),
    (["embed", "--model", "{none}", "--data", "{empty}", "--out", "{new}/a.parquet"], 2, "{none}"),
    (["prepare", "videos", "--root", "{none}", "--out", "{new}"], 1, "{none}"),
    (["prepare", "videos", "--root", "{empty}", "--out", "{new}"], 1, "{empty}"),
    (["prepare", "bp5d", "--root", "{empty}", "--out", "{new}"], 2, "bp5d"),
    (["detect", "{none}"], 1, "{none}"),
    (["detect", "{text}", "-o", "{new}.csv"], 1, "{text}"),
    (["detect", "{text}", "--model", "{none}"], 2, "{none}"),
    (["synth", "--out", "{text}"], 2, "{text}"),
]


@pytest.mark.parametrize(("words", "status", "message"), BAD_USE)
def test_bad_use_is_one_sentence(
    words: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = {name: str(tmp_path / name) for name in ("none", "empty", "new")}
    (tmp_path / "empty").mkdir()
    places["text"] = str(tmp_path / "text.mp4")
    (tmp_path / "text.mp4").write_text("not a video\n")
    monkeypatch.chdir(tmp_path)
    assert main([word.format(**places) for word in words]) == status
    assert message.format(**places) in capsys.readouterr().err
    assert set(os.listdir(tmp_path)) <= {"empty", "new", "text.mp4"}
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


def test_info_says_what_is_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DUCHENNE_MODELS", raising=False)
    assert main(["info", "--all"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    assert shown["duchenne"] == __version__
    assert shown["torch"] == importlib.metadata.version("torch")
    assert "torch uses" in shown["cpu"]
    assert "pytest" not in shown
    assert "BMVC 2020" in shown["temporal_ranking"]
    assert shown["videos"].startswith("a folder of videos")
    assert shown["face_landmarker.task"].startswith("not here yet; fetched when first needed, from https://")
    assert os.listdir(tmp_path) == []


def test_info_is_short_unless_all_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DUCHENNE_MODELS", raising=False)
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 45
    assert max(map(len, lines)) < 130
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ") and line[2] != " "}
    assert shown["duchenne"] == __version__
    assert shown["torch"] == importlib.metadata.version("torch")
    assert "joblib" not in shown
    assert "cl_ile, clp" in shown["methods"]
    assert "face_landmarker.task" in shown["fetched"]
    assert lines[-1] == "`duchenne info --all` says more of each."


def test_info_says_where_the_model_files_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path / "none"))
    assert main(["info"]) == 0
    assert "none is not a folder; unset it" in capsys.readouterr().out
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path))
    (tmp_path / "face_landmarker.task").write_bytes(b"half")
    assert main(["info"]) == 0
    assert "face_landmarker.task: is not the expected file (its SHA-256 differs)" in capsys.readouterr().out


@pytest.mark.shared
def test_info_finds_the_shared_model_files(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert str(shared / "models" / "face_landmarker.task") in capsys.readouterr().out


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    command = f"{sys.executable} -m duchenne.cli.main info"
    done = subprocess.run(["sh", "-c", f"{command} | true"], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.slow
def test_ctrl_c_is_130_and_one_sentence(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "duchenne.cli.main", "synth", "--out", str(tmp_path / "out"), "--subjects", "200"],
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = time.monotonic() + 60
    while not list(tmp_path.glob("out/shards/*")):
        assert time.monotonic() < patience
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().endswith("duchenne synth: interrupted; run the same command again to go on.")
