"""A Dask cluster whose workers are killed: what `prepare`, `embed` and `detect` write against what one process writes.

    python benchmarks/reliability/cluster_kills.py OUT [--files 1000] [--workers 2] [--kills 2] [--seed 0]

The files are small pictures of synthetic faces. While a command works over the cluster, SIGKILL ends a random worker
that is at work, at random moments of the time that one process needed; Dask starts a new worker each time. Compared is
every byte that was written. `embed` computes 64 faces in a call here, so that there are many.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import dask.config
import torch
from distributed import Client, LocalCluster

import duchenne
from duchenne.cli.main import main as command
from duchenne.data.prepared import Prepared
from duchenne.features import embed as embedding


def pictures(out: Path, number: int) -> None:
    """Small pictures, each a file, and a table that names them."""
    duchenne.synth(out / "synth", subjects=10, clips=2, frames=-(-number // 20), size_px=64, workers=1, quiet=True)
    data = Prepared([out / "synth"])
    (out / "files").mkdir()
    with (out / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "subject", "frame"])
        for row in range(number):
            (out / "files" / f"{row:04}.jpg").write_bytes(data.jpeg(row))
            table.writerow([f"{row:04}.jpg", f"S{row % 10}", row])


def contents(place: Path) -> dict[str, bytes]:
    """Every file below a folder, or one file; not the record of how a table was made, which has times in it."""
    if place.is_file():
        return {"": place.read_bytes()}
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.endswith(".json")
    }


def kill(cluster: LocalCluster, moments_s: list[float], over: threading.Event, killed: list[float]) -> None:
    """Ends a worker that is at work at each of these moments, or as soon afterwards as one is."""
    begun = time.monotonic()
    with Client(cluster, set_as_default=False) as client:
        for moment_s in moments_s:
            while not over.wait(0.01):
                if time.monotonic() - begun < moment_s:
                    continue
                busy = [address for address, tasks in client.processing().items() if tasks]
                processes = client.run(os.getpid)
                at_work = [processes[address] for address in busy if address in processes]
                if at_work:
                    os.kill(random.choice(at_work), signal.SIGKILL)
                    killed.append(round(time.monotonic() - begun, 1))
                    break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    torch.set_num_threads(1)  # as in the workers
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})  # else a slow start counts as the end of a worker
    embedding.ROWS_IN_A_CALL = 64
    out = arguments.out
    if not (out / "table.csv").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        pictures(out, arguments.files)
    os.chdir(out)
    prepare = ["prepare", "table", "--root", "files", "--table", "table.csv", "--size", "64", "--quiet"]
    embed = ["embed", "--model", "random", "--data", "synth"]
    jobs = {
        "prepare": ([*prepare, "--out", "{}"], ["--workers", "1"]),
        "embed": ([*embed, "--device", "cpu", "--quiet", "--out", "{}.parquet"], []),
        "detect": (["detect", "files", "-o", "{}/", "--quiet"], []),
    }  # fmt: skip
    with LocalCluster(
        n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        for name, (words, of_one) in jobs.items():
            times, places = [], []
            for kind in ("alone", "together"):
                place = f"{name}_{kind}"
                shutil.rmtree(place, ignore_errors=True)
                own = [*of_one] if kind == "alone" else ["--scheduler", cluster.scheduler_address]
                over, killed = threading.Event(), list[float]()
                moments = sorted(random.uniform(0.1, 0.6) * times[0] for _ in range(arguments.kills)) if times else []
                thread = threading.Thread(target=kill, args=(cluster, moments, over, killed), daemon=True)
                if kind == "together":
                    thread.start()
                begun = time.monotonic()
                status = command([*(word.format(place) for word in words), *own])
                times.append(time.monotonic() - begun)
                over.set()
                if kind == "together":
                    thread.join()
                if status:
                    sys.exit(f"{name}: exit status {status}")
                path = Path(f"{place}.parquet")
                places.append(contents(path if path.exists() else Path(place)))
            alone, together = places
            same = sum(alone[file] == together.get(file) for file in alone)
            print(
                f"{name}: {len(alone)} files alone, {len(together)} over the cluster, {same} of them the same to the "
                f"last byte; {len(killed)} workers killed (after {killed} s); {times[0]:.0f} s alone, {times[1]:.0f} s "
                f"over {arguments.workers} workers",
                flush=True,
            )


if __name__ == "__main__":
    main()
