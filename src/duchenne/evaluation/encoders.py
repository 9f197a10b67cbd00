"""What `--model` may name, and how each gives one feature vector per prepared face.

RUN | encoder.safetensors   a pretrained encoder
A+B+C                       several, their features side by side
random | random:RUN         untrained weights: a ResNet-18, or the shape of a run's encoder
initial:RUN                 a run's encoder before its first step
pixels                      the crop itself: grey, area-averaged to 32 x 32, 1024 values in [0, 1]
blendshapes | landmarks     the columns of the prepared data (52 values; 136 values as shares of the crop's side)
features:FILE.parquet       what `duchenne embed` writes: subject, clip, frame, feature
package.module:builder      a function without arguments that returns a torch module, (B,3,H,W) in [0,1] -> (B,D)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.errors import InputError, UsageError
from duchenne.modules.builders import call_builder, is_builder
from duchenne.training.runs import LoadedEncoder, TrainedOn, initial_encoder, load_encoder, random_encoder, seen_before

Rows = NDArray[np.int64]
Features = NDArray[np.float32]
FeatureKind = Literal["embedding", "pooled"]
PIXELS_SIDE: Final = 32
LARGEST_SIDE_PX: Final = 224
BATCH: Final = 64
DECODERS: Final = 2
_WORDS: Final = ("random", "pixels", "blendshapes", "landmarks")
"""Mean the same whatever folders there are; `./random` is a folder."""


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


@dataclass
class EncoderSource:
    """A torch encoder, run over the crops."""

    name: str
    build: Callable[[int], nn.Module]
    size_px: int | None
    facts: dict[str, Any]
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {**self.facts, "size_px": self.size_px}

    def side_px(self, data: Pictures) -> int:
        """Side of the pictures that the encoder is shown."""
        return self.size_px or min(LARGEST_SIDE_PX, *(info.size_px for info in data.infos))

    def forward(self, module: nn.Module, feature: FeatureKind) -> Callable[[torch.Tensor], torch.Tensor]:
        """The function of a built module that gives the features.

        Raises:
            UsageError: when it has no `pooled` features but they are asked for.
        """
        if feature == "embedding":
            return module
        if not hasattr(module, "pooled"):
            raise UsageError(f"--model {self.name}: has no pooled features; use --feature embedding.")
        return cast("Callable[[torch.Tensor], torch.Tensor]", module.pooled)

    def features(self, data: Pictures, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`.

        Raises:
            UsageError: when the module has no `pooled` features but they are asked for, or gives another shape.
            InputError: when features are not finite.
        """
        module = self.build(context.seed).eval().to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        forward, size_px = self.forward(module, context.feature), self.side_px(data)
        out: Features | None = None
        with torch.inference_mode():
            for start, pictures in picture_batches(data, rows, size_px):
                values = forward(encoder_input(pictures, context.device)).float().cpu().numpy()
                if values.ndim != 2 or len(values) != len(pictures):
                    raise UsageError(
                        f"--model {self.name}: gives shape {values.shape} for {len(pictures)} pictures, not (B, D)."
                    )
                if out is None:
                    out = np.empty((len(rows), values.shape[1]), dtype=np.float32)
                out[start : start + len(values)] = values
                context.advance(len(values))
        assert out is not None
        return finite(out, self.name)


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


@dataclass
class FileSource:
    """Features computed elsewhere, joined by subject, clip and frame."""

    name: str
    path: Path
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {"kind": "features", "file": self.path.name}

    def features(self, data: Prepared, rows: Rows, context: Context) -> Features:
        """See `FeatureSource`.

        Raises:
            InputError: when the file cannot be read, lacks a column or a face, or it or the data name one twice.
        """
        try:
            table = pq.read_table(self.path)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: cannot be read as Parquet ({error}).") from error
        missing = [name for name in ("subject", "clip", "frame", "feature") if name not in table.column_names]
        if missing:
            raise InputError(f"{self.path}: has no column `{missing[0]}`; `duchenne embed` writes what is needed.")
        known, wanted = _keys(table.select(["subject", "clip", "frame"]).to_pandas()), _keys(data.frames)[rows]
        if wanted.has_duplicates:
            raise InputError(
                f"--model {self.name}: several faces are {wanted[wanted.duplicated()][0]} (subject, clip, frame), so "
                "features cannot be told apart; evaluate one data set at a time."
            )
        if known.has_duplicates:
            twice = known[known.duplicated()][0]
            raise InputError(f"{self.path}: holds {twice} (subject, clip, frame) more than once; keep one row each.")
        places = known.get_indexer(wanted)
        if (places < 0).any():
            lacking = int((places < 0).sum())
            raise InputError(
                f"{self.path}: lacks {lacking} of {len(rows)} labelled faces, first {wanted[places < 0][0]} "
                "(subject, clip, frame); embed the same prepared data."
            )
        try:
            values = np.stack(table["feature"].to_numpy()).astype(np.float32)[places]
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.path}: its features are not lists of numbers of one length.") from error
        if values.ndim != 2:
            raise InputError(f"{self.path}: its features are not lists of numbers of one length.")
        context.advance(len(rows))
        return finite(values, self.name)


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


