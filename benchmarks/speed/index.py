"""What a prepared folder costs before the first step and in every step, by number of rows. Linux.

    python benchmarks/speed/index.py [--rows 200000 2000000] [--landmarks] [--folder DIR] [--against SRC] [--runs 3]
                                     [--stages open ...] [--out FILE.json]

The folder is made up, see `index_folder.py`. Every stage runs in a process of its own, which is given nothing but the
folder; `make the index` is the first opening of a folder without one, the others find it there. Seconds of the clock
and of the processor (of a busy machine the second is the one to compare), and private memory: the most that the
process had of its own beyond its imports, files that are mapped into it apart, looked at every hundredth of a second.

`--against` names the `src` folder of another version, `git archive COMMIT src | tar -x -C DIR`: its stages run in turn
with these, in the same command, on the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from duchenne.data.clip_samplers import SequenceSampler
from duchenne.data.labels import LabelSpec
from duchenne.data.loaders import ClipLoader
from duchenne.data.prepared import Prepared
from duchenne.training.held_out import split_clips, training_rows
from index_folder import INFO, make
from measuring import machine

FRAMES, BATCH, STEPS, LABEL_STEPS = 12, 32, 40, 400
"""Frames of a sequence, clips of a batch, batches that are timed, batches of labels that are timed."""


def loader(path: Path, labels: LabelSpec | None = None) -> ClipLoader:
    """As `pretrain` makes it: rows that may be used, clips that are long enough, some of them held out."""
    data, sampler = Prepared([path]), SequenceSampler(range(FRAMES))
    clips, _ = sampler.usable_clips(data, training_rows(data))
    training, _ = split_clips(clips, 0.1, 0)
    return ClipLoader(data, training, sampler, labels=labels, batch_size=BATCH, size_px=INFO.size_px, seed=0)


def open_folder(path: Path) -> dict[str, float]:
    Prepared([path])
    return {}


def make_index(path: Path) -> dict[str, float]:
    shutil.rmtree(path / "index", ignore_errors=True)
    Prepared([path])
    return {}


def first_batch(path: Path) -> dict[str, float]:
    next(loader(path).batches(0, 1))
    return {}


def pictures(path: Path) -> dict[str, float]:
    """Images a second of the loader with its two threads, once the shards are in the system's cache."""
    made = loader(path)
    next(made.batches(0, 1))
    begun = time.perf_counter(), time.process_time()
    count = sum(len(batch.rows.flatten()) for batch in made.batches(1, 1 + STEPS))
    return _rates("images", count, begun)


def labels(path: Path, spec: LabelSpec) -> dict[str, float]:
    """Rows a second of labels, of batches in the loader's order."""
    made = loader(path, spec)
    known: Any = made.labels
    drawn = [made.rows(step)[0] for step in range(2 * LABEL_STEPS)]

    def read(rows: np.ndarray) -> Any:
        if isinstance(known, dict):  # versions that kept the labels of all rows
            return {name: values[rows] for name, values in known.items()}
        return known.read(made.data, rows.ravel())

    for rows in drawn[:LABEL_STEPS]:  # touches the pages that lie near
        read(rows)
    begun = time.perf_counter(), time.process_time()
    for rows in drawn[LABEL_STEPS:]:
        read(rows)
    return _rates("labelled rows", LABEL_STEPS * drawn[0].size, begun)


def _rates(what: str, count: int, begun: tuple[float, float]) -> dict[str, float]:
    spent = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return {f"{what}/s": round(count / spent[0]), f"{what}/processor s": round(count / spent[1])}


STAGES: dict[str, Callable[[Path], dict[str, float]]] = {
    "make the index": make_index,
    "open": open_folder,
    "first batch": first_batch,
    "pictures": pictures,
    "action units": lambda path: labels(path, LabelSpec(aus=INFO.aus)),
    "landmarks": lambda path: labels(path, LabelSpec(landmarks=True)),
}


def measure(stage: str, path: Path) -> dict[str, float]:
    """Runs a stage here."""
    before, most, over = private(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            most[0] = max(most[0], private())

    watching = threading.Thread(target=watch)
    watching.start()
    begun = time.perf_counter(), time.process_time()
    found = STAGES[stage](path)
    spent = time.perf_counter() - begun[0], time.process_time() - begun[1]
    over.set()
    watching.join()
    most[0] = max(most[0], private())
    return {"s": round(spent[0], 2), "processor s": round(spent[1], 2), "MiB": round(most[0] - before), **found}


def private() -> float:
    """Memory of this process alone, MiB: what no file backs."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 2**10


def run(stage: str, path: Path, source: Path | None) -> dict[str, float]:
    """Runs a stage in a process of its own, with another version of the package where one is given."""
    variables = dict(os.environ) if source is None else {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--landmarks", action="store_true")
    parser.add_argument("--folder", type=Path, help="where folders are made and kept; a temporary one")
    parser.add_argument("--against", type=Path, help="`src` folder of another version")
    parser.add_argument("--runs", type=int, default=3, help="of every stage; medians are shown")
    parser.add_argument("--stages", choices=STAGES, nargs="+", default=list(STAGES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(measure(given.stage, given.folder)))
        return
    found: dict[str, Any] = {"machine": machine(), "figures": {}}
    sources = {"this version": None} | ({"the other": given.against.resolve()} if given.against else {})
    with tempfile.TemporaryDirectory() as temporary:
        for rows in given.rows:
            path = (given.folder or Path(temporary)) / f"{rows}{'_landmarks' if given.landmarks else ''}"
            if not path.exists():
                make(path, rows, landmarks=given.landmarks)
            for stage in given.stages:
                if stage == "landmarks" and not given.landmarks:
                    continue
                once = stage == "make the index"  # and not by a version that has none, which would only remove it
                own = {"this version": None} if once else sources
                times: dict[str, list[dict[str, float]]] = {name: [] for name in own}
                for _ in range(1 if once else given.runs):
                    for name, source in own.items():
                        times[name].append(run(stage, path, source))
                for name, values in times.items():
                    middle = {key: statistics.median(value[key] for value in values) for key in values[0]}
                    print(f"{rows:>11,} rows  {name:<12} {stage:<15}", json.dumps(middle), flush=True)
                found["figures"][f"{rows} {stage}"] = times
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
