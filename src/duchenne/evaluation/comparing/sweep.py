"""Sweeps: the scores of several runs against a key of their configurations (a weight, an interval, a memory size)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duchenne.config import load_mapping
from duchenne.errors import UsageError, did_you_mean


def sweep_values(keys: Sequence[str], models: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run -> the value of the first key in its `config.yaml`, and of the second, by which lines are drawn.

    Args:
        keys: one or two; without a second, its values are empty.
        models: those that are no runs are left out.

    Raises:
        UsageError: when there are more keys, a run has no such key, or fewer than two values of the first are found.
        InputError: when a configuration cannot be read.
    """
    if len(keys) not in (1, 2):
        raise UsageError(f"--sweep {' '.join(keys)}: takes one key, and a second for a line for each of its values.")
    out: list[dict[str, Any]] = [{}, {}]
    for model in models:
        path = Path(model) / "config.yaml"
        if not path.is_file():
            continue
        values = load_mapping(path)
        for key, found in zip(keys, out, strict=False):
            if key not in values:
                hint = did_you_mean(key, map(str, values)) if values else "it is empty; train the run again."
                raise UsageError(f"--sweep {key}: {path} has no such key; {hint}")
            found[model] = values[key]
    if len(set(map(str, out[0].values()))) < 2:
        raise UsageError(
            f"--sweep {keys[0]}: needs at least two runs that differ in it; name more run folders (--model)."
        )
    return out[0], out[1]
