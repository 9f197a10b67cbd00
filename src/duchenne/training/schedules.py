"""Optimisers, and the learning rate over time: a function of the step, except where it follows the validations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from duchenne.config import Range
from duchenne.methods.base import Method, Stage
from duchenne.training.config import TrainingConfig


def rate_factor(config: TrainingConfig, step: int, total: int) -> float:
    """What the learning rate of a step is multiplied by.

    Args:
        config: schedule and warm-up.
        step: of the stage, from 0.
        total: steps of the stage.

    Returns:
        During warm-up (step + 1) / warmup_steps; then 1, or for cosine (1 + cos(pi t)) / 2 with t from 0 to 1 over the
        rest. What schedule `plateau` does comes on top.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule != "cosine":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return (1 + math.cos(math.pi * progress)) / 2


@dataclass
class Plateau:
    """The best validation of a stage so far, and what `schedule: plateau` makes of those after it.

    Attributes:
        best: score so far.
        since: validations since then.
        factor: of the learning rate.
    """

    best: Annotated[float, Range(-math.inf, 1e9)] = -math.inf
    since: Annotated[int, Range(0, 10**9)] = 0
    factor: Annotated[float, Range(0, 1)] = 1.0

    def take(self, score: float, config: TrainingConfig) -> bool:
        """Counts a validation; returns whether it was the best so far."""
        if score > self.best:
            self.best, self.since = score, 0
            return True
        self.since += 1
        if config.schedule == "plateau" and self.since >= config.plateau_patience:
            self.factor = max(self.factor * config.plateau_factor, config.plateau_smallest)
            self.since = 0
        return False


def build_optimisers(method: Method, config: TrainingConfig, stage: Stage) -> list[torch.optim.Optimizer]:
    """One for each kind that the stage's parameter groups ask for; each group keeps its `base_lr` for the schedule."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for group in method.parameter_groups():
        rate = group.get("lr", stage.lr or config.lr)
        kind = group.get("optimiser", config.optimiser)
        own = {"params": group["params"], "lr": rate, "base_lr": rate, "scheduled": group.get("scheduled", True)}
        kinds.setdefault(kind, []).append(own)
    built: list[torch.optim.Optimizer] = []
    for kind, groups in kinds.items():
        if kind == "sgd":
            built.append(torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay))
        else:
            adam = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
            built.append(adam(groups, weight_decay=config.weight_decay))
    return built
