"""The learning rate as a function of the step alone, so that resuming needs no schedule state."""

from __future__ import annotations

import math

from duchenne.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """The learning rate of one step.

    Args:
        config: lr, schedule and warm-up.
        step: from 0.
        total: steps of the whole training.

    Returns:
        During warm-up lr * (step + 1) / warmup_steps; then lr, or for cosine lr * (1 + cos(pi t)) / 2 with t from 0
        to 1 over the rest.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return config.lr * (1 + math.cos(math.pi * progress)) / 2