def resolve(name: str) -> FeatureSource:
    """Finds out what a `--model` means (see the module's first lines).

    Raises:
        UsageError: when it means nothing.
        InputError: when it names a run or file that cannot be read.
    """
    if name not in _WORDS and Path(name).exists():
        return _trained(name, load_encoder(name), "encoder")
    rest_exists = Path(name.partition(":")[2] or "?").exists()  # a plus sign in a path is part of it
    if "+" in name and not rest_exists:
        return EnsembleSource(name, [resolve(part) for part in name.split("+")])
    if name in ("blendshapes", "landmarks"):
        return ColumnSource("blendshapes" if name == "blendshapes" else "landmarks")
    if name == "pixels":
        return PixelSource()
    kind, _, rest = name.partition(":")
    if kind == "random":
        record = load_encoder(rest).record if rest else None
        facts = {"kind": "random", "backbone": record.spec.backbone if record else "resnet18"}
        size_px = record.size_px if record else None
        return EncoderSource(name, lambda seed: random_encoder(record, seed), size_px, facts, seeded=True)
    if kind == "initial" and rest:
        return _trained(name, initial_encoder(rest), "initial")
    if kind == "features" and rest:
        if not Path(rest).is_file():
            raise InputError(f"{rest}: there is no such file; write it with `duchenne embed`.")
        return FileSource(name, Path(rest))
    if is_builder(name):
        module = call_builder(name, "--model")
        return EncoderSource(name, lambda seed: module, getattr(module, "size_px", None), {"kind": "builder"})
    raise UsageError(
        f"--model {name}: is neither a run folder nor an encoder file that exists, nor random, random:RUN, "
        "initial:RUN, pixels, blendshapes, landmarks, features:FILE.parquet or package.module:builder; check the path."
    )


def pixel_features(picture: NDArray[np.uint8]) -> Features:
    """(1024,) in [0, 1]: a crop in grey, area-averaged to 32 x 32."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (PIXELS_SIDE, PIXELS_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(-1), dtype=np.float32) / np.float32(255)


def encoder_input(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(B, H, W, 3) RGB uint8 -> (B, 3, H, W) float32 in [0, 1] on a device, channels last in memory."""
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def picture_batches(
    data: Pictures, rows: Rows, size_px: int, batch: int = BATCH
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(start, pictures) for all rows in order; the next batch is decoded while the last one is worked on.

    Args:
        data: where the crops lie.
        rows: to read.
        size_px: to resize to.
        batch: pictures at a time.
    """
    with ThreadPoolExecutor(DECODERS) as pool, ThreadPoolExecutor(1) as ahead:

        def read(start: int) -> NDArray[np.uint8]:
            return data.images(rows[start : start + batch], size_px, pool)

        waiting: Future[NDArray[np.uint8]] = ahead.submit(read, 0)
        for start in range(0, len(rows), batch):
            pictures = waiting.result()
            if start + batch < len(rows):
                waiting = ahead.submit(read, start + batch)
            yield start, pictures


def finite(values: Features, name: str) -> Features:
    """The same values.

    Raises:
        InputError: when any is not a finite number.
    """
    wrong = int((~np.isfinite(values).all(axis=1)).sum())
    if wrong:
        raise InputError(f"--model {name}: gives values that are not finite for {wrong} of {len(values)} faces.")
    return values


def _trained(name: str, loaded: LoadedEncoder, kind: Literal["encoder", "initial"]) -> EncoderSource:
    record = loaded.record
    facts: dict[str, Any] = {"kind": kind, "method": record.method, "backbone": record.spec.backbone}
    seen = seen_before(record.weights)
    if kind == "encoder":
        facts |= {"file": loaded.path.name, "steps": record.steps}
        seen = record.trained_on
    facts |= {"weights": record.weights, "alignment": record.alignment}
    return EncoderSource(name, lambda seed: loaded.encoder, record.size_px, facts, trained_on=seen)


def _keys(frames: pd.DataFrame) -> pd.MultiIndex:
    columns = [frames[name].astype("string").fillna("") for name in ("subject", "clip")]
    return pd.MultiIndex.from_arrays([*columns, frames["frame"].to_numpy(dtype=np.int64)])
