"""Checkpoints: everything that bit-exact resume needs, read back without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from duchenne.errors import InputError
from duchenne.files import replacing
from duchenne.training.weights import UNREADABLE


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Writes a dictionary of tensors and plain values in one step."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU with `weights_only=True`.

    Raises:
        InputError: when it is missing, damaged, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no checkpoint to resume from; start without --resume.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: is no checkpoint of duchenne or is damaged ({reason}).") from error
    if not isinstance(state, dict) or "step" not in state:
        raise InputError(f"{path}: is no checkpoint of duchenne; start without --resume.")
    return state
