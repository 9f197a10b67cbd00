"""A detector made by `duchenne fit`, as `detect` uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.detection.detector_files import LoadedDetector, load_detector
from duchenne.detection.model import FaceBatch
from duchenne.errors import InputError


class TrainedModel:
    """`--model DETECTOR`: a probability per action unit, and a decision for those that passed validation.

    Attributes:
        name: as the user gave it.
        columns: `AUxx_p` of all action units, then `AUxx_c` of those that passed.
        crop_px: see `AuModel`.
    """

    def __init__(self, name: str, loaded: LoadedDetector) -> None:
        """Puts a loaded detector behind the protocol `AuModel`.

        Args:
            name: as the user gave it.
            loaded: from `load_detector`.
        """
        self.name = name
        self._loaded = loaded
        aus = loaded.record.aus
        self._passed = np.flatnonzero([item.passed for item in aus.values()])
        self.columns = (*(f"{au}_p" for au in aus), *(f"{au}_c" for au, item in aus.items() if item.passed))
        self.crop_px = loaded.record.crop_px if any(part.needs_crops for part in loaded.parts) else None

    def score(self, batch: FaceBatch) -> NDArray[np.float32]:
        """Probabilities in 0 to 1 and decisions 0 or 1 of a batch of faces.

        Args:
            batch: what the detector's parts read must be there.

        Returns:
            (N, len(columns)); NaN for a face that lacks blendshapes where they are read.

        Raises:
            InputError: when an encoder gives another number of features than the detector was trained on.
        """
        features = np.concatenate([part.features(batch) for part in self._loaded.parts], axis=1)
        heads = self._loaded.heads
        if features.shape[1] != len(heads.head.low):
            raise InputError(
                f"{self.name}: its encoder gives {features.shape[1]} features, not the {len(heads.head.low)} that it "
                "was trained on; make the detector again."
            )
        chance = np.full((len(batch), len(heads.prior)), np.nan)
        readable = np.isfinite(features).all(axis=1)
        chance[readable] = heads.probability(features[readable])
        own = chance[:, self._passed]
        present = np.where(np.isnan(own), np.nan, own >= heads.threshold[self._passed])
        return np.concatenate([chance, present], axis=1).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """What it is and how well it did, for the record beside the output."""
        record = self._loaded.record
        shown = ("auc", "f1", "kappa", "kappa_low", "kappa_high", "calibration_error")
        return {
            "kind": "detector: calibrated probabilities, decisions where agreement on held-out subjects passed",
            "weights_sha256": record.weights_sha256,
            "fitted_on": record.model,
            "aus": {
                name: {
                    "threshold": item.threshold, "prior": item.prior, "slope": item.slope, "offset": item.offset,
                    "passed": item.passed, "why": item.why,
                    "held_out": {key: item.held_out[key] for key in shown} if item.held_out else None,
                }
                for name, item in record.aus.items()
            },
            "licences": sorted({str(item["licence"]) for item in record.trained_on}),
        }  # fmt: skip


def open_detector(path: str | Path) -> TrainedModel:
    """The detector in a folder.

    Raises:
        InputError: when the folder is no detector, or damaged.
        UsageError: when it needs code that the user has not named.
    """
    return TrainedModel(str(path), load_detector(path))
