"""A detector made by `duchenne fit`, computed by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duchenne.detectors.files import LoadedDetector, load_detector
from duchenne.detectors.fitted import FittedModel
from duchenne.devices import Precision, computes_bf16, resolve_device
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.source import Context


class TrainedModel(FittedModel):
    """`--model DETECTOR`: encoders on a device, everything else on the processor.

    Attributes:
        loaded: what was read.
    """

    def __init__(
        self, name: str, loaded: LoadedDetector, *, device: str = "cpu", precision: Precision = "float32"
    ) -> None:
        """Puts a loaded detector behind the protocol `AuModel`.

        Args:
            name: as the user gave it.
            loaded: from `load_detector`.
            device: see `duchenne.devices.resolve_device`.
            precision: see `duchenne.detectors.opening.load_model`.

        Raises:
            UsageError: when the device is not there, does not compute in that precision, or is not made use of.
        """
        super().__init__(name, loaded.record, needs_crops=any(one.sees_pictures for one in loaded.source.members))
        self.loaded = loaded
        has_encoder = any(one.network for one in loaded.source.members)
        if not has_encoder and (device not in ("auto", "cpu") or precision != "float32"):
            raise UsageError(f"the detector {name} has no encoder; leave out --device and --precision.")
        self._device = resolve_device(device if has_encoder else "cpu")
        if precision == "bf16" and not computes_bf16(self._device):
            raise UsageError(f"--precision bf16: {self._device} does not compute in bfloat16; leave it out.")
        self._precision = precision
        self._context = Context(device=self._device, bf16=precision == "bf16")

    def probability(self, batch: FaceBatch) -> NDArray[np.float64]:
        """See `FittedModel`.

        Raises:
            InputError: when an encoder gives another number of features than the detector was trained on.
        """
        features = self.loaded.source.features_of(batch, self._context)
        wanted = len(self.loaded.heads.head.low)
        if features.shape[1] != wanted:
            raise InputError(
                f"{self.name}: its encoder gives {features.shape[1]} features, not the {wanted} that it was trained "
                "on; make the detector again."
            )
        chance = np.full((len(batch), len(self.loaded.heads.prior)), np.nan)
        readable = np.isfinite(features).all(axis=1)
        chance[readable] = self.loaded.heads.probability(features[readable])
        return chance

    def computed_by(self) -> str:
        """See `FittedModel`."""
        return f"torch, {self._device.type}, {self._precision}"


def open_detector(path: str | Path, *, device: str = "cpu", precision: Precision = "float32") -> TrainedModel:
    """The detector in a folder; arguments as `TrainedModel`.

    Raises:
        InputError: when the folder is no detector, or damaged.
        UsageError: when it needs code that the user has not named, or for the device and precision.
    """
    return TrainedModel(str(path), load_detector(path), device=device, precision=precision)
