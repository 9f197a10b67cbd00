"""Several sources as one, their features side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from duchenne.data.prepared import Prepared
from duchenne.faces.batch import FaceBatch
from duchenne.features.source import Context, Features, FeatureSource, Member, NetworkSource, Rows
from duchenne.training.runs import TrainedOn


@dataclass
class EnsembleSource:
    """Several sources, their features side by side."""

    name: str
    members: Sequence[Member]

    @property
    def seeded(self) -> bool:
        """Whether any member is."""
        return any(member.seeded for member in self.members)

    @property
    def trained_on(self) -> tuple[TrainedOn, ...]:
        """What any member has seen."""
        return tuple(item for member in self.members for item in member.trained_on)

    @property
    def stored_by_block(self) -> bool:
        """No: its members are stored by themselves."""
        return False

    @property
    def sees_pictures(self) -> bool:
        """Whether all members do."""
        return all(member.sees_pictures for member in self.members)

    @property
    def network(self) -> NetworkSource | None:
        """None: it is several."""
        return None

    def fingerprint(self, seed: int) -> Any:
        """See `FeatureSource`."""
        return [member.fingerprint(seed) for member in self.members]

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "ensemble", "members": [{"model": m.name, **m.describe()} for m in self.members]}

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`."""
        return np.concatenate([member.features(data, rows, context) for member in self.members], axis=1)

    def for_new_faces(self, *, crop_px: int, seed: int) -> FeatureSource:
        """See `FeatureSource`."""
        return side_by_side(self.name, [one.for_new_faces(crop_px=crop_px, seed=seed) for one in self.members])

    def features_of(self, batch: FaceBatch, context: Context) -> Features:
        """See `FeatureSource`."""
        return np.concatenate([member.features_of(batch, context) for member in self.members], axis=1)


def side_by_side(name: str, sources: Sequence[FeatureSource]) -> FeatureSource:
    """One source of several: the only one itself, or an ensemble of them, whose own members are taken one by one.

    Args:
        name: of an ensemble.
        sources: at least one.
    """
    members = [member for source in sources for member in source.members]
    return members[0] if len(members) == 1 else EnsembleSource(name, members)
