"""Sources without weights: columns of the prepared data, and the crop itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.errors import InputError
from duchenne.features.encoder import picture_batches
from duchenne.features.source import Context, Features, Pictures, Rows
from duchenne.training.runs import TrainedOn

PIXELS_SIDE: Final = 32


@dataclass
class ColumnSource:
    """Columns of the prepared data."""

    name: Literal["blendshapes", "landmarks"]
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": self.name}

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`.

        Raises:
            InputError: when a face lacks them.
        """
        if self.name == "blendshapes":
            values = data.blendshapes()[rows]
        else:
            side = np.array([info.size_px for info in data.infos], dtype=np.float32)[data.frames["dataset"].to_numpy()]
            values = (data.landmarks() / side[:, None, None]).reshape(len(data), -1)[rows]
        lacking = int(np.isnan(values).any(axis=1).sum())
        if lacking:
            raise InputError(
                f"--model {self.name}: {lacking} of {len(rows)} faces in {data.paths[0]} have no {self.name}; "
                "leave this model out or prepare the data with them."
            )
        context.advance(len(rows))
        return values


@dataclass
class PixelSource:
    """The crop itself."""

    name: str = "pixels"
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "pixels", "side": PIXELS_SIDE}

    def features(self, data: Pictures, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`."""
        out = np.empty((len(rows), PIXELS_SIDE**2), dtype=np.float32)
        side = min(info.size_px for info in data.infos)
        for start, pictures in picture_batches(data, rows, side):
            for place, picture in enumerate(pictures, start):
                out[place] = pixel_features(picture)
            context.advance(len(pictures))
        return out


def pixel_features(picture: NDArray[np.uint8]) -> Features:
    """(1024,) in [0, 1]: a crop in grey, area-averaged to 32 x 32."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (PIXELS_SIDE, PIXELS_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(-1), dtype=np.float32) / np.float32(255)
