"""What a prepared folder costs before the first step: time and memory by number of rows. Linux.

    python benchmarks/index.py [--rows 200000 2000000] [--landmarks] [--folder DIR] [--out FILE.json]

The folder is made up: clips of 180 frames (a mean utterance of VoxCeleb2), 8 a subject, 25 frames a second, no labels,
no pictures, with `--landmarks` 68 random points a row. Every stage runs in a process of its own after those that it
needs. Seconds are its own; memory is the highest resident size of the process so far, beyond that of its imports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.config import save_mapping, to_mapping
from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.labels import LabelSpec
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import frames_schema
from duchenne.data.stored.frames import FRAMES_FILE, LANDMARKS_LENGTH, read_table
from duchenne.data.stored.parquet import read_parquet
from measuring import machine

CLIP, CLIPS, GROUP = 180, 8, 1000
"""Frames of a clip, clips of a subject, clips of a row group."""
INFO = DatasetInfo(
    name="made up", aus=(), label_kind="none", alignment="none", size_px=112, licence="CC0-1.0",
)  # fmt: skip
STAGES: dict[str, Callable[[Path], object]] = {
    "read Parquet": lambda path: read_parquet(
        path / FRAMES_FILE, lambda name: name not in ("landmarks", "blendshapes")
    ),
    "read and check a table": lambda path: read_table(path / FRAMES_FILE, INFO.layout()),
    "open": lambda path: Prepared([path]),
    "open, find clips": lambda path: clips(Prepared([path])),
    "open, read landmarks": lambda path: LabelSpec(landmarks=True).read(Prepared([path])),
}


def clips(data: Prepared) -> tuple[object, ...]:
    return data, SequenceSampler(range(12)).usable_clips(data, np.arange(len(data)))


def make(path: Path, rows: int, *, landmarks: bool) -> None:
    """A folder with `rows` rows, rounded up to whole clips."""
    path.mkdir(parents=True)
    schema, total, rng = frames_schema(INFO), -(-rows // CLIP), np.random.default_rng(0)
    with pq.ParquetWriter(path / FRAMES_FILE, schema, compression="zstd", write_page_checksum=True) as file:
        for start in range(0, total, GROUP):
            numbers = np.arange(start, min(total, start + GROUP))
            frame, number = np.tile(np.arange(CLIP), len(numbers)), np.repeat(numbers, CLIP)
            size = rng.integers(5_000, 7_000, len(number))
            names = pa.array([f"id{clip // CLIPS:05}/video{clip % CLIPS}/00001" for clip in numbers])
            subjects = pa.array([f"id{clip // CLIPS:05}" for clip in numbers])
            values = {
                "subject": subjects.take(pa.array(number - start)), "clip": names.take(pa.array(number - start)),
                "frame": frame, "time_s": frame / 25, "shard": subjects.take(pa.array(number - start)),
                "offset": frame * 7_168, "size": size, "split": pa.array(["train"]).take(pa.array(number * 0)),
                "score": np.ones(len(number), np.float32), "source": names.take(pa.array(number - start)),
                "crc32": rng.integers(0, 2**32, len(number), dtype=np.uint32),
            }  # fmt: skip
            if landmarks:
                points = rng.uniform(0, 112, (len(number), LANDMARKS_LENGTH)).astype(np.float32)
                values["landmarks"] = pa.FixedSizeListArray.from_arrays(points.reshape(-1), LANDMARKS_LENGTH)
            columns = [
                pa.array(values[field.name]).cast(field.type)
                if field.name in values
                else pa.nulls(len(number), field.type)
                for field in schema
            ]
            file.write_table(pa.table(columns, schema=schema))
    save_mapping(path / "dataset.yaml", {**to_mapping(INFO), "counts": {"crops": total * CLIP}})


def measure(stage: str, path: Path) -> dict[str, float]:
    """Runs a stage here."""
    before = resident()
    start = time.perf_counter()
    kept = STAGES[stage](path)
    spent = time.perf_counter() - start
    del kept
    return {"seconds": round(spent, 2), "MiB": round(resident() - before)}


def resident() -> float:
    """The highest resident size of this process so far, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--landmarks", action="store_true")
    parser.add_argument("--folder", type=Path, help="where folders are made and kept; a temporary one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(measure(given.stage, given.folder)))
        return
    found = {"machine": machine(), "figures": {}}
    with tempfile.TemporaryDirectory() as temporary:
        for rows in given.rows:
            path = (given.folder or Path(temporary)) / f"{rows}{'_landmarks' if given.landmarks else ''}"
            if not path.exists():
                make(path, rows, landmarks=given.landmarks)
            found["figures"][rows] = {}
            for stage in STAGES:
                if "landmarks" in stage and not given.landmarks:
                    continue
                command = [sys.executable, __file__, "--stage", stage, "--folder", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found["figures"][rows][stage] = json.loads(done.stdout)
                print(f"{rows:>11,} rows  {stage:<24}", done.stdout.strip(), flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
