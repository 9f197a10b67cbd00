"""What the methods that keep a memory of earlier keys share: its type, its smallest size, a remark on its largest."""

from __future__ import annotations

from typing import Any

import torch

from duchenne.errors import UsageError


def memory_dtype(config: Any) -> torch.dtype:
    """Of the field `memory_dtype`."""
    return torch.bfloat16 if config.memory_dtype == "bfloat16" else torch.float32


def check_memory(config: Any, keys: int, *, name: str = "memory") -> None:
    """Refuses a memory that cannot hold the keys of one step.

    Args:
        config: of the run.
        keys: of a step, over all processes.
        name: of the field.

    Raises:
        UsageError: when it is smaller.
    """
    size = getattr(config, name)
    if size < keys:
        flag = name.replace("_", "-")
        raise UsageError(
            f"--{flag} {size} is smaller than the {keys} keys of one step; give at least --{flag} {keys} or a smaller "
            "--batch-size."
        )


def memory_notes(
    config: Any, frames: int, *, name: str = "memory", of: str = "frames that are trained on"
) -> list[str]:
    """Says where a memory holds more keys than half the frames that fill it, in one sentence.

    Args:
        config: of the run.
        frames: that fill it.
        name: of the field.
        of: what the frames are, in words.
    """
    size = getattr(config, name)
    if 2 * size <= frames:
        return []
    flag = name.replace("_", "-")
    return [
        f"--{flag} {size} is more than half of the {frames} {of}: faces are compared with old keys of themselves, and "
        "with random vectors for as long as it takes to fill."
    ]
