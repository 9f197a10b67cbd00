"""Rows of all processes, with and without gradient; one process falls through."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from duchenne.modules.gather import gather_rows, world


def test_one_process_falls_through():
    rows = torch.rand(3, 2, requires_grad=True)
    assert world() == (0, 1)
    assert gather_rows(rows, gradient=True) is rows
    assert not gather_rows(rows).requires_grad


@pytest.mark.slow
def test_two_processes():
    command = [sys.executable, "-m", "tests.modules.gather_worker"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = json.loads(done.stdout.splitlines()[-1])
    rows = torch.cat([torch.arange(6.0).view(3, 2), torch.arange(6.0).view(3, 2) + 10])
    assert first["gathered"] == second["gathered"] == rows.tolist()
    # The gradient of both processes' losses: weights 1, 2, ... of the first and twice as much of the second.
    assert first["gradient"] == [[3 * n, 3 * n] for n in (1, 2, 3)]
    assert second["gradient"] == [[3 * n, 3 * n] for n in (4, 5, 6)]
    assert first["rows"] == second["rows"]
    assert first["clips"] == second["clips"] == [4, 5, 2, 3]  # the newest four of six, from place 0 on
    # Of class 0 both together pushed 0, 1, 3, 5 into two places, of class 1 they pushed 2, 4, of class 2 none.
    assert first["clips of classes"] == second["clips of classes"] == [[3, 5], [2, 4], [-1, -1]]
    assert first["places"] == second["places"] == [0, 0, 0]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    expected = torch.empty(6, 3)
    for part in (slice(0, None, 2), slice(1, None, 2)):  # each part was normalised by one of the processes
        expected[part] = network(rows[part].square()).detach()
    found = torch.tensor(first["keys"] + second["keys"])
    assert torch.allclose(found, expected, atol=1e-5)
