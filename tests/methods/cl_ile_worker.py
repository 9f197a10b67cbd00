"""CL-ILE in one pair of real gloo processes: `python -m tests.methods.cl_ile_worker DATA OUT`.

OUT/whole is trained at a stretch; OUT/part is stopped between two stages and resumed.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any, Final

import torch
from torch import distributed, multiprocessing

import duchenne
from duchenne.training.loop import Trainer

JOB: Final[dict[str, Any]] = {
    "size_px": 32, "batch_size": 6, "backbone_steps": 2, "max_steps": 2, "hidden": 16, "quiet": True, "device": "cpu",
    "schedule": "plateau", "validation_share": 0.3, "validate_every": 2, "plateau_patience": 1, "log_every": 1,
    "precision": "float32", "loader_threads": 1, "lr": 1e-2, "backbone_lr": 1e-3,
    "weighting": "balanced", "dropout": 0.0, "crop_min": 1.0, "crop_max": 1.0, "flip": False, "literal_sgd": True,
}  # fmt: skip
"""Without anything that each process draws for its own half of a batch, nor Adam, which enlarges rounding errors."""
STOP: Final = 2


def work(rank: int, port: int, data: str, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), NODE_RANK="0", GROUP_RANK="0", TORCHELASTIC_RUN_ID="tests")
    torch.set_num_threads(1)
    job = {**JOB, "data": data, "devices": 2}
    duchenne.pretrain("cl_ile", out=Path(out) / "whole", **job)
    agree = Trainer._agree
    Trainer._agree = lambda self, stop: agree(self, stop or self.step == STOP)
    assert duchenne.pretrain("cl_ile", out=Path(out) / "part", **job).steps == STOP
    Trainer._agree = agree
    assert duchenne.pretrain("cl_ile", out=Path(out) / "part", resume=True, **job).finished
    distributed.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, *sys.argv[1:]), nprocs=2)
