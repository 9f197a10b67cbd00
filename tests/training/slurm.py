"""A SLURM in miniature: stand-ins for `sbatch`, `srun` and `scontrol` that start processes on this machine.

They set the variables that SLURM sets, take the options that are named here and refuse all others. A machine is a
number; all lie on the loopback addresses.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

REQUEUED = "STAND_IN_REQUEUED"
"""Variable with the file that `scontrol requeue` makes."""


def install(folder: Path) -> dict[str, str]:
    """Puts the programs, and `duchenne`, into a folder; gives the environment in which they are found."""
    folder.mkdir(parents=True)
    commands = {name: [sys.executable, __file__, name] for name in ("sbatch", "srun", "scontrol")}
    for name, words in {**commands, "duchenne": [sys.executable, "-m", "duchenne.cli.main"]}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (folder / name).chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return {**inherited, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", REQUEUED: str(folder / "requeued")}


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for short, name in (("-N", "--nodes"), ("-n", "--ntasks"), ("-c", "--cpus-per-task")):
        parser.add_argument(short, name, type=int)
    parser.add_argument("--ntasks-per-node", type=int)
    parser.add_argument("--kill-on-bad-exit", type=int, default=0, choices=(0, 1))
    parser.add_argument("--wait", type=int, default=0, dest="patience_s")
    for ignored in ("job-name", "gpus-per-node", "time", "signal", "open-mode", "output"):
        parser.add_argument(f"--{ignored}")
    parser.add_argument("--requeue", action="store_true")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    return parser


def sbatch(arguments: list[str]) -> int:
    """Runs a script with what its #SBATCH lines ask for, and again while it asks to be queued again."""
    given = options().parse_args(arguments)
    script, *words = given.words
    lines = re.findall(r"^#SBATCH ([^#\n]*)", Path(script).read_text(), re.MULTILINE)
    asked = options().parse_args([word for line in lines for word in line.split()])
    nodes, per_node = given.nodes or asked.nodes or 1, given.ntasks_per_node or asked.ntasks_per_node or 1
    job = {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_NNODES": str(nodes), "SLURM_NTASKS_PER_NODE": str(per_node),
        "SLURM_NTASKS": str(nodes * per_node), "SLURM_CPUS_PER_TASK": str(asked.cpus_per_task or 1),
        "SLURM_JOB_NAME": "script", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
    }  # fmt: skip
    for times in range(5):
        done = subprocess.run(["bash", script, *words], env={**os.environ, **job, "SLURM_RESTART_COUNT": str(times)})
        if not Path(os.environ[REQUEUED]).exists():
            return done.returncode
        Path(os.environ[REQUEUED]).unlink()
    return 1


def srun(arguments: list[str]) -> int:
    """Starts the tasks; gives the highest of their exit statuses."""
    given = options().parse_args(arguments)
    inside = given.ntasks is None and given.nodes is None
    nodes = given.nodes or int(os.environ.get("SLURM_NNODES", 1) if inside else 1)
    per_node = given.ntasks_per_node or (os.environ.get("SLURM_NTASKS_PER_NODE") if inside else None)
    tasks = given.ntasks or nodes * int(per_node or 1)
    spread = [tasks // nodes + (node < tasks % nodes) for node in range(nodes)]
    step = {
        "SLURM_JOB_ID": os.environ.get("SLURM_JOB_ID", str(os.getpid())), "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": str(tasks), "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_STEP_TASKS_PER_NODE": ",".join(map(str, spread)),
        "SLURM_STEP_NODELIST": f"127.0.0.[1-{nodes}]" if nodes > 1 else "127.0.0.1",
    }  # fmt: skip
    places = [(node, local) for node, number in enumerate(spread) for local in range(number)]
    running = [
        subprocess.Popen(
            given.words,
            env={**os.environ, **step, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(node),
                 "SLURM_LOCALID": str(local)},
        )
        for rank, (node, local) in enumerate(places)
    ]  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in running])
    first_s: float | None = None
    while any(task.poll() is None for task in running):
        ended = [task.returncode for task in running if task.returncode is not None]
        first_s = first_s or (time.monotonic() if ended else None)
        late = given.patience_s and first_s and time.monotonic() - first_s > given.patience_s
        if late or (given.kill_on_bad_exit and any(ended)):
            for task in running:
                task.kill()
        time.sleep(0.05)
    return max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in running)


def scontrol(arguments: list[str]) -> int:
    assert arguments == ["requeue", os.environ["SLURM_JOB_ID"]]
    Path(os.environ[REQUEUED]).touch()
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[sys.argv[1]](sys.argv[2:]))
