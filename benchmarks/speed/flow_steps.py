"""A step of FAb-Net and the twin-cycle autoencoder, against the bare step of their encoder on as many pictures.

    python benchmarks/speed/flow_steps.py [--size 64] [--clips 32] [--runs 5] [--device auto] [--out FILE.json]

A step is augmentation, forward, backward and optimiser on one batch in memory (no decoding). The bare step is the same
encoder alone, forward and backward, on both frames of every clip. Medians of the time per clip, with the fastest and
slowest run; a round of all is repeated, so that a busy machine slows them alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from duchenne.devices import resolve_device
from duchenne.methods.base import Method
from duchenne.training.config import method_run_config
from duchenne.training.runs import build_method
from duchenne.types import ClipBatch
from measuring import machine, now

STEPS, WARM_UP = 4, 1
CASES = {
    "FAb-Net": ("fab_net", {}),
    "FAb-Net, 3 sources": ("fab_net", {"sources": 3}),
    "twin-cycle": ("twin_cycle", {}),
}


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of a step."""
    for number in range(WARM_UP + STEPS):
        if number == WARM_UP:
            start = now(device)
        step()
    return (now(device) - start) / STEPS


def steps_of(method: Method, batch: ClipBatch) -> tuple[Callable[[], object], Callable[[], object]]:
    """The method's step, and the bare one of its encoder."""
    optimiser = torch.optim.SGD(method.parameters(), lr=1e-4)
    images = batch.images[:, :2].flatten(0, 1).float() / 255

    def whole() -> None:
        method.training_step(method.augment(batch)).loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()

    def bare() -> None:
        method.encoder(images).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    return whole, bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, choices=(32, 64, 128, 256))
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device, layers = resolve_device(arguments.device), arguments.size.bit_length() - 1
    found: dict[str, list[float]] = {}
    prepared = {}
    for name, (method_name, fields) in CASES.items():
        config = method_run_config(method_name)(size_px=arguments.size, layers=layers, curriculum=False, **fields)
        method = build_method(method_name, config)
        frames = method.sampler(config).frames
        if config.__dict__.get("sources", 1) > 1:
            method.start_stage(1)
        images = torch.randint(0, 256, (arguments.clips, frames, 3, arguments.size, arguments.size), dtype=torch.uint8)
        rows = torch.zeros(arguments.clips, frames, dtype=torch.long)
        batch = ClipBatch(images, rows, rows[:, 0], rows[:, 0]).to(device)
        prepared[name] = steps_of(method.to(device).train(), batch)
    for _ in range(arguments.runs):
        for name, (whole, bare) in prepared.items():
            found.setdefault(name, []).append(timed(whole, device))
            found.setdefault(f"{name}: encoder alone", []).append(timed(bare, device))
    rows_out = {}
    for name, seconds in found.items():
        clip = [1000 * value / arguments.clips for value in seconds]
        rows_out[name] = {"median_ms": statistics.median(clip), "min_ms": min(clip), "max_ms": max(clip)}
        print(f"{name:38} {statistics.median(clip):8.2f} ms a clip ({min(clip):.2f} to {max(clip):.2f})", flush=True)
    about = {**machine(device), "size_px": arguments.size, "clips": arguments.clips}
    print(about)
    if arguments.out:
        arguments.out.write_text(json.dumps({"rows": rows_out, "machine": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
