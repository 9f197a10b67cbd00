"""Encoders as sources of features, and the pictures that they are shown."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import UsageError
from duchenne.features.source import Context, FeatureKind, Features, Pictures, Rows, SingleSource, finite
from duchenne.parallel import ahead
from duchenne.training.runs import TrainedOn

LARGEST_SIDE_PX: Final = 224
BATCH: Final = 64
DECODERS: Final = 2


@dataclass
class EncoderSource(SingleSource):
    """A torch encoder, run over the crops."""

    name: str
    build: Callable[[int], nn.Module]
    size_px: int | None
    facts: dict[str, Any]
    seeded: bool = False
    trained_on: tuple[TrainedOn, ...] = ()
    stored_by_block = sees_pictures = True

    def describe(self) -> dict[str, Any]:
        """See `FeatureSource`."""
        return {**self.facts, "size_px": self.size_px}

    def fingerprint(self, seed: int) -> Any:
        """See `FeatureSource`: with the weights."""
        return [self.describe(), _module_hash(self.build(seed))]

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
