"""Frames a second of the synthetic faces: rendering alone, and whole (camera, crop, JPEG).

    python benchmarks/speed/synth_speed.py [--device cpu|cuda]

Prints the median of seven repetitions with their range, the machine and the versions.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from duchenne.data.shards import encode_jpeg
from duchenne.synthetic.render import render
from duchenne.synthetic.sampling import person, plan_clip
from duchenne.synthetic.synth import frames_at_once, render_clip, synth
from measuring import machine

FRAMES = 48
REPETITIONS = 7


def measure(size_px: int, device: str) -> None:
    plan = plan_clip(0, 0, 0, FRAMES, style=0)
    identity, scene, pose = person(0, 0).to(device), plan.scene.to(device), torch.from_numpy(plan.pose).to(device)
    step = frames_at_once(size_px)

    def alone() -> None:
        for start in range(0, FRAMES, step):
            part = slice(start, min(start + step, FRAMES))
            render(identity, plan.expression(part).to(device), pose[part], scene, size_px)
        if device != "cpu":
            torch.cuda.synchronize()

    def whole() -> None:
        for picture, _ in render_clip(plan, (0, 0), size_px, device):
            encode_jpeg(picture)

    for name, job in (("render", alone), ("render, noise, JPEG", whole)):
        job()
        rates = []
        for _ in range(REPETITIONS):
            begin = time.process_time() if device == "cpu" else time.perf_counter()
            job()
            end = time.process_time() if device == "cpu" else time.perf_counter()
            rates.append(FRAMES / (end - begin))
        print(
            f"{size_px} px, {name}: {statistics.median(rates):.0f} frames/s (from {min(rates):.0f} to {max(rates):.0f})"
        )


def measure_job(size_px: int) -> None:
    """The whole `synth` job in one process: rendering at crop size, camera, crop, JPEG, table."""
    rates = []
    for seed in range(REPETITIONS):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            synth(
                Path(folder) / "out", subjects=1, clips=2, frames=48, size_px=size_px, seed=seed, workers=1, quiet=True
            )
            rates.append(96 / (time.process_time() - begin))
    spread = f"from {min(rates):.0f} to {max(rates):.0f}"
    print(f"{size_px} px crops, whole job: {statistics.median(rates):.0f} frames/s ({spread})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    where = (
        torch.cuda.get_device_name()
        if options.device != "cpu"
        else f"one core of {machine()['processor']}, time of the process"
    )
    print(f"{where}; Python {platform.python_version()}, torch {torch.__version__}")
    for size in (64, 128, 256):
        measure(size, options.device)
    if options.device == "cpu":
        for size in (64, 128):
            measure_job(size)
