"""Pretraining in images a second, against the bare step of the same encoder on the same batch, in one run.

    python benchmarks/speed/pretraining.py [--size 112] [--clips 8] [--runs 5] [--device auto] [--out FILE.json]
                                           [--backbones resnet18 compact]

The bare step is forward, backward and optimiser on one batch in memory, with the job's precision and memory format.
Against it: the method's step on one batch in memory (augmentation and the method's loss, too), the whole job (also
decoding, sampling, log), and the same with colour jitter. Medians, with the fastest and slowest run; a round of all is
repeated, so that a busy machine slows them alike, and what is compared is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import duchenne
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import Prepared
from duchenne.devices import computes_bf16, resolve_device
from duchenne.methods.temporal_ranking.config import TemporalRankingConfig
from duchenne.methods.temporal_ranking.method import TemporalRanking
from measuring import machine, now

STEPS, WARM_UP = 24, 4
FIELDS = {"weights": "none", "validation_share": 0.0, "lr": 0.01, "quiet": True}


def step_alone(data: Path, size_px: int, clips: int, device: torch.device, backbone: str, *, bare: bool) -> float:
    """Images a second of a step on one batch in memory: the method's, or the bare one of its encoder."""
    method = TemporalRanking(TemporalRankingConfig(backbone=backbone)).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
    opened, sampler = Prepared([data]), TemporalRanking.sampler(method.config)
    usable, _ = sampler.usable_clips(opened, np.arange(len(opened)))
    batch = ClipLoader(opened, usable, sampler, batch_size=clips, size_px=size_px, seed=0).batch(0).to(device)
    images = batch.images.flatten(0, 1).float() / 255
    start = 0.0
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            start = now(device)
        views = batch if bare else method.augment(batch)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_bf16(device)):
            loss = method.encoder(images).float().square().mean() if bare else method.training_step(views).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return STEPS * len(images) / (now(device) - start)


def job(data: Path, size_px: int, clips: int, device: str, backbone: str, colour: float) -> tuple[float, float]:
    """Images a second of the whole job after its first steps, and the share of time that it waited for data."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        duchenne.pretrain(
            "temporal_ranking", data=data, out=out, size_px=size_px, batch_size=clips, device=device, colour=colour,
            backbone=backbone, max_steps=WARM_UP + STEPS, log_every=WARM_UP, **FIELDS,
        )  # fmt: skip
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()][1:]
        rate = len(lines) / sum(1 / line["images_per_s"] for line in lines)
        return rate, statistics.mean(line["waiting"] for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--clips", type=int, default=8, help="per batch; each has 12 frames")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    kinds = ("bare step", "step", "whole job", "with colour jitter 0.4")
    found: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in arguments.backbones for kind in kinds}
    waited = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "faces"
        duchenne.synth(data, subjects=8, clips=4, frames=32, size_px=arguments.size, quiet=True)
        for _, name in product(range(arguments.runs), arguments.backbones):
            for kind, bare in zip(kinds[:2], (True, False), strict=True):
                rate = step_alone(data, arguments.size, arguments.clips, device, name, bare=bare)
                found[name, kind].append(rate)
            for kind, colour in zip(kinds[2:], (0.0, 0.4), strict=True):
                rate, waiting = job(data, arguments.size, arguments.clips, arguments.device, name, colour)
                found[name, kind].append(rate)
                waited.append(waiting)
    rows: dict[str, Any] = {}
    for (name, kind), rates in found.items():
        base, first = found[name, kinds[0]], found[arguments.backbones[0], kind]
        row = rows[f"{name}, {kind}"] = {
            "median": statistics.median(rates), "min": min(rates), "max": max(rates),
            "of_bare": statistics.median(a / b for a, b in zip(rates, base, strict=True)),
            "of_first": statistics.median(a / b for a, b in zip(rates, first, strict=True)),
        }  # fmt: skip
        spread = f"({row['min']:.1f} to {row['max']:.1f}), {row['of_bare']:.2f} of bare"
        others = f", {row['of_first']:.2f} of {arguments.backbones[0]}" if len(arguments.backbones) > 1 else ""
        print(f"{name + ', ' + kind:34} {row['median']:7.1f} images/s {spread}{others}")
    about = machine(device)
    print(f"waiting for data: {statistics.median(waited):.1%} of the time; {arguments.size} px, {about}")
    if arguments.out:
        arguments.out.write_text(json.dumps({"rows": rows, "waiting": waited, "machine": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
