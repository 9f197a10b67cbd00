"""Encoders as sources of features, and the pictures that they are shown."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.config import from_mapping
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.source import (
    Context,
    FeatureKind,
    Features,
    FeatureSource,
    NetworkSource,
    Pictures,
    Rows,
    SingleSource,
    finite,
    new_pictures,
)
from duchenne.modules.backbones.builders import call_builder, stated_side
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.parallel import ahead
from duchenne.plugins import check_builder, is_builder, others_code
from duchenne.training.runs import (
    EncoderRecord,
    LoadedEncoder,
    TrainedOn,
    built_for,
    initial_encoder,
    load_encoder,
    random_encoder,
    seen_before,
)

LARGEST_SIDE_PX: Final = 224
BATCH: Final = 64
DECODERS: Final = 2


@dataclass(frozen=True)
class Built:
    """A module that is there already, whatever the seed."""

    module: nn.Module

    def __call__(self, seed: int) -> nn.Module:
        """The module."""
        return self.module


@dataclass(frozen=True)
class Untrained:
    """An encoder with random weights: of the shape of a record, or a ResNet-18."""

    record: EncoderRecord | None

    def __call__(self, seed: int) -> nn.Module:
        """The encoder of a seed."""
        return random_encoder(self.record, seed)


@dataclass
class EncoderSource(SingleSource):
    """A torch encoder, run over the crops.

    Attributes:
        name: as the user wrote it.
        build: gives the module of a seed.
        size_px: side of the pictures that it is shown; None: that of the crops, up to `LARGEST_SIDE_PX`.
        facts: what it is; `kind` says where it comes from: encoder, initial, random, builder, or module.
        seeded: whether `build` gives another module for another seed.
        trained_on: what it has seen.
    """

    WORDS = ("random", "random:RUN", "initial:RUN", "package.module:builder")
    KINDS = ("encoder", "builder")
    name: str
    build: Callable[[int], nn.Module]
    size_px: int | None
    facts: dict[str, Any]
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()
    stored_by_block: ClassVar[bool] = True
    sees_pictures: ClassVar[bool] = True

    @classmethod
    def from_word(cls, word: str) -> Self | None:
        """See `SingleSource`."""
        kind, _, rest = word.partition(":")
        if word != "random" and Path(word).exists():
            return cls.of_record(word, load_encoder(word))
        if kind == "random":
            record = load_encoder(rest).record if rest else None
            facts = {"kind": "random", "backbone": record.spec.backbone if record else "resnet18"}
            return cls(word, Untrained(record), record.size_px if record else None, facts, seeded=True)
        if kind == "initial" and rest:
            return cls.of_record(word, initial_encoder(rest), "initial")
        if is_builder(word):
            # Every process that is given this word, on this machine or another, draws the same weights.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                module = call_builder(word, "--model")
            return cls(word, Built(module), stated_side(module, f"--model {word}"), {"kind": "builder"})
        return None

    @classmethod
    def of_record(cls, name: str, loaded: LoadedEncoder, kind: Literal["encoder", "initial"] = "encoder") -> Self:
        """An encoder with its record."""
        record = loaded.record
        facts: dict[str, Any] = {"kind": kind, "method": record.method, "backbone": record.spec.backbone}
        seen = seen_before(record.weights)
        if kind == "encoder":
            facts |= {"file": loaded.path.name, "steps": record.steps}
            seen = record.trained_on
        facts |= {"weights": record.weights, "alignment": record.alignment}
        return cls(name, Built(loaded.encoder), record.size_px, facts, trained_on=seen)

    @classmethod
    def of_module(cls, module: nn.Module, name: str | None = None) -> Self:
        """A module at hand; what it has seen is not known.

        Args:
            module: (B, 3, H, W) in [0, 1] -> (B, D); its `size_px`, where it has one, is H and W.
            name: what to call it; None for the name of its class.
        """
        facts = {"kind": "module", "class": type(module).__qualname__}
        called = name or type(module).__name__
        return cls(called, Built(module), stated_side(module, f"--model {called}"), facts)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """See `SingleSource`."""
        kind, input_px = spec["kind"], spec.get("input_px")
        if not isinstance(input_px, int) or input_px < 1:
            raise InputError(f"{where}: says no `input_px` of its {kind}; make the detector again.")
        module = (
            _encoder(spec.get("spec"), tensors, where) if kind == "encoder" else _builder(spec.get("builder"), where)
        )
        try:
            module.load_state_dict(dict(tensors))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{where}: does not fit its weights ({reason}); make the detector again.") from error
        facts = {key: value for key, value in spec.items() if key not in ("input_px", "spec", "source", "builder")}
        name = str(spec["builder"]) if kind == "builder" else kind
        facts["kind"] = spec.get("source", kind)
        if isinstance(module, Encoder) and input_px < module.backbone.smallest_px:
            takes = f"{module.spec.backbone} takes pictures from {module.backbone.smallest_px} px"
            raise InputError(f"{where}: `input_px` is {input_px}, but {takes}; make the detector again.")
        return cls(name, Built(module.eval().requires_grad_(False)), input_px, facts)

    @property
    def network(self) -> NetworkSource | None:
        """See `FeatureSource`."""
        return self

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {**self.facts, "size_px": self.size_px}

    def fingerprint(self, seed: int) -> Any:
        """See `FeatureSource`: with the weights."""
        return [self.describe(), _module_hash(self.build(seed))]

    def side_px(self, data: Pictures) -> int:
        """See `NetworkSource`.

        Raises:
            UsageError: when the network takes larger pictures only.
        """
        side = self.size_px or min(LARGEST_SIDE_PX, *(info.size_px for info in data.infos))
        self._check_side(side)
        return side

    @cached_property
    def _smallest(self) -> tuple[str, int]:
        """Name of the backbone, and the side of the smallest picture that it takes."""
        module = self.build(0)
        return (module.spec.backbone, module.backbone.smallest_px) if isinstance(module, Encoder) else (self.name, 1)

    def _check_side(self, side: int) -> None:
        backbone, smallest = self._smallest
        if side < smallest:
            advice = "make it again" if self.size_px else "prepare larger crops"
            raise UsageError(
                f"--model {self.name}: its backbone {backbone} takes pictures from {smallest} px, not of {side} px; "
                f"{advice}."
            )

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
        return finite(self._run(picture_batches(data, rows, self.side_px(data)), len(rows), context), self.name)

    def features_of(self, batch: FaceBatch, context: Context) -> Features:
        """See `FeatureSource`.

        Raises:
            UsageError: as `features`.
        """
        pictures = new_pictures(batch, self.size_px)
        batches = ((start, pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH))
        return self._run(batches, len(pictures), context)

    def _run(self, batches: Iterable[tuple[int, NDArray[np.uint8]]], count: int, context: Context) -> Features:
        module = _placed(self.build(context.seed), context.device)
        forward = self.forward(module, context.feature)
        out: Features | None = None
        with torch.inference_mode(), torch.autocast(context.device.type, torch.bfloat16, enabled=context.bf16):
            for start, pictures in batches:
                said = f"--model {self.name}: cannot look at pictures of {pictures.shape[1]} px"
                with others_code(said) if self.facts["kind"] == "builder" else nullcontext():
                    given: object = forward(encoder_input(pictures, context.device))
                values = _rows(given, len(pictures), f"--model {self.name}").float().cpu().numpy()
                if out is None:
                    out = np.empty((count, values.shape[1]), dtype=np.float32)
                out[start : start + len(values)] = values
                context.advance(len(values))
        assert out is not None
        return out

    def for_new_faces(self, *, crop_px: int, seed: int) -> FeatureSource:
        """See `FeatureSource`.

        Raises:
            UsageError: when it is a module whose code a detector cannot hold, or it takes larger pictures only.
        """
        module = deepcopy(self.build(seed)).eval().cpu()
        if not isinstance(module, Encoder) and self.facts["kind"] != "builder":
            raise UsageError(
                f"--model {self.name}: is a torch module whose code a detector cannot hold; name a function that "
                "builds it, package.module:builder."
            )
        side = self.size_px or min(LARGEST_SIDE_PX, crop_px)
        self._check_side(side)
        return replace(self, build=Built(module.requires_grad_(False)), size_px=side, seeded=False)

    def trained_further(self, module: nn.Module) -> EncoderSource:
        """See `NetworkSource`."""
        facts = {**self.facts, "tuned": True}
        return replace(self, build=Built(module.eval().requires_grad_(False)), facts=facts)

    def to_spec(self) -> dict[str, Any]:
        """See `Member`: an encoder of ours by what it is built of, anything else by its builder's name."""
        module = self.build(0)
        if isinstance(module, Encoder):
            own = {"source": self.facts["kind"], "kind": "encoder", "spec": asdict(module.spec)}
            return {**self.facts, **own, "input_px": self.size_px}
        return {**self.facts, "builder": self.name, "input_px": self.size_px}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `Member`."""
        return {name: value.detach().cpu().contiguous() for name, value in self.build(0).state_dict().items()}

    def input_shape(self) -> tuple[int, ...]:
        """See `Member`."""
        side = self.size_px or LARGEST_SIDE_PX
        return (3, side, side)


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

    def read() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        with ThreadPoolExecutor(DECODERS) as pool:
            for start in range(0, len(rows), batch):
                yield start, data.images(rows[start : start + batch], size_px, pool)

    yield from ahead(read(), depth=1)


def _placed(module: nn.Module, device: torch.device) -> nn.Module:
    """In evaluation mode on a device, with its weights in the order in which convolutions are fastest."""
    placed: nn.Module = module.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _encoder(values: Any, tensors: Mapping[str, Tensor], where: str) -> nn.Module:
    check_builder(values.get("backbone") if isinstance(values, dict) else None, where)
    try:
        return built_for(from_mapping(EncoderSpec, values, where=f"{where}: `spec`"), tensors)
    except ValueError as error:
        raise InputError(f"{where}: does not fit its weights ({error}); make the detector again.") from error
    except (UsageError, TypeError) as error:
        raise InputError(f"{where}: describes an encoder that cannot be built ({error}).") from error


def _builder(name: Any, where: str) -> nn.Module:
    if not is_builder(name):
        raise InputError(f"{where}: `{name}` is not package.module:builder; make the detector again.")
    check_builder(name, where)
    return call_builder(name, "--model")


def _module_hash(module: nn.Module) -> str:
    """Of weights, buffers and layers, and of the file that the module's class stands in (a builder's code)."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    file = getattr(sys.modules.get(type(module).__module__), "__file__", None)
    if file and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def feature_width(features: Callable[[Tensor], Tensor], side_px: int, called: str) -> int:
    """How many features a network on the processor gives of a picture, found out by one.

    Args:
        features: the network, or what it is read by.
        side_px: of the pictures that it will be shown.
        called: what it is, for errors.

    Raises:
        UsageError: when it cannot look at such a picture, or gives no (B, D).
    """
    with others_code(f"{called}: cannot look at pictures of {side_px} px"), torch.no_grad():
        given: object = features(torch.zeros(1, 3, side_px, side_px))
    return _rows(given, 1, called).shape[1]


def _rows(given: object, count: int, called: str) -> Tensor:
    """What a network gave of some pictures, if it is a row of features for each."""
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != count:
        shape = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise UsageError(f"{called}: gives {shape} for {count} picture{'s' * (count != 1)}, not (B, D).")
    return given
