"""Sweeps: the scores of several runs against a key of their configurations (a weight, an interval, a memory size)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from duchenne.config import load_mapping
from duchenne.errors import UsageError


def sweep_values(key: str, models: Sequence[str]) -> dict[str, Any]:
    """Run -> the value of the key in its `config.yaml`; models that are no runs are left out.

    Raises:
        UsageError: when a run has no such key, or fewer than two values are found.
        InputError: when a configuration cannot be read.
    """
    out = {}
    for model in models:
        path = Path(model) / "config.yaml"
        if not path.is_file():
            continue
        values = load_mapping(path)
        if key not in values:
            near = get_close_matches(key, map(str, values), n=1, cutoff=0.0)
            raise UsageError(f"--sweep {key}: {path} has no such key; did you mean `{near[0]}`?")
        out[model] = values[key]
    if len(set(map(str, out.values()))) < 2:
        raise UsageError(f"--sweep {key}: needs at least two runs that differ in it; name more run folders (--model).")
    return out
