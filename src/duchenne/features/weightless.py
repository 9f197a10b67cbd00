"""The sources without weights by their kind, for whatever must do without torch, such as a detector in an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from duchenne.features.columns import ColumnSource, PixelSource, WeightlessSource

WEIGHTLESS: Final[tuple[type[WeightlessSource], ...]] = (ColumnSource, PixelSource)
"""Every source that its word says everything about."""


def weightless(spec: Mapping[str, Any]) -> WeightlessSource | None:
    """The source without weights that a spec describes; None where it describes another."""
    for kind in WEIGHTLESS:
        if spec.get("kind") in kind.KINDS:
            return kind.from_spec(spec, {}, "")
    return None
