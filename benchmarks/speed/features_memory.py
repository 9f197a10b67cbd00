"""How much memory the features of many crops take: they stream from disk and are never held decoded.

    python benchmarks/speed/features_memory.py [--faces 100000] [--size 64] [--model pixels|random] [--out FILE.json]

Renders a few faces, writes a prepared folder in which they are repeated up to the number asked for, and computes
their features in a process of its own: its peak memory above what it had before, what the decoded crops would take,
what the features take, and faces a second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.devices import processor_name
from duchenne.features.resolve import resolve
from duchenne.features.source import Context


def repeated(folder: Path, faces: int, size: int) -> None:
    """A prepared folder with `faces` rows."""
    duchenne.synth(folder, subjects=4, clips=4, frames=48, size_px=size, quiet=True)
    table = pq.read_table(folder / "frames.parquet")
    places = np.arange(faces) % len(table)
    many = table.take(pa.array(np.sort(places)))
    many = many.set_column(many.column_names.index("frame"), "frame", pa.array(np.arange(faces)))
    pq.write_table(many, folder / "frames.parquet")


def memory_kib(key: str) -> int:
    """Resident memory of this process as Linux tells it: `VmRSS` now, `VmHWM` at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def measure(folder: Path, model: str) -> dict[str, float]:
    """Peak memory above the start, and speed."""
    data, source = Prepared([folder]), resolve(model)
    context = Context(device=torch.device("cpu"))
    source.features(data, np.arange(256), context)  # what is loaded once
    before, start = memory_kib("VmRSS"), time.perf_counter()
    values = source.features(data, np.arange(len(data)), context)
    spent = time.perf_counter() - start
    peak = memory_kib("VmHWM")
    side = data.infos[0].size_px
    return {
        "faces": len(data), "size_px": side, "peak_above_start_mib": (peak - before) / 1024,
        "features_mib": values.nbytes / 2**20, "decoded_mib": len(data) * side * side * 3 / 2**20,
        "faces_per_s": len(data) / spent,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--model", default="pixels")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measure(given.folder, given.model)))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "faces"
        repeated(folder, given.faces, given.size)
        words = [sys.executable, __file__, "--folder", str(folder), "--model", given.model]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    machine = f"{processor_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    versions = {"python": platform.python_version(), "torch": torch.__version__, "duchenne": duchenne.__version__}
    text = json.dumps({"model": given.model, **found, "machine": machine, "versions": versions}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
