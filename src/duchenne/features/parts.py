"""What a detector reads of a new face: the sources of `--model`, for faces that `detect` finds instead of stored ones.

A detector has one part, or several whose features lie side by side. Each is described by a `spec` of plain values in
detector.json and by tensors in detector.safetensors, and comes back from these two alone. The exception is
`package.module:builder`: that is code, which nothing but the user's own word may run (`DUCHENNE_BUILDERS`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.config import from_mapping
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.columns import ColumnSource, PixelSource, pixel_features
from duchenne.features.encoder import BATCH, LARGEST_SIDE_PX, EncoderSource
from duchenne.features.ensemble import EnsembleSource
from duchenne.features.pictures import aligned_points, encoder_pictures, stored_crops
from duchenne.features.resolve import resolve
from duchenne.features.source import FeatureSource
from duchenne.modules.encoder import Encoder, EncoderSpec

_CPU: Final = torch.device("cpu")
BUILDERS_VARIABLE: Final = "DUCHENNE_BUILDERS"
Features = NDArray[np.float32]


class Part(Protocol):
    """One source of features.

    Attributes:
        needs_crops: whether it looks at pixels.
    """

    @property
    def needs_crops(self) -> bool: ...  # noqa: D102

    def spec(self) -> dict[str, Any]:
        """What it is, as plain values; `kind` says which part."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """Its weights; empty where it has none."""
        ...

    def features(self, batch: FaceBatch) -> Features:
        """(N, D); a row of NaN for a face that lacks what is read."""
        ...


@dataclass(frozen=True)
class ColumnPart:
    """Blendshapes as they are, or landmarks of the aligned face as shares of the crop's side."""

    kind: Literal["blendshapes", "landmarks"]
    needs_crops = False

    def spec(self) -> dict[str, Any]:
        """See `Part`."""
        return {"kind": self.kind}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `Part`."""
        return {}

    def features(self, batch: FaceBatch) -> Features:
        """See `Part`."""
        if self.kind == "blendshapes":
            return batch.blendshapes
        return aligned_points(batch)


@dataclass(frozen=True)
class PixelPart:
    """The crop in grey, 32 x 32."""

    needs_crops = True

    def spec(self) -> dict[str, Any]:
        """See `Part`."""
        return {"kind": "pixels"}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `Part`."""
        return {}

    def features(self, batch: FaceBatch) -> Features:
        """See `Part`."""
        return np.stack([pixel_features(crop) for crop in stored_crops(batch)])


@dataclass(frozen=True)
class EncoderPart:
    """A torch module over the crops.

    Attributes:
        module: in evaluation mode, (B, 3, H, W) in [0, 1] -> (B, D).
        input_px: side of the pictures it is given.
        facts: `kind` (encoder or builder) and what builds it again.
        device: where it computes.
        bf16: whether products are made in bfloat16 (autocast).
    """

    module: nn.Module
    input_px: int
    facts: Mapping[str, Any]
    device: torch.device = _CPU
    bf16: bool = False
    needs_crops = True

    def placed(self, device: torch.device, *, bf16: bool) -> EncoderPart:
        """The same on a device, with its weights in the order in which convolutions are fastest."""
        module: nn.Module = self.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return replace(self, module=module, device=device, bf16=bf16)

    def with_encoder(self, module: nn.Module) -> EncoderPart:
        """The same with an encoder of the same kind that was trained further."""
        return replace(self, module=module.eval().requires_grad_(False), facts={**self.facts, "tuned": True})

    def spec(self) -> dict[str, Any]:
        """See `Part`."""
        return {**self.facts, "input_px": self.input_px}

    def tensors(self) -> Mapping[str, Tensor]:
        """See `Part`."""
        return {name: value.detach().cpu().contiguous() for name, value in self.module.state_dict().items()}

    def features(self, batch: FaceBatch) -> Features:
        """See `Part`."""
        pictures, parts = encoder_pictures(batch, self.input_px), []
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            for start in range(0, len(pictures), BATCH):
                rows = torch.from_numpy(pictures[start : start + BATCH]).to(self.device)
                x = rows.permute(0, 3, 1, 2).float() / 255
                parts.append(self.module(x.contiguous(memory_format=torch.channels_last)).float().cpu().numpy())
        return np.concatenate(parts)


def parts_of(source: FeatureSource, *, crop_px: int, seed: int) -> list[Part]:
    """The parts of a resolved `--model`.

    Args:
        source: from `duchenne.features.resolve`.
        crop_px: side of the crops that they will be given.
        seed: of untrained weights.

    Raises:
        UsageError: when it cannot be used on new faces.
    """
    if isinstance(source, EnsembleSource):
        return [part for member in source.members for part in parts_of(member, crop_px=crop_px, seed=seed)]
    if isinstance(source, ColumnSource):
        return [ColumnPart(source.name)]
    if isinstance(source, PixelSource):
        return [PixelPart()]
    if isinstance(source, EncoderSource):
        module = source.build(seed).eval().cpu()
        input_px = source.size_px or min(LARGEST_SIDE_PX, crop_px)
        if isinstance(module, Encoder):
            facts = {**source.facts, "source": source.facts["kind"], "kind": "encoder", "spec": asdict(module.spec)}
        else:
            facts = {"kind": "builder", "builder": source.name}
        return [EncoderPart(module.requires_grad_(False), input_px, facts)]
    raise UsageError(
        f"--model {source.name}: holds the features of stored faces only and cannot look at new ones; name the encoder "
        "that made them."
    )


def part_from(spec: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Part:
    """A part from its description and weights.

    Args:
        spec: from `Part.spec`.
        tensors: from `Part.tensors`.
        where: the file, for errors.

    Raises:
        InputError: when they do not fit each other or are of no known kind.
        UsageError: when the part is code that the user has not named.
    """
    kind = spec.get("kind")
    if kind == "blendshapes" or kind == "landmarks":
        return ColumnPart(kind)
    if kind == "pixels":
        return PixelPart()
    input_px = spec.get("input_px")
    if kind not in ("encoder", "builder") or not isinstance(input_px, int) or input_px < 1:
        raise InputError(f"{where}: describes a part of unknown kind `{kind}`; make the detector again.")
    module = _encoder(spec.get("spec"), where) if kind == "encoder" else _build(str(spec.get("builder")), where)
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: does not fit its weights ({reason}); make the detector again.") from error
    return EncoderPart(
        module.eval().requires_grad_(False), input_px, {k: v for k, v in spec.items() if k != "input_px"}
    )


def _encoder(values: Any, where: str) -> nn.Module:
    try:
        return Encoder(from_mapping(EncoderSpec, values, where=f"{where}: `spec`"))
    except (UsageError, TypeError, ValueError) as error:
        raise InputError(f"{where}: describes an encoder that cannot be built ({error}).") from error


def _build(name: str, where: str) -> nn.Module:
    if name not in os.environ.get(BUILDERS_VARIABLE, "").split(","):
        raise UsageError(
            f"{where}: needs the code {name}, which a file may not start by itself; if you trust it, "
            f"set {BUILDERS_VARIABLE}={name} and run again."
        )
    source = resolve(name)
    if not isinstance(source, EncoderSource):
        raise InputError(f"{where}: `{name}` is not package.module:builder; make the detector again.")
    return source.build(0)
