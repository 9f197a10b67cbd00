"""Two machines on one: the agents of torchrun, as someone would start them on each, and commands at the same time."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def agents(module: list[str]) -> list[list[str]]:
    """The commands of two machines, each of which runs a module with its arguments in one process."""
    common = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    common += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    return [[*common, "--node-rank", str(rank), "-m", *module] for rank in range(2)]


def together(commands: list[list[str]], **options: Any) -> list[tuple[int, str, str]]:
    """Runs commands at the same time; (status, output, complaints) of each."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        for command in commands
    ]
    try:
        said = [process.communicate(timeout=600) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(running, said, strict=True)]
