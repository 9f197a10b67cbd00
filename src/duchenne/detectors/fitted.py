"""What every form of a detector made by `duchenne fit` has in common, whatever computes it. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.detectors.base import Shown
from duchenne.detectors.records import DetectorRecord
from duchenne.faces.batch import FaceBatch


class FittedModel(Shown, ABC):
    """A probability per action unit, and a decision for those that passed validation.

    Attributes:
        name: as the user gave it.
        record: of the detector.
        columns: `AUxx_p` of all action units, `AUxx_c` of those that passed, `AUxx_r` of those with an intensity.
        crop_px: see `AuModel`.
    """

    def __init__(self, name: str, record: DetectorRecord, *, needs_crops: bool) -> None:
        self.name = name
        self.record = record
        self._passed = np.flatnonzero([item.passed for item in record.aus.values()])
        self._threshold = np.array([item.threshold for item in record.aus.values()])
        self._scales = {place: scale for place, item in enumerate(record.aus.values()) if (scale := item.own_scale())}
        self.columns = (
            *(f"{au}_p" for au in record.aus),
            *(f"{au}_c" for au, item in record.aus.items() if item.passed),
            *(f"{au}_r" for au, item in record.aus.items() if item.intensity is not None),
        )
        self.crop_px = record.crop_px if needs_crops else None

    @abstractmethod
    def probability(self, batch: FaceBatch) -> NDArray[np.floating]:
        """(N, A) in 0 to 1, in the order of the record; NaN for a face that lacks what is read."""

    @abstractmethod
    def computed_by(self) -> str:
        """What computes it, for the record beside the output."""

    def score(self, batch: FaceBatch) -> NDArray[np.float32]:
        """Probabilities in 0 to 1, decisions 0 or 1 and intensities 0 to 5 of a batch of faces.

        Args:
            batch: what the detector's parts read must be there.

        Returns:
            (N, len(columns)); NaN for a face that lacks blendshapes where they are read.

        Raises:
            InputError: when the files do not fit each other.
        """
        chance = self.probability(batch)
        own = chance[:, self._passed]
        present = np.where(np.isnan(own), np.nan, own >= self._threshold[self._passed])
        read = [scale.intensity(chance[:, place], self._threshold[place]) for place, scale in self._scales.items()]
        return np.column_stack([chance, present, *read]).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """What it is and how well it did, for the record beside the output."""
        shown = ("auc", "f1", "kappa", "kappa_low", "kappa_high", "calibration_error", "icc", "mae")
        return {
            "kind": "detector: calibrated probabilities, decisions where agreement on held-out subjects passed",
            "computed_by": self.computed_by(),
            "weights_sha256": self.record.weights_sha256,
            "fitted_on": self.record.model,
            "aus": {
                name: {
                    "threshold": item.threshold, "prior": item.prior, "slope": item.slope, "offset": item.offset,
                    "passed": item.passed, "why": item.why,
                    "intensity": item.intensity,
                    "held_out": {key: item.held_out.get(key) for key in shown} if item.held_out else None,
                }
                for name, item in self.record.aus.items()
            },
            "licences": sorted({str(item["licence"]) for item in self.record.trained_on}),
        }  # fmt: skip
