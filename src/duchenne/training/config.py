"""Configuration of the training job; together with a method's it forms one flat YAML. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from duchenne.config import Count, Number, Range, Seed, Share, check_ranges
from duchenne.errors import UsageError, did_you_mean
from duchenne.methods.registry import config_class, method_class

LARGEST_PX: Final = 1024
"""Side of the largest pictures that an encoder is trained on; the memory that it takes grows with its square."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a method is trained; a method overrides defaults in its `TRAINING_DEFAULTS`."""

    seed: Seed = 0
    """Seed of weights, order, draws and augmentation."""
    batch_size: Annotated[int, Range(1, 65_536)] = 64
    """Clips per step, over all processes."""
    epochs: Annotated[int, Range(1, 1_000_000)] = 50
    """Passes over the usable clips, see `epoch_of`; `max_steps` takes precedence."""
    epoch_of: Literal["clip", "video", "frame"] = "clip"
    """What an epoch passes over once: clips, recordings (one of whose clips is then drawn) or frames; methods that
    look at single labelled frames pass over frames."""
    max_steps: Count | None = None
    """Steps to train, in each stage of a method that has several; null: as `epochs` says."""
    size_px: Annotated[int, Range(1, LARGEST_PX)] = 224
    """Side of the pictures that the encoder sees."""
    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    """Optimiser."""
    lr: Annotated[float, Range(0, 1e3, above=True)] = 1e-3
    """Learning rate, the highest of the schedule."""
    momentum: Share = 0.9
    """Of SGD."""
    weight_decay: Annotated[float, Range(0, 1e3)] = 0.0
    """L2 penalty (decoupled for adamw)."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Learning rate over time, in each stage; cosine ends at 0, plateau lowers it when validations stop improving."""
    plateau_patience: Count = 10
    """Validations in a row without a new best before schedule plateau lowers the learning rate."""
    plateau_factor: Share = 0.1
    """Factor by which schedule plateau then multiplies it."""
    plateau_smallest: Annotated[float, Range(0, 1, above=True)] = 1e-3
    """Share of the learning rate below which schedule plateau does not go."""
    warmup_steps: Number = 0
    """Steps over which the learning rate rises linearly from 0."""
    weights: str = "none"
    """Where the encoder starts: none (random), imagenet, or the path of a file of weights."""
    validation_share: Share = 0.0
    """Share of the clips held out to choose the best encoder by the method's validation score; 0: none."""
    validation_by: Literal["clip", "video", "subject"] = "clip"
    """What is held out: clips, all clips of some recordings, or all clips of some people; no clip of these recordings
    or people is used for training."""
    validation_clips: Count | None = 4096
    """Largest number of held-out clips or frames that are scored, drawn once; null: all of them."""
    validate_every: Count | None = None
    """Steps between validations; null: once an epoch. One is also made at the end."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """bf16 is autocast; auto uses it where the CPU or GPU supports it natively."""
    channels_last: bool = True
    """Memory format of the convolutions; faster on most processors and GPUs."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps; a device that is named and not available is refused."""
    devices: Annotated[int, Range(1, 1024)] = 1
    """Processes on each machine (distributed training)."""
    num_nodes: Annotated[int, Range(1, 1024)] = 1
    """Machines; with several, torchrun or srun starts the processes."""
    sync_batchnorm: bool = False
    """With several processes on CUDA: BatchNorm statistics over all their batches instead of each its own."""
    loader_threads: Annotated[int, Range(1, 1024)] = 2
    """Threads that decode pictures."""
    log_every: Count = 10
    """Steps between lines of log.jsonl."""
    save_every: Count = 500
    """Steps between checkpoints; one is also written at the end and on Ctrl-C."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: when a value is out of range.
        """
        check_ranges(self)
        if self.validation_share == 1 or self.plateau_factor in (0, 1):
            raise ValueError("validation_share must be below 1, and plateau_factor between 0 and 1")
        if self.schedule == "plateau" and not self.validation_share:
            raise ValueError("schedule plateau needs clips held out: set validation_share, or schedule constant")
        method_check = getattr(super(), "__post_init__", None)
        if method_check is not None:
            method_check()


def method_run_config(name: str) -> type:
    """The flat configuration class of a method's runs.

    Raises:
        UsageError: when there is no such method.
    """
    own = config_class(name)
    defaults = getattr(own, "TRAINING_DEFAULTS", None)  # there, so that help needs no torch
    return run_config_class(own, method_class(name).TRAINING_DEFAULTS if defaults is None else defaults)


def run_config_class(method_config: type, training_defaults: Mapping[str, Any]) -> type:
    """One flat dataclass of a method's fields and the training fields, with the method's training defaults.

    Args:
        method_config: the method's dataclass.
        training_defaults: field of `TrainingConfig` -> its default for this method.

    Returns:
        A frozen keyword-only dataclass that is a subclass of both.

    Raises:
        UsageError: when a key is in both, or a training default is not a field of `TrainingConfig`.
    """
    known = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    twice = sorted(known.keys() & {field.name for field in dataclasses.fields(method_config)})
    unknown = sorted(set(training_defaults) - set(known))
    if twice:
        raise UsageError(
            f"{method_config.__name__}: has a field `{twice[0]}`, and so has the training; give it another name, or "
            "change the training's default in TRAINING_DEFAULTS."
        )
    if unknown:
        raise UsageError(
            f"{method_config.__name__}: TRAINING_DEFAULTS names `{unknown[0]}`, which is no field of the training; "
            f"{did_you_mean(unknown[0], known)}"
        )
    namespace: dict[str, Any] = {
        "__doc__": method_config.__doc__,
        "__module__": __name__,
        "__annotations__": {name: known[name].type for name in training_defaults},
        **training_defaults,
    }
    name = method_config.__name__.removesuffix("Config") + "RunConfig"
    return dataclass(frozen=True, kw_only=True)(type(name, (TrainingConfig, method_config), namespace))
