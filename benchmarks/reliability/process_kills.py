"""Kills one of two training processes at a random moment, resumes, and compares with a run that was never touched.

    python benchmarks/reliability/process_kills.py OUT [--kills 20] [--seed 0] [--steps 24] [--save-every 5]
                                                   [--method moco]

Every kill: the two processes start as two tasks of one srun on two machines (gloo); SIGKILL ends one of them, chosen at
random, at a random moment of a random step; the other one must end by itself, in one sentence. Then both start again
with --resume. Counted: the steps that were lost (at most --save-every), how long the other one took to notice, and
whether encoder, checkpoint and log are bit for bit those of the run that was never touched. Finished kills are kept in
OUT/kills.jsonl, and the same command goes on after them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

import duchenne
from duchenne.cli.main import main as command
from duchenne.methods.registry import method_class
from duchenne.training import pretrain

FORK = multiprocessing.get_context("fork")
PATIENCE_S = 300.0


def task(words: list[str], rank: int, port: int, said: str) -> None:
    """One process, as srun starts it on a machine of its own."""
    variables = {
        "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NODELIST": "127.0.0.[1-2]", "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0", "MASTER_PORT": str(port),
    }  # fmt: skip
    os.environ.update(variables)
    os.setsid()
    with open(said, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    sys.exit(command(words))


def start(words: list[str], folder: Path) -> list[Any]:
    """Both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tasks = [FORK.Process(target=task, args=(words, rank, port, f"{folder}.{rank}.txt")) for rank in range(2)]
    for each in tasks:
        each.start()
    return tasks


def steps_of(log: Path) -> int:
    """The last step in a log; 0 without any."""
    lines = log.read_text().splitlines() if log.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def outcome(run: Path) -> dict[str, Any]:
    """Everything of a run that must come out the same."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    digest = hashlib.sha256()
    for name, value in sorted(state["method"].items()):
        digest.update(name.encode() + value.numpy().tobytes())
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    times = ("images_per_s", "waiting")
    return {
        "encoder": hashlib.sha256((run / "encoder.safetensors").read_bytes()).hexdigest(),
        "method": digest.hexdigest(),
        "log": [{name: value for name, value in line.items() if name not in times} for line in lines],
    }


def killed(words: list[str], run: Path, draw: random.Random, steps: int) -> dict[str, Any]:
    """One kill and what came of it, before resuming."""
    rank, step, later_s = draw.randrange(2), draw.randrange(steps - 1), draw.random() / 50
    tasks = start(words, run)
    log, begun = run / "log.jsonl", time.monotonic()
    while steps_of(log) < step and time.monotonic() - begun < PATIENCE_S:
        time.sleep(0.002)
    time.sleep(later_s)
    os.kill(tasks[rank].pid, signal.SIGKILL)
    at = time.monotonic()
    for each in tasks:
        each.join(PATIENCE_S)
    noticed_s = time.monotonic() - at
    reached = steps_of(log)
    saved = int(torch.load(run / "checkpoint.pt", weights_only=True)["step"]) if (run / "checkpoint.pt").exists() else 0
    said = Path(f"{run}.{1 - rank}.txt").read_text().splitlines()
    return {
        "rank": rank, "step": reached, "saved": saved, "lost": reached - saved, "noticed_s": round(noticed_s, 2),
        "other": tasks[1 - rank].exitcode, "said": [line[:400] for line in said],
    }  # fmt: skip


def resumed(words: list[str], run: Path) -> list[int | None]:
    """Both processes once more; their exit statuses."""
    tasks = start([*words, "--resume"] if (run / "checkpoint.pt").exists() else words, run)
    for each in tasks:
        each.join(PATIENCE_S)
    return [each.exitcode for each in tasks]


def prepared(folder: Path) -> None:
    """The data, made in a process of its own, so that this one has no threads when it forks."""
    maker = FORK.Process(
        target=duchenne.synth, args=(folder,),
        kwargs={"subjects": 4, "clips": 2, "frames": 12, "size_px": 64, "workers": 1, "quiet": True},
    )  # fmt: skip
    maker.start()
    maker.join()


def study(out: Path, method: str, kills: int, seed: int, steps: int, save_every: int) -> list[dict[str, Any]]:
    """The kills, those of an earlier call included; each as `killed` tells it, with `same` and `resumed`.

    Raises:
        AssertionError: when a run that nobody touched does not end well.
    """
    assert {pretrain, method_class(method)}  # imported before processes are forked, so that not each imports them
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "faces" / "dataset.yaml").exists():
        prepared(out / "faces")
    common = ["pretrain", method, "--data", str(out / "faces"), "--quiet", "--device", "cpu", "--num-nodes", "2"]
    fields = {
        "size-px": 64, "backbone": "compact", "batch-size": 4, "max-steps": steps, "save-every": save_every,
        "log-every": 1, "lr": 0.01, "validation-share": 0, "weights": "none",
    } | ({"memory": 16, "bn-splits": 1} if method == "moco" else {})  # fmt: skip
    common += [word for name, value in fields.items() for word in (f"--{name}", str(value))]
    whole = out / "whole"
    if not (whole / "encoder.safetensors").exists():
        shutil.rmtree(whole, ignore_errors=True)
        assert resumed([*common, "--out", str(whole)], whole) == [0, 0], Path(f"{whole}.0.txt").read_text()
    expected = outcome(whole)
    results = out / "kills.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    for number in range(len(rows), kills):
        run = out / f"kill{number:02}"
        shutil.rmtree(run, ignore_errors=True)
        words = [*common, "--out", str(run)]
        row = {"kill": number, **killed(words, run, random.Random(f"{seed} {number}"), steps)}
        row["resumed"] = resumed(words, run)
        row["same"] = row["resumed"] == [0, 0] and outcome(run) == expected
        rows.append(row)
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print({name: value for name, value in row.items() if name != "said"}, flush=True)
        if row["same"]:
            shutil.rmtree(run)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--save-every", type=int, default=5)
    parser.add_argument("--method", default="moco")
    arguments = parser.parse_args()
    rows = study(**vars(arguments))
    lost, noticed = [row["lost"] for row in rows], [row["noticed_s"] for row in rows]
    print(
        f"{len(rows)} kills of {arguments.method}, {sum(row['rank'] == 0 for row in rows)} of them of the first "
        f"process, at steps {min(row['step'] for row in rows)} to {max(row['step'] for row in rows)} of "
        f"{arguments.steps}: bit for bit the same after resuming in {sum(row['same'] for row in rows)}; lost "
        f"{statistics.median(lost):g} steps (0 to {max(lost)}, checkpoints every {arguments.save_every}); the other "
        f"process ended after {statistics.median(noticed):.1f} s ({min(noticed)} to {max(noticed)}), in one sentence "
        f"in {sum(len(row['said']) == 1 and row['other'] == 1 for row in rows)}"
    )


if __name__ == "__main__":
    main()
