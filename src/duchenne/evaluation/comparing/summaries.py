"""Reading the `summary.json` of an evaluation: checked once, so that nothing later trips over a changed type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from duchenne.config import load_json
from duchenne.errors import InputError

_NUMBER: Final = (int, float)
_TEXT: Final = (str,)
_MAYBE: Final = (int, float, type(None))
_ESTIMATE: Final = {"value": _MAYBE}
_BOUNDED: Final = {"value": _MAYBE, "low?": _MAYBE, "high?": _MAYBE}
_METRICS: Final = {"f1": _BOUNDED, "auc": _BOUNDED, "*": _BOUNDED}
_ESTIMATES: Final = {"f1": _ESTIMATE, "auc": _ESTIMATE, "*": _ESTIMATE}
_BOTH: Final = {"mean_of_folds": _MAYBE, "pooled": _MAYBE}
_SUMMARY: Final[Mapping[str, Any]] = {
    "protocol": {
        "name": _TEXT, "target": _TEXT, "items": [_TEXT], "folds": (str, int), "weighting": (str, type(None)),
        "threshold": (int, float, str, type(None)), "positive_from": ({"*": (int, float, "as coded")}, type(None)),
    },
    "data": [{
        "name": _TEXT, "alignment": _TEXT, "size_px": (int,), "label_kind": _TEXT, "positive_from": _NUMBER,
        "crops?": (int, str), "settings": {},
    }],
    "always_positive": {**_BOTH, "items": {"*": _BOTH}},
    "models": {"*": {
        "seen": {"transductive": (bool,)}, "mean_of_folds": _METRICS, "pooled": _METRICS,
        "items": {"*": {"mean_of_folds": _ESTIMATES, "pooled": _ESTIMATES}},
        "method?": (str, type(None)), "training?": ({}, type(None)),
    }},
}  # fmt: skip
"""What `compare` reads: a mapping by its keys (`?`: may be missing, `*`: every other), a list by its items, types and
words."""


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a folder of `duchenne evaluate`, or of its `summary.json`.

    Raises:
        InputError: when there is none, or something in it is not what an evaluation writes.
    """
    file = path / "summary.json" if path.is_dir() else path
    if not file.exists():
        raise InputError(f"{path}: holds no evaluation (no summary.json); name a folder of `duchenne evaluate`.")
    summary = load_json(file)
    if not isinstance(summary, dict) or not _SUMMARY.keys() <= summary.keys():
        raise InputError(f"{file}: is no summary of `duchenne evaluate`; name another folder.")
    wrong = _differs(summary, _SUMMARY) if summary["data"] else ".data"
    if wrong is not None:
        raise InputError(f"{file}: {wrong.lstrip('.')} is missing or not what it should be; evaluate again.")
    return summary


def _differs(value: Any, wanted: Any) -> str | None:
    """Where a value differs from what is wanted; None where nowhere."""
    if isinstance(wanted, tuple):
        fits = (_differs(value, one) is None if isinstance(one, dict) else _is(value, one) for one in wanted)
        return None if any(fits) else ""
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return ""
        inner = ((f"[{number}]", item, wanted[0]) for number, item in enumerate(value))
    else:
        if not isinstance(value, dict):
            return ""
        named = {name.removesuffix("?"): name for name in wanted if name != "*"}
        lacking = [name for name, full in named.items() if name not in value and not full.endswith("?")]
        if lacking:
            return f".{lacking[0]}"
        every = wanted.get("*")
        inner = (
            (f".{name}", item, wanted[named[name]] if name in named else every)
            for name, item in value.items()
            if name in named or every is not None
        )
    for place, item, kind in inner:
        found = _differs(item, kind)
        if found is not None:
            return f"{place}{found}"
    return None


def _is(value: Any, kind: type | str) -> bool:
    """Whether a value is exactly of a kind, or this word: true is no number, and no number is infinite."""
    if isinstance(kind, str):
        return bool(value == kind)
    return type(value) is kind and (not isinstance(value, float) or math.isfinite(value))
