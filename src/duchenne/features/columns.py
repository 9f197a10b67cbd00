"""Sources without weights: columns of the prepared data, and the crop itself. Imports no torch for new faces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.stored.frames import BLENDSHAPES_LENGTH, LANDMARKS_LENGTH
from duchenne.errors import InputError
from duchenne.faces.align import crop_matrix, transform_points
from duchenne.faces.batch import FaceBatch
from duchenne.features.source import Context, Features, FeatureSource, Pictures, Rows, SingleSource, new_pictures

if TYPE_CHECKING:
    from torch import Tensor

    from duchenne.training.runs import TrainedOn

PIXELS_SIDE: Final = 32


class WeightlessSource(SingleSource, ABC):
    """One that its word says everything about; base class of those below and of others like them."""

    @classmethod
    def from_word(cls, word: str) -> Self | None:
        """See `SingleSource`."""
        return cls(word) if word in cls.WORDS else None  # type: ignore[call-arg]

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """See `SingleSource`."""
        return cls(spec["kind"])  # type: ignore[call-arg]

    def for_new_faces(self, *, crop_px: int, seed: int) -> FeatureSource:
        """See `FeatureSource`."""
        return self  # type: ignore[return-value]

    @abstractmethod
    def read(self, batch: FaceBatch) -> Features:
        """(N, D) features of faces just found; a row of NaN for a face that lacks what is read."""

    def features_of(self, batch: FaceBatch, context: Context) -> Features:
        """See `FeatureSource`."""
        return self.read(batch)

    def to_spec(self) -> dict[str, Any]:
        """See `Member`."""
        return {"kind": self.name}


@dataclass
class ColumnSource(WeightlessSource):
    """Blendshapes as they are, or landmarks of the aligned face as shares of the crop's side."""

    WORDS = KINDS = ("blendshapes", "landmarks")
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
            values = data.blendshapes(rows)
        else:
            side = np.array([info.size_px for info in data.infos], dtype=np.float32)
            sides = side[data.datasets(rows)]
            values = (data.landmarks(rows) / sides[:, None, None]).reshape(len(rows), -1)
        lacking = int(np.isnan(values).any(axis=1).sum())
        if lacking:
            raise InputError(
                f"--model {self.name}: {lacking} of {len(rows)} faces in {data.paths[0]} have no {self.name}; "
                "leave this model out or prepare the data with them."
            )
        context.advance(len(rows))
        return values

    def read(self, batch: FaceBatch) -> Features:
        """See `WeightlessSource`."""
        if self.name == "blendshapes":
            return batch.blendshapes
        aligned = [transform_points(points, crop_matrix(points, 1)) for points in batch.landmarks]
        return np.asarray(aligned, dtype=np.float32).reshape(len(batch), -1)

    def input_shape(self) -> tuple[int, ...]:
        """See `Member`."""
        return (BLENDSHAPES_LENGTH if self.name == "blendshapes" else LANDMARKS_LENGTH,)


@dataclass
class PixelSource(WeightlessSource):
    """The crop in grey, 32 x 32."""

    WORDS = KINDS = ("pixels",)
    name: str = "pixels"
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()
    stored_by_block: ClassVar[bool] = True
    sees_pictures: ClassVar[bool] = True

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "pixels", "side": PIXELS_SIDE}

    def features(self, data: Pictures, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`."""
        from duchenne.features.encoder import picture_batches  # with torch, which new faces do not need

        out = np.empty((len(rows), PIXELS_SIDE**2), dtype=np.float32)
        side = min(info.size_px for info in data.infos)
        for start, pictures in picture_batches(data, rows, side):
            out[start : start + len(pictures)] = _grey(pictures)
            context.advance(len(pictures))
        return out

    def read(self, batch: FaceBatch) -> Features:
        """See `WeightlessSource`."""
        return _grey(new_pictures(batch))

    def input_shape(self) -> tuple[int, ...]:
        """See `Member`."""
        return (PIXELS_SIDE**2,)


def _grey(pictures: NDArray[np.uint8]) -> Features:
    """(N, 1024) in [0, 1]: crops in grey, area-averaged to 32 x 32."""
    out = np.empty((len(pictures), PIXELS_SIDE**2), dtype=np.float32)
    for place, picture in enumerate(pictures):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        out[place] = cv2.resize(grey, (PIXELS_SIDE, PIXELS_SIDE), interpolation=cv2.INTER_AREA).reshape(-1)
    return out / np.float32(255)
