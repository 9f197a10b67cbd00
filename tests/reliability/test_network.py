"""No command on local files connects to anything or asks for a name: every one is traced, and needs no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from duchenne.cli.main import COMMANDS
from duchenne.faces.decode import read_pictures

UNTRACED = {
    "demo": "calls the functions of the others",
    "convert": "reads one file of weights as `pretrain --weights` does",
    "review": "is a server; see tests/review",
    "reproduce": "runs commands of these",
}


def steps(folder: Path, shared: Path) -> dict[str, list[str]]:
    """Command -> words of a small job, in an order in which each finds what it needs."""
    recording = shared / "data" / "intel-sample-videos" / "head-pose-face-detection-male.mp4"
    (folder / "recordings").mkdir()
    shutil.copy(recording, folder / "recordings" / "a.mp4")
    cv2.imwrite(str(folder / "face.png"), np.ascontiguousarray(next(read_pictures(recording)).image[:, :, ::-1]))
    return {
        "synth": ["--out", "faces", "--subjects", "4", "--clips", "2", "--frames", "16", "--size", "64", "--quiet"],
        "prepare": ["videos", "--root", "recordings", "--out", "found", "--fps", "1", "--quiet"],
        "pretrain": ["temporal_ranking", "--data", "faces", "--out", "run", "--recipe", "smoke/temporal_ranking",
                     "--max-steps", "2", "--quiet"],
        "embed": ["--model", "run", "--data", "faces", "--out", "features.parquet", "--quiet"],
        "evaluate": ["linear", "--model", "features:features.parquet", "--data", "faces", "--out", "scores", "--folds",
                     "2", "--maps", "none", "--no-baselines", "--quiet"],
        "compare": ["scores"],
        "retrieve": ["--model", "run", "--data", "faces", "--query", "face.png", "--out", "near.html", "--quiet"],
        "fit": ["--model", "run", "--data", "faces", "--out", "detector", "--quiet"],
        "export": ["--model", "detector", "--out", "detector.onnx"],
        "detect": ["recordings/a.mp4", "--every", "25", "-o", "a_aus.csv", "--report", "a.html", "--quiet"],
        "summarize": ["a_aus.csv", "-o", "."],
        "agree": ["a_aus.csv", "a_aus.csv", "--out", "agreement"],
        "info": [],
    }  # fmt: skip


def test_every_command_is_traced_or_says_why_not(tmp_path: Path, shared: Path) -> None:
    assert {*steps(tmp_path, shared), *UNTRACED} == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.strace
def test_commands_neither_connect_nor_ask_for_names(tmp_path: Path, shared: Path) -> None:
    variables = {**os.environ, "DUCHENNE_MODELS": str(shared / "models")}
    for name, words in steps(tmp_path, shared).items():
        trace = tmp_path / f"{name}.trace"
        command = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(trace), "-e", "signal=none"]
        command += ["-e", "trace=connect,sendto,sendmsg,sendmmsg", sys.executable, "-m", "duchenne.cli.main"]
        done = subprocess.run(
            [*command, name, *words], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (name, done.stderr[-2000:])
        outside = [line for line in trace.read_text().splitlines() if "AF_INET" in line or "sin_port" in line]
        assert outside == [], name


@pytest.mark.slow
def test_commands_work_where_there_is_no_network(tmp_path: Path, shared: Path) -> None:
    """In a network namespace of its own, which has no interface that is up: whatever connects fails at once."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    look = "import socket; socket.create_connection(('192.0.2.1', 9), 5)"
    assert b"Network is unreachable" in subprocess.run([*alone, sys.executable, "-c", look], capture_output=True).stderr
    variables = {**os.environ, "DUCHENNE_MODELS": str(shared / "models")}
    for name, words in steps(tmp_path, shared).items():
        command = [*alone, sys.executable, "-m", "duchenne.cli.main", name, *words]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (name, done.stderr[-2000:])
