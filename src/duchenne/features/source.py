"""What turns faces into features, whatever it is: the protocol that all sources follow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.errors import InputError
from duchenne.training.runs import TrainedOn

Rows = NDArray[np.int64]
Features = NDArray[np.float32]
FeatureKind = Literal["embedding", "pooled"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """How features are computed, whatever the model.

    Attributes:
        device: where encoders run.
        feature: `embedding`, what the encoder gives; `pooled`, its averaged last map.
        seed: of untrained weights.
        advance: called with the number of faces done.
    """

    device: torch.device
    feature: FeatureKind = "embedding"
    seed: int = 0
    advance: Callable[[int], None] = field(default=lambda faces: None)


class Pictures(Protocol):
    """Face crops that encoders can look at: prepared data, or a few pictures in memory."""

    @property
    def infos(self) -> list[DatasetInfo]:
        """Of the data sets; their crops' sizes matter here."""
        ...

    def images(self, rows: Rows, size_px: int, pool: ThreadPoolExecutor | None = None) -> NDArray[np.uint8]:
        """(N, size_px, size_px, 3) RGB uint8."""
        ...


class FeatureSource(Protocol):
    """One `--model`, resolved."""

    @property
    def name(self) -> str:
        """As the user wrote it."""
        ...

    @property
    def seeded(self) -> bool:
        """Whether another seed gives other features."""
        ...

    @property
    def trained_on(self) -> tuple[TrainedOn, ...]:
        """What it has seen."""
        ...

    def describe(self) -> dict[str, Any]:
        """What it is, as plain values for `summary.json`."""
        ...

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """(len(rows), D) finite features."""
        ...


def finite(values: Features, name: str) -> Features:
    """The same values.

    Raises:
        InputError: when any is not a finite number.
    """
    wrong = int((~np.isfinite(values).all(axis=1)).sum())
    if wrong:
        raise InputError(f"--model {name}: gives values that are not finite for {wrong} of {len(values)} faces.")
    return values
