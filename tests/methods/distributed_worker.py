"""One pair of gloo processes runs every method; prints {method: [gradient error, statistics error]} as JSON.

Started by itself, it starts the pair; by two agents of torchrun, each of its processes is one of the pair.
"""

from __future__ import annotations

import json
import os
import socket

import torch
from tests.methods.made import random_batch, small_method
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from duchenne.methods.base import Method
from duchenne.methods.registry import METHODS

CLIPS = 8


class Step(nn.Module):
    """The training step as a forward pass, for DistributedDataParallel."""

    def __init__(self, method):
        super().__init__()
        self.method = method

    def forward(self, batch):
        return self.method.training_step(batch)


def augmented(method):
    """Of action units the first process knows fewer labels than the second."""
    batch = random_batch(method, CLIPS)
    if "aus" in batch.labels:
        batch.labels["aus"][: CLIPS // 2, :, 0] = -1
    torch.manual_seed(0)
    return method.augment(batch)


def step_alone(name: str) -> Method:
    """The whole batch in one process; to be called before there is a process group, so that nothing is gathered."""
    alone = small_method(name, bn_splits=2)
    output = alone.training_step(augmented(alone))
    output.loss.backward()
    alone.after_step()
    return alone


def compare(name: str, rank: int, alone: Method) -> list[float]:
    shared = small_method(name)
    batch = augmented(shared)
    wrapped = DistributedDataParallel(Step(shared), broadcast_buffers=False)
    half = CLIPS // 2
    output = wrapped(batch.select(slice(rank * half, (rank + 1) * half)))
    output.loss.backward()
    shared.after_step()
    gradient = statistics = 0.0
    for one, other in zip(alone.parameters(), shared.parameters(), strict=True):
        if one.grad is not None:
            scale = float(one.grad.abs().max()) + 1e-12
            gradient = max(gradient, float((one.grad - other.grad).abs().max()) / scale)
    for (key, one), other in zip(alone.named_buffers(), shared.buffers(), strict=True):
        value = other.detach().clone()
        if key.endswith(("running_mean", "running_var")):
            distributed.all_reduce(value)
            value /= distributed.get_world_size()
        statistics = max(statistics, float((one.float() - value.float()).abs().max()))
    return [gradient, statistics]


def work(rank: int, port: int | None = None) -> None:
    if port is not None:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    alone = {name: step_alone(name) for name in METHODS}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    found = {name: compare(name, rank, alone[name]) for name in METHODS}
    if rank == 0:
        print(json.dumps(found), flush=True)
    distributed.destroy_process_group()


if __name__ == "__main__" and "TORCHELASTIC_RUN_ID" in os.environ:
    work(int(os.environ["RANK"]))
elif __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port,), nprocs=2)
