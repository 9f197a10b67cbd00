"""The knowledge-driven method: what RoIAlign and the losses cost of a training step, and the memory of a large batch.

    python benchmarks/speed/knowledge_driven.py [--batch 128] [--size 112] [--memory-batch 1024] [--runs 5]
                                                [--device auto]

A step is forward, backward and optimiser of ResNet-50 up to conv4_x, RoIAlign, projector, predictors and losses, on a
batch in memory. RoIAlign and the losses are timed alone, forward and backward, on tensors of the same shapes. Medians,
with the fastest and slowest run; all parts are measured in every round, so that a busy machine slows them alike. The
memory of the losses is the highest resident size while they and their gradients are computed, beyond what was there
before, in a process of its own (on a GPU: allocated).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from duchenne.devices import computes_bf16, resolve_device
from duchenne.methods.knowledge_driven.config import KnowledgeDrivenConfig
from duchenne.methods.knowledge_driven.loss import inter_area_loss, intra_area_loss, prediction_loss
from duchenne.methods.knowledge_driven.method import KnowledgeDriven
from duchenne.modules.roi_align import roi_align
from duchenne.types import ClipBatch
from measuring import machine, now, use

AREAS, DIM = 8, 128
LIMIT_MIB = 512


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    start = now(device)
    call()
    return now(device) - start


def losses(embeddings: Tensor, predicted: Tensor) -> Tensor:
    return inter_area_loss(embeddings) + intra_area_loss(embeddings) + prediction_loss(embeddings, predicted)


def parts(batch: int, size: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """The whole step, and its two parts by themselves."""
    method = KnowledgeDriven(KnowledgeDrivenConfig()).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-4)
    autocast = {"device_type": device.type, "dtype": torch.bfloat16, "enabled": computes_bf16(device)}
    corner = torch.rand(batch, 2, AREAS, 2, device=device) * size / 2
    boxes = torch.cat([corner, corner + size / 4], dim=-1)
    labels = {"boxes": boxes, "seen": torch.ones(batch, 2, AREAS, device=device)}
    images = torch.rand(batch, 2, 3, size, size, device=device)
    numbers = torch.arange(batch, device=device)
    views = ClipBatch(images, numbers[:, None], numbers, numbers, labels)
    flat = boxes.flatten(0, 1)
    with torch.no_grad(), torch.autocast(**autocast):
        example = method.encoder.feature_map(images[:1].flatten(0, 1))
    maps = torch.rand(2 * batch, *example.shape[1:], device=device, dtype=example.dtype)
    maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
    rows = torch.randn(2, 2 * batch, AREAS, DIM, device=device, dtype=example.dtype).requires_grad_()

    def step() -> None:
        with torch.autocast(**autocast):
            loss = method.training_step(views).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    def align() -> None:
        with torch.autocast(**autocast):
            read = roi_align(maps, flat, scale=maps.shape[-1] / size)
        read.backward(torch.ones_like(read))

    return {"step": step, "RoIAlign": align, "losses": lambda: losses(rows[0], rows[1]).backward()}


def loss_memory(batch: int, device: torch.device) -> float:
    """MiB that the losses of a batch need with their gradients, beyond the embeddings."""
    rows = torch.randn(2, 2 * batch, AREAS, DIM, device=device)
    small = torch.randn(2, 4, AREAS, DIM, device=device, requires_grad=True)
    losses(small[0], small[1]).backward()  # what the first call loads is not counted
    leaves = [rows[0].clone().requires_grad_(), rows[1].clone().requires_grad_()]
    before = use(device, begin=True)
    losses(*leaves).backward()
    return use(device) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--memory-batch", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only-memory", action="store_true", help="print the MiB of --memory-batch and nothing else")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    if arguments.only_memory:
        print(loss_memory(arguments.memory_batch, device))
        return
    command = [sys.executable, __file__, "--only-memory", "--memory-batch", str(arguments.memory_batch)]
    command += ["--device", arguments.device]
    memory = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    calls = parts(arguments.batch, arguments.size, device)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(arguments.runs):
        for name, call in calls.items():
            seconds[name].append(timed(call, device))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        share = f", {median[name] / median['step']:.1%} of the step" if name != "step" else ""
        print(f"{name:10} {median[name]:8.3f} s ({min(values):.3f} to {max(values):.3f}){share}")
    both = (median["RoIAlign"] + median["losses"]) / median["step"]
    print(f"RoIAlign and losses together: {both:.1%} of the step (aim: at most 10 %)")
    print(f"losses at batch {arguments.memory_batch}: {memory:.0f} MiB (aim: at most {LIMIT_MIB})")
    about = machine(device)
    print(f"batch {arguments.batch} at {arguments.size} px, two views; {about}")
    if arguments.out:
        result = {"seconds": seconds, "share": both, "memory_mib": memory, "machine": about}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
