"""What only two GPUs can show: two processes train over NCCL as one does, and a lost one is noticed.

Skipped with fewer than two; `python -m pytest tests/cuda` on a machine with two takes about a minute.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.training.agents import free_port
from tests.training.made import moving_squares

import duchenne
from duchenne.training.runs import load_encoder

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two CUDA GPUs here")
FIELDS = {"size_px": 32, "batch_size": 4, "precision": "float32", "crop_min": 1.0, "crop_max": 1.0, "log_every": 1,
          "validation_share": 0.0}  # fmt: skip
NOTICED_S = 660
"""Torch's watchdog ends the other process after ten minutes at the latest."""


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder


def start(squares: Path, out: Path, steps: int, *more: str) -> list[subprocess.Popen[str]]:
    """Two processes on two GPUs of this machine, as torchrun starts them."""
    words = [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += ["--data", str(squares), "--out", str(out), "--max-steps", str(steps), "--save-every", "5", *more]
    command = [sys.executable, "-m", "duchenne.cli.main", "pretrain", "temporal_ranking", "--quiet", *words]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
              "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}  # fmt: skip
    return [
        subprocess.Popen(
            [*command, "--device", "cuda", "--devices", "2"], stderr=subprocess.PIPE, text=True,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip


def test_two_train_like_one(squares: Path, tmp_path: Path) -> None:
    for process in start(squares, tmp_path / "two", 2):
        assert process.communicate(timeout=300)[1] == ""
        assert process.returncode == 0
    one = {"data": squares, "out": tmp_path / "one", "max_steps": 2, "bn_splits": 2, "quiet": True, "device": "cuda:0"}
    duchenne.pretrain("temporal_ranking", **one, **FIELDS)
    found, expected = (load_encoder(tmp_path / name).encoder.state_dict() for name in ("two", "one"))
    for key, value in expected.items():
        assert torch.allclose(found[key].float(), value.float(), atol=1e-4), key


@pytest.mark.parametrize("rank", [0, 1])
def test_a_lost_process_is_noticed_and_the_training_goes_on(rank: int, squares: Path, tmp_path: Path) -> None:
    out, steps = tmp_path / "run", 400
    processes = start(squares, out, steps)
    log = out / "log.jsonl"
    while not log.exists() or log.read_text().count("\n") < 20:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    processes[rank].send_signal(signal.SIGKILL)
    _, complaint = processes[1 - rank].communicate(timeout=NOTICED_S)
    assert processes[1 - rank].returncode != 0, complaint
    for process in start(squares, out, steps, "--resume"):
        assert process.wait(timeout=300) == 0
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, steps + 1))
