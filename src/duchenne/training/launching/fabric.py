"""Fabric for the processes that train together, and what they check of each other."""

from __future__ import annotations

import atexit
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import distributed, nn

from duchenne.errors import InputError, UsageError
from duchenne.files import read_text
from duchenne.training.config import TrainingConfig
from duchenne.training.launching.started import SlurmStep, Started, foreign, started, torchruns_apart

_LOST: Final = re.compile(r"gloo|NCCL|Connection (closed|reset)|Broken pipe|Socket Timeout", re.IGNORECASE)
"""What torch says of processes that are gone."""


def make_fabric(config: TrainingConfig, device: torch.device, *, alone: bool = False) -> Fabric:
    """A launched Fabric: one process, or several with DistributedDataParallel.

    Args:
        config: `devices` is the number of processes on each of `num_nodes` machines.
        device: resolved.
        alone: this process trains by itself, whatever started it: a worker of a cluster, for example, which srun may
            have started together with others.

    Raises:
        UsageError: when there are fewer devices than processes, one device is named for several, or torchrun or srun
            started other processes than are asked for.
        InputError: when the processes do not find each other.
    """
    launcher = None if alone else started()
    several = config.devices * config.num_nodes > 1
    indexed = device.type == "cuda" and device.index is not None
    if not alone:
        _check_started(config, launcher)
    if indexed and several:
        raise UsageError(f"--device {device} is one GPU, but there are several processes; use --device cuda.")
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, config.devices)
    if config.devices > there:
        hidden = " (srun --gpus-per-task hides the others: ask for --gpus-per-node)" if _is_srun(launcher) else ""
        raise UsageError(
            f"--devices {config.devices}: this machine has {there} of kind {device.type}{hidden}; ask for fewer."
        )
    environment: ClusterEnvironment = LightningEnvironment()
    if launcher is not None:
        environment = SlurmStep() if _is_srun(launcher) else TorchElasticEnvironment()
    fabric = Fabric(
        accelerator=device.type,
        devices=[device.index] if indexed and not several else config.devices,
        num_nodes=config.num_nodes,
        strategy=DDPStrategy(broadcast_buffers=False) if several else "auto",
        precision="32-true",  # autocast is the Trainer's: Fabric's own rounds pictures and landmarks to bfloat16
        plugins=[environment],
    )
    try:
        fabric.launch()
    except RuntimeError as error:
        if not several:
            raise
        place = f"{environment.main_address}:{environment.main_port}"
        raise InputError(
            f"the {fabric.world_size} processes do not find each other at {place} ({_reason(error)}); set MASTER_ADDR "
            "and MASTER_PORT to a place that all machines reach."
        ) from error
    if several:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Ends the processes' group while Python still runs.

    A thread of gloo that has yet to let go of its last tensor when Python ends takes the process down with it (status
    134, "terminate called without an active exception"), although all work was done: 13 of 120 processes on a busy
    machine, and none of 240 that ended the group first. Fabric does this for NCCL alone.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _is_srun(launcher: Started | None) -> bool:
    return launcher is not None and launcher.by == "srun"


def _check_started(config: TrainingConfig, launcher: Started | None) -> None:
    """Refuses other processes than are asked for: they would train alone, or wait for each other for ever."""
    asked = f"--devices {config.devices} --num-nodes {config.num_nodes}"
    apart = torchruns_apart()
    if apart is not None:
        agents, tasks = apart
        raise UsageError(
            f"srun started {tasks} tasks, but this torchrun knows of {agents} agent{'s' * (agents > 1)}, so that they "
            f"would train apart; give every torchrun --nnodes {tasks} and the same --master-addr, or start one task."
        )
    if launcher is None:
        other = foreign()
        if other:
            raise UsageError(f"several processes were started ({other}={os.environ[other]}); use torchrun or srun.")
        if config.num_nodes > 1:
            raise UsageError(f"{asked}: start it on every machine with torchrun or srun, see docs/clusters.md.")
        return
    here, processes = launcher.here[0], launcher.processes
    if len(set(launcher.here)) > 1 or processes % here:
        spread = f" ({', '.join(map(str, launcher.here))} on the machines)" if len(launcher.here) > 1 else ""
        raise UsageError(
            f"{launcher.by} started {processes} processes{spread}, {here} of them here; start as many on every machine "
            "(srun --ntasks-per-node)."
        )
    if (here, processes // here) != (config.devices, config.num_nodes):
        several = f"{processes // here} machines" if processes > here else "one machine"
        raise UsageError(
            f"{asked}: {launcher.by} started {here} processes on each of {several}; give --devices {here} --num-nodes "
            f"{processes // here}, or start one process alone."
        )


@contextmanager
def together(out: Path) -> Iterator[None]:
    """Says in one sentence that another process of the training is gone, whose answer this one waits for.

    Args:
        out: the run folder.

    Raises:
        InputError: when it is.
    """
    try:
        yield
    except RuntimeError as error:
        if not (distributed.is_available() and distributed.is_initialized() and _LOST.search(str(error))):
            raise
        raise InputError(
            f"{out}: another process of this training ended or cannot be reached any more ({_reason(error)}); start "
            "all of them again with --resume."
        ) from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:160]


def processes_of(config: Mapping[str, Any]) -> int | None:
    """How many processes train together by a stored configuration; None where it does not say."""
    devices, nodes = config.get("devices"), config.get("num_nodes")
    return devices * nodes if isinstance(devices, int) and isinstance(nodes, int) else None


def seen_here(data: str, out: Path, *, resume: bool) -> dict[str, Any]:
    """What this process sees of data and run folder, which another machine may not share; for `check_same`.

    Args:
        data: its checksum, see `data_sum`.
        out: the run folder.
        resume: whether the checkpoint in it is taken up.
    """
    sums = out / "checkpoint.json"
    return {"data": data, "checkpoint": read_text(sums) if resume and sums.is_file() else ""}


def check_same(fabric: Fabric, facts: Mapping[str, Any]) -> None:
    """Refuses processes that were started with different settings, data or versions, which would train together.

    Args:
        fabric: launched.
        facts: name -> plain value; what must be the same everywhere.

    Raises:
        UsageError: in every process, for the first that differs from the first process.
    """
    if fabric.world_size == 1:
        return
    found: list[Mapping[str, Any]] = [{} for _ in range(fabric.world_size)]
    distributed.all_gather_object(found, dict(facts))
    for rank, other in enumerate(found):
        differ = [name for name in {**found[0], **other} if found[0].get(name) != other.get(name)]
        if differ:
            raise UsageError(
                f"process {rank} of {fabric.world_size} was started with another {', '.join(differ)} than the first; "
                "start all with the same command, on machines that share the folders."
            )


def average_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Gives every process the mean of the BatchNorm statistics of all.

    The statistics move linearly, so the mean at any step equals averaging after every step.
    """
    if fabric.world_size == 1:
        return
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.as_tensor(fabric.all_reduce(buffer, reduce_op="mean")))


@contextmanager
def process_kept() -> Iterator[None]:
    """Silences Fabric's remarks inside; afterwards the process is as it was before.

    That is threads, warning filters, log level, and torch's random numbers, which every step seeds: whoever draws after
    a training would draw the same after each.
    """
    threads, logger = torch.get_num_threads(), logging.getLogger("lightning_fabric")
    level = logger.level
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count() if on_gpu else 0)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=devices):
            warnings.filterwarnings("ignore", module="lightning_fabric")
            logger.setLevel(logging.WARNING)
            yield
    finally:
        logger.setLevel(level)
        torch.set_num_threads(threads)
