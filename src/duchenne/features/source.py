"""What turns faces into features, whatever it is: the protocol that all sources follow. Imports no torch.

A source looks at stored faces (`features`) and, where it can, at faces just found (`features_of`). A detector holds
one, described by plain values (`to_spec`) and tensors, from which `duchenne.features.resolve` makes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import encode_jpeg
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.faces.resize import resized

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from duchenne.training.runs import TrainedOn

Rows = NDArray[np.int64]
Features = NDArray[np.float32]
FeatureKind = Literal["embedding", "pooled"]


def _nobody_counts(faces: int) -> None:
    """Stands for `advance`; a function with a name, because detectors are sent to other processes."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """How features are computed, whatever the model.

    Attributes:
        device: where encoders run.
        feature: `embedding`, what the encoder gives; `pooled`, its averaged last map.
        seed: of untrained weights.
        bf16: whether products are made in bfloat16 (autocast).
        advance: called with the number of faces done.
    """

    device: torch.device
    feature: FeatureKind = "embedding"
    seed: int = 0
    bf16: bool = False
    advance: Callable[[int], None] = _nobody_counts


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

    @property
    def members(self) -> Sequence[Member]:
        """The sources whose features lie side by side; only itself where it is a single one."""
        ...

    @property
    def stored_by_block(self) -> bool:
        """Whether its features take long enough to be stored while an evaluation runs."""
        ...

    @property
    def sees_pictures(self) -> bool:
        """Whether crops are what it looks at, and all that it needs, see `Pictures`."""
        ...

    @property
    def network(self) -> NetworkSource | None:
        """Itself where it is a single torch module, which can be trained further, measured or exported; else None."""
        ...

    def fingerprint(self, seed: int) -> Any:
        """Names what it computes, as plain values: another fingerprint means other features.

        Args:
            seed: of untrained weights.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What it is, as plain values for `summary.json`."""
        ...

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """(len(rows), D) finite features of stored faces."""
        ...

    def for_new_faces(self, *, crop_px: int, seed: int) -> FeatureSource:
        """The same for faces just found, with everything settled that the data or a seed would decide.

        Args:
            crop_px: side of the crops that it will be given.
            seed: of untrained weights.

        Raises:
            UsageError: when it can look at stored faces only, or cannot be stored in a detector.
        """
        ...

    def features_of(self, batch: FaceBatch, context: Context) -> Features:
        """(N, D) features of faces just found; a row of NaN for a face that lacks what is read."""
        ...


class Member(FeatureSource, Protocol):
    """A single source, alone or in an ensemble; a detector stores each by itself."""

    def to_spec(self) -> dict[str, Any]:
        """What a source `for_new_faces` is, as plain values for detector.json; `kind` says which."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """Its weights; empty where it has none."""
        ...

    def input_shape(self) -> tuple[int, ...]:
        """Of what an exported graph takes of one face: its features, or the picture that a network is shown."""
        ...


class NetworkSource(Member, Protocol):
    """A source that is a single torch module over the crops."""

    @property
    def size_px(self) -> int | None:
        """Side of the pictures that it is shown; None: that of the crops, up to a limit."""
        ...

    def build(self, seed: int) -> nn.Module:
        """The module, (B, 3, H, W) in [0, 1] -> (B, D), in evaluation mode."""
        ...

    def side_px(self, data: Pictures) -> int:
        """Side of the pictures that it is shown of these data.

        Raises:
            UsageError: when the network takes larger pictures only.
        """
        ...

    def forward(self, module: nn.Module, feature: FeatureKind) -> Callable[[Tensor], Tensor]:
        """The function of a built module that gives the features.

        Raises:
            UsageError: when it has no `pooled` features but they are asked for.
        """
        ...

    def trained_further(self, module: nn.Module) -> NetworkSource:
        """The same with a module of the same kind that was trained further."""
        ...


class SingleSource:
    """What most sources answer that stand for themselves; base class of their own ones.

    Class attributes:
        WORDS: what `--model` may say to name one, for messages.
        KINDS: the `kind` of the specs that it comes back from.
    """

    WORDS: ClassVar[tuple[str, ...]] = ()
    KINDS: ClassVar[tuple[str, ...]] = ()
    name: str
    stored_by_block: ClassVar[bool] = False
    sees_pictures: ClassVar[bool] = False

    @classmethod
    def from_word(cls, word: str) -> Self | None:
        """The source that a `--model` means; None where it means another kind of source.

        Raises:
            InputError: when it names a file that cannot be read.
            UsageError: when it cannot be used.
        """
        raise NotImplementedError

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """A source from `to_spec` and `tensors`, of one of its `KINDS`.

        Args:
            spec: plain values of a file; nothing in it is trusted.
            tensors: its weights.
            where: the file, for errors.

        Raises:
            InputError: when they do not fit each other.
            UsageError: when it needs code that the user has not named.
        """
        raise NotImplementedError

    @property
    def members(self) -> Sequence[Any]:
        """See `FeatureSource`."""
        return (self,)

    @property
    def network(self) -> NetworkSource | None:
        """See `FeatureSource`."""
        return None

    def fingerprint(self, seed: int) -> Any:
        """See `FeatureSource`; the name is enough where it says everything, as `blendshapes` does."""
        return self.name

    def for_new_faces(self, *, crop_px: int, seed: int) -> FeatureSource:
        """See `FeatureSource`; refused unless a source says otherwise."""
        raise UsageError(
            f"--model {self.name}: holds the features of stored faces only and cannot look at new ones; name the "
            "encoder that made them."
        )

    def features_of(self, batch: FaceBatch, context: Context) -> Features:
        """See `FeatureSource`."""
        raise NotImplementedError

    def to_spec(self) -> dict[str, Any]:
        """See `Member`."""
        raise NotImplementedError

    def tensors(self) -> Mapping[str, Tensor]:
        """See `Member`."""
        return {}

    def input_shape(self) -> tuple[int, ...]:
        """See `Member`."""
        raise NotImplementedError


def new_pictures(batch: FaceBatch, side_px: int | None = None) -> NDArray[np.uint8]:
    """The crops of faces just found as prepared data hold them, with the traces of JPEG.

    An encoder may be sensitive to those: it was trained on crops that were stored.

    Args:
        batch: with crops.
        side_px: to resize to; None for the side that they have.

    Returns:
        (N, side, side, 3) RGB uint8.
    """
    if batch.crops is None:
        raise ValueError("this source looks at pixels, and the batch has no crops")
    pictures = []
    for crop in batch.crops:
        data = np.frombuffer(encode_jpeg(crop), dtype=np.uint8)
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)
        pictures.append(picture if side_px is None else resized(picture, side_px))
    return np.stack(pictures)


def finite(values: Features, name: str) -> Features:
    """The same values.

    Raises:
        InputError: when any is not a finite number.
    """
    wrong = int((~np.isfinite(values).all(axis=1)).sum())
    if wrong:
        raise InputError(f"--model {name}: gives values that are not finite for {wrong} of {len(values)} faces.")
    return values
