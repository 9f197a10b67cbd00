"""What the benchmarks share: the clock, the highest use of memory, and on what machine it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from duchenne.devices import computes_bf16, processor_name


def now(device: torch.device) -> float:
    """Seconds, when everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def use(device: torch.device, *, begin: bool = False) -> float:
    """The highest use of memory since it was last begun, in MiB; `begin` gives the use at this moment."""
    if device.type == "cuda":
        if begin:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device) / 2**20
    if begin:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the highest resident size begins at the present one
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10


def spread(values: Sequence[float], digits: int = 3) -> str:
    """`median (lowest to highest)`."""
    middle, low, high = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def machine(device: torch.device | None = None) -> dict[str, Any]:
    """What a figure depends on: processor, cores, threads, device, versions."""
    found = {
        "processor": processor_name(), "cores": os.cpu_count(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip
    return found if device is None else {**found, "device": str(device), "bf16": computes_bf16(device)}
