"""A pair of gloo processes gathers rows and pushes them into a memory; prints what each of them found as JSON."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed, multiprocessing, nn

from duchenne.modules.gather import gather_rows
from duchenne.modules.momentum import MomentumCopy
from duchenne.modules.queue import Queue


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    own = torch.arange(6.0).view(3, 2) + 10 * rank
    leaf = own.clone().requires_grad_()
    weights = torch.arange(1.0, 7.0)[:, None] * (rank + 1)
    (gather_rows(leaf, gradient=True) * weights).sum().backward()
    torch.manual_seed(0)
    queue = Queue(4, 2, ids=["clip"])
    queue.push(own, clip=torch.arange(3) + 3 * rank)
    classes = Queue(2, 2, ids=["clip"], classes=3)
    labels = torch.tensor([[0, 0, 1], [0, 1, 0]][rank])
    classes.push(own, labels=labels, clip=torch.arange(3) + 3 * rank)
    torch.manual_seed(0)
    copy = MomentumCopy(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), 0.5)
    found = {
        "gathered": gather_rows(own).tolist(),
        "gradient": leaf.grad.tolist(),
        "rows": queue.rows.tolist(),
        "clips": queue.ids("clip").tolist(),
        "clips of classes": classes.ids("clip").tolist(),
        "places": classes.place.tolist(),
        "keys": copy(own.square()).tolist(),
    }
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        multiprocessing.spawn(work, args=(port, folder), nprocs=2)
        print(json.dumps([json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(2)]))
