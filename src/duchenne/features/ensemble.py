"""Several sources as one, their features side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from duchenne.data.prepared import Prepared
from duchenne.features.source import Context, Features, FeatureSource, Rows
from duchenne.training.runs import TrainedOn


@dataclass
class EnsembleSource:
    """Several sources, their features side by side."""

    name: str
    members: Sequence[FeatureSource]

    @property
    def seeded(self) -> bool:
        """Whether any member is."""
        return any(member.seeded for member in self.members)

    @property
    def trained_on(self) -> tuple[TrainedOn, ...]:
        """What any member has seen."""
        return tuple(item for member in self.members for item in member.trained_on)

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "ensemble", "members": [{"model": m.name, **m.describe()} for m in self.members]}

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`."""
        return np.concatenate([member.features(data, rows, context) for member in self.members], axis=1)
