"""The harness that kills commands notices what a kill may leave, and passes over what may differ."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import torch
from benchmarks.reliability.kills import Reference, contents, differing
from benchmarks.reliability.kills_commands import COMMANDS
from benchmarks.reliability.kills_processes import Process

from duchenne.cli.main import COMMANDS as ALL
from duchenne.training.checkpoints import save_checkpoint

NOT_KILLED = {
    "demo": "calls the functions of the others",
    "convert": "reads one file and writes another, as pretrain does at its end",
    "info": "writes nothing",
    "reproduce": "runs the commands of the others",
}


def test_every_command_is_killed_or_says_why_not() -> None:
    assert {command.words[0] for command in COMMANDS.values()} | {*NOT_KILLED} == set(ALL)


def test_half_written_lost_and_unknown_files_are_noticed(tmp_path: Path) -> None:
    for name, text in (("a.csv", "whole"), ("b.csv", "whole"), ("c.html", "as it comes")):
        (tmp_path / name).write_text(text)
    wanted = Reference({**contents(tmp_path), "c.html": None}, seconds=1.0, begin=0.5)
    assert differing(contents(tmp_path), wanted, "") == []
    (tmp_path / "a.csv").write_text("who")
    (tmp_path / "c.html").write_text("otherwise")
    (tmp_path / "d.csv").touch()
    (tmp_path / ".e.part.csv").touch()
    assert differing(contents(tmp_path), wanted, "") == ["a.csv: differs", "d.csv: is not known"]
    assert differing(contents(tmp_path), wanted, r"[ad]\.csv") == []


def test_checkpoints_are_compared_tensor_by_tensor(tmp_path: Path) -> None:
    found = []
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        (tmp_path / name).mkdir()
        save_checkpoint(tmp_path / name / "checkpoint.pt", {"step": 1, "method": {"weight": torch.full((2,), value)}})
        found.append(contents(tmp_path / name)["checkpoint.pt"])
    assert found[0] == found[1] != found[2]


def test_what_outlives_a_command_is_found(tmp_path: Path) -> None:
    """A process of a session of its own, as those that the page of review starts."""
    process = Process(["--version"], tmp_path, "marked-by-this-test", cold=True)
    assert process.wait(60) == 0
    assert process.left("marked-by-this-test") == []
    child = psutil.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={"DUCHENNE_KILLS": "marked-by-this-test"},
        start_new_session=True,
    )  # fmt: skip
    try:
        time.sleep(0.3)
        assert [one.pid for one in process.left("marked-by-this-test")] == [child.pid]
    finally:
        child.kill()
        child.wait()
