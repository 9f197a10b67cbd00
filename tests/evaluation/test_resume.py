"""An interrupted evaluation goes on where it stopped and writes the files of an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.evaluation import state
from duchenne.evaluation.state import FOLDER, State, array_hash, kept_features
from duchenne.features.columns import PixelSource
from duchenne.features.encoder import EncoderSource
from duchenne.features.ensemble import EnsembleSource
from duchenne.features.source import Context

BUILDER = """
import torch

class Counting(torch.nn.Module):
    size_px = 32
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 16))
    def forward(self, x):
        with open("calls.txt", "a") as file:
            file.write(f"{len(x)}\\n")
        return torch.nn.functional.adaptive_avg_pool2d(x.mean(dim=1, keepdim=True), 4).flatten(1) * self.weight

def build():
    return Counting()
"""


def words(faces: Path, out: Path) -> list[str]:
    job = ["evaluate", "linear", "--model", "counting:build", "pixels", "--data", str(faces), "--out", str(out)]
    return [*job, "--no-baselines", "--sample-faces", "0", "--quiet"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_a_killed_evaluation_goes_on_and_writes_the_same_files(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))  # parts are of one number of threads
    (tmp_path / "counting.py").write_text(BUILDER)
    calls = tmp_path / "calls.txt"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(words(faces, whole)) == 0
    assert sum(map(int, calls.read_text().split())) == 168
    job = subprocess.Popen([sys.executable, "-m", "duchenne.cli.main", *words(faces, cut)])
    deadline = time.monotonic() + 120
    while not list((cut / FOLDER).glob("[0-9a-f]*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not (cut / "scores.csv").exists()
    assert main(words(faces, cut)) == 0
    assert sum(map(int, calls.read_text().split())) == 2 * 168  # none was looked at twice
    assert sorted(path.name for path in cut.iterdir()) == ["folds.csv", "report.html", "scores.csv", "summary.json"]
    for path in whole.iterdir():
        assert path.read_bytes() == (cut / path.name).read_bytes(), path.name


class Mean(torch.nn.Module):
    """Three values per picture; refuses after some pictures."""

    def __init__(self, factor: float = 1.0, allowed: int = 10**6) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))
        self.allowed = allowed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.allowed -= len(x)
        if self.allowed < 0:
            raise KeyboardInterrupt
        return x.mean(dim=(2, 3)) * self.factor


def source(module: Mean) -> EncoderSource:
    return EncoderSource("mean", lambda seed: module, 16, {"kind": "builder"})


def test_finished_blocks_are_not_computed_again(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "BLOCK", 64)
    data, rows, kept = Prepared([faces]), np.arange(168), State(tmp_path, {"data": "drawn"})
    context = Context(device=torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        kept_features(source(Mean(allowed=130)), data, rows, context, kept)
    advanced: list[int] = []
    counting = Context(device=torch.device("cpu"), advance=advanced.append)
    values = kept_features(source(Mean(allowed=40)), data, rows, counting, kept)
    assert advanced == [64, 64, 40]
    np.testing.assert_array_equal(values, source(Mean()).features(data, rows, context))
    both = EnsembleSource("both", [source(Mean(allowed=0)), PixelSource()])
    assert kept_features(both, data, rows, context, kept).shape == (168, 3 + 1024)


def test_a_part_is_used_only_under_its_whole_key(tmp_path: Path) -> None:
    kept = State(tmp_path, {"threads": 1})
    kept.put({"score": np.arange(3.0)}, seed=0)
    found = kept.get(seed=0)
    assert found is not None
    assert found["score"].tolist() == [0, 1, 2]
    assert kept.get(seed=1) is None
    assert State(tmp_path, {"threads": 2}).get(seed=0) is None
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert kept.get(seed=0) is None  # damaged
    kept.clear()
    assert not (tmp_path / FOLDER).exists()


def test_fingerprints_tell_weights_and_files_apart(tmp_path: Path) -> None:
    def name(module: Mean) -> Any:
        return source(module).fingerprint(0)

    assert name(Mean(1.0)) == name(Mean(1.0))
    assert name(Mean(1.0)) != name(Mean(1.0000001))
    assert array_hash(np.zeros(2)) != array_hash(np.zeros(2, np.float32)) != array_hash(np.zeros((2, 1), np.float32))
