"""Reading the `log.jsonl` of a run: a damaged line costs that line, not the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from duchenne.files import read_bytes


def read_log(path: Path) -> list[tuple[str, dict[str, Any] | None]]:
    """The lines of a `log.jsonl`, each with the numbers in it; None where it is damaged.

    Raises:
        InputError: when the file cannot be read.
    """
    return [(line, _numbers(line)) for line in read_bytes(path).decode("utf-8", "replace").splitlines() if line.strip()]


def _numbers(line: str) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or type(values.get("step")) is not int or not 0 <= values["step"] <= 10**9:
        return None
    fine = all(isinstance(value, int | float | str) and not isinstance(value, bool) for value in values.values())
    return values if fine else None
