"""Checkpoints: everything that bit-exact resume needs, read back without executing anything.

RUN/checkpoint.pt      tensors and plain values
RUN/checkpoint.json    its SHA-256, and that of the one before it, which may still be there after a kill
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duchenne.config import load_json
from duchenne.errors import DuchenneError, InputError
from duchenne.files import file_hash, replacing, write_text
from duchenne.training.weights import UNREADABLE


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Writes a dictionary of tensors and plain values in one step, and its checksum beside it.

    Raises:
        DuchenneError: when a tensor is not finite; the file that was there is kept.
        InputError: when it cannot be written.
    """
    path = Path(path)
    broken = _not_finite(state)
    if broken:
        raise DuchenneError(f"{path}: {broken} holds NaN or infinite numbers; lower --lr. The last checkpoint is kept.")
    with replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # a full disk is not an OSError there
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{path}: cannot be written ({reason}); free some place, then --resume.") from error
        sums = [file_hash(temporary)]
        if path.is_file():
            sums.append(file_hash(path))
        write_text(path.with_suffix(".json"), json.dumps({"sha256": sums}) + "\n")


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU with `weights_only=True`.

    Raises:
        InputError: when it is missing, damaged, not finite, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no checkpoint to resume from; start without --resume.")
    beside = path.with_suffix(".json")
    if beside.is_file():
        stated = load_json(beside)
        sums = stated.get("sha256") if isinstance(stated, dict) else None
        if not isinstance(sums, list) or file_hash(path) not in sums:
            raise InputError(f"{path}: is not the file that {beside.name} belongs to, or is damaged; copy both again.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: is not a duchenne checkpoint or is damaged ({reason}).") from error
    if not isinstance(state, dict) or "step" not in state:
        raise InputError(f"{path}: is not a duchenne checkpoint; start without --resume.")
    broken = _not_finite(state)
    if broken:
        raise InputError(f"{path}: its {broken} holds NaN or infinite numbers; start again without --resume.")
    return state


def check_optimiser(own: Mapping[str, Any], stored: Mapping[str, Any], shapes: Mapping[int, torch.Size]) -> None:
    """Refuses the state of another optimiser, which torch would take and trip over at the next step.

    Args:
        own: the state dict of the optimiser as built.
        stored: the one to be loaded.
        shapes: number of a parameter in `own` -> its shape.

    Raises:
        ValueError: when settings, parameters or shapes differ.
    """
    for group, other in zip(own["param_groups"], stored["param_groups"], strict=True):
        free = {"lr"}  # follows the schedule
        differ = [key for key in {*group, *other} - free if key not in group or other.get(key) != group[key]]
        if differ or not isinstance(other["lr"], int | float) or not math.isfinite(other["lr"]):
            raise ValueError(f"its optimiser has another {min(differ, default='lr')}")
    for number, values in stored["state"].items():
        if number not in shapes:
            raise ValueError(f"its optimiser has a parameter {number} too many")
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape not in (shapes[number], torch.Size()):
                raise ValueError(f"{name} of the optimiser's parameter {number} has another shape")
            if not isinstance(value, Tensor | int | float | None):
                raise ValueError(f"{name} of the optimiser's parameter {number} is not a tensor")


def _not_finite(state: object) -> str:
    """Where a dictionary of dictionaries and lists holds NaN or infinity in a tensor; empty where nowhere."""
    return next((name for name, value in _tensors(state, "") if not value.isfinite().all()), "")


def _tensors(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}".strip("."))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _tensors(inner, f"{name}.{number}".strip("."))
