"""What started this process together with others: torchrun, srun, or nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

_FIRST_PORT: Final = 15_000
_PORTS: Final = 10_000
_STEP_APART: Final = 1_009
"""Between the ports of two steps of one job; prime, so that those of neighbouring jobs do not meet."""
_FOREIGN: Final = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "JSM_NAMESPACE_SIZE")
"""Numbers of processes that mpirun and jsrun set."""


@dataclass(frozen=True)
class Started:
    """What started this process together with others.

    Attributes:
        by: `torchrun` or `srun`.
        here: processes on each machine, as often as there are machines that are known; torchrun tells of this one.
        processes: of all machines.
    """

    by: str
    here: tuple[int, ...]
    processes: int


class SlurmStep(ClusterEnvironment):
    """The tasks of one srun.

    Fabric's own environment speaks of the whole job: it takes the job's first machine and a port of the job, which two
    steps at the same time would share, and refuses `srun --ntasks`.
    """

    @property
    def creates_processes_externally(self) -> bool:
        """srun does."""
        return True

    @property
    def main_address(self) -> str:
        """MASTER_ADDR, or the step's first machine."""
        nodes = os.environ.get("SLURM_STEP_NODELIST", "127.0.0.1")
        return os.environ.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)

    @property
    def main_port(self) -> int:
        """MASTER_PORT, or one that follows from job and step, so that all tasks know it."""
        job, step = (_number(os.environ.get(name, "")) or 0 for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        return int(os.environ.get("MASTER_PORT") or _FIRST_PORT + (job + _STEP_APART * step) % _PORTS)

    @staticmethod
    def detect() -> bool:
        """Whether srun started this process together with others."""
        return (_number(os.environ.get("SLURM_STEP_NUM_TASKS", "")) or 1) > 1

    def world_size(self) -> int:
        """Tasks of the step."""
        return int(os.environ["SLURM_STEP_NUM_TASKS"])

    def set_world_size(self, size: int) -> None:
        """Is srun's."""

    def global_rank(self) -> int:
        """Among all tasks."""
        return int(os.environ["SLURM_PROCID"])

    def set_global_rank(self, rank: int) -> None:
        """Is srun's."""

    def local_rank(self) -> int:
        """Among the tasks on this machine."""
        return int(os.environ["SLURM_LOCALID"])

    def node_rank(self) -> int:
        """Of this machine."""
        return int(os.environ["SLURM_NODEID"])


def started() -> Started | None:
    """What started this process together with others; None where it was started alone.

    A shell within a job, `srun` with one task, and a script that sbatch runs without srun start one process.
    """
    if TorchElasticEnvironment.detect():
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return Started("torchrun", (here,), processes) if processes > 1 else None
    if SlurmStep.detect():
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        spread = os.environ.get("SLURM_STEP_TASKS_PER_NODE", str(tasks))
        return Started("srun", _tasks_per_node(spread), tasks)
    return None


def torchruns_apart() -> tuple[int, int] | None:
    """Agents of this process's torchrun and tasks of srun, where srun started torchruns that are not all one training.

    Each task is an agent then; None where all know of each other, or one of the two started nothing.
    """
    if not (TorchElasticEnvironment.detect() and SlurmStep.detect()):
        return None
    agents = _number(os.environ.get("GROUP_WORLD_SIZE", "")) or 1
    tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    return (agents, tasks) if agents != tasks else None


def foreign() -> str | None:
    """A variable of mpirun or jsrun that says that it started several processes; None where none does."""
    return next((name for name in _FOREIGN if (_number(os.environ.get(name, "")) or 1) > 1), None)


def _tasks_per_node(text: str) -> tuple[int, ...]:
    """`2(x3),1` as srun writes it -> (2, 2, 2, 1)."""
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return tuple(int(tasks) for tasks, times in parts for _ in range(int(times or 1)))


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
