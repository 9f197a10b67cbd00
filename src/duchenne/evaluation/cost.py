"""What a model costs: parameters, multiply-adds and time per picture, as papers print them.

Multiply-adds are counted by torch's `FlopCounterMode` (convolutions and matrix products; it counts a multiplication and
an addition as two, papers as one). CLP (Li & Shan, 2023) prints of its encoder 21.8 M parameters, with ImageNet's
classifier of 1,000 classes, and 3.68 GFLOPs, which are multiply-adds: a ResNet-34 at 224 px.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.features.resolve import source_of

BATCHES: Final = (1, 16)
"""Pictures at a time, of which the time is taken."""
DEFAULT_PX: Final = 224
WARM_UP, RUNS = 2, 7


@dataclass(frozen=True)
class Cost:
    """What an encoder costs.

    Attributes:
        size_px: side of its pictures.
        features: width of what it gives.
        parameters: of all its layers.
        multiply_adds: of one picture.
        ms: pictures at a time -> milliseconds per batch, the median of seven.
        device: where it was timed.
        threads: of the processor that torch used.
    """

    size_px: int
    features: int
    parameters: int
    multiply_adds: int
    ms: dict[int, float]
    device: str
    threads: int

    def lines(self) -> dict[str, str]:
        """In words, for `duchenne info`."""
        where = f"{self.device}, {self.threads} threads" if self.device == "cpu" else self.device
        spent = [
            f"{self.ms[batch] / batch:.1f} ms a picture, {batch} at a time ({self.ms[batch]:.1f} ms)"
            for batch in self.ms
        ]
        return {
            "input": f"{self.size_px} px",
            "features": str(self.features),
            "parameters": f"{self.parameters / 1e6:.2f} million",
            "multiply-adds": f"{self.multiply_adds / 1e9:.2f} billion a picture",
            "time": f"{'; '.join(spent)}; float32 on {where}",
        }


def model_cost(name: str, *, device: str = "auto") -> Cost:
    """Measures an encoder.

    Args:
        name: as `evaluate --model` takes it: a run, an encoder file, an ensemble A+B, random[:RUN], a builder.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        UsageError: when it is no network.
        InputError: when it cannot be read.
    """
    source = source_of(name)
    members = source.members
    networks = [network for member in members if (network := member.network)]
    if len(networks) < len(members):
        raise UsageError(f"--model {name}: is not a network, so it has no cost of its own; name a run or an encoder.")
    chosen = resolve_device(device)
    parts = [measure(one.build(0), one.size_px or DEFAULT_PX, chosen) for one in networks]
    return Cost(
        size_px=max(part.size_px for part in parts),
        features=sum(part.features for part in parts),
        parameters=sum(part.parameters for part in parts),
        multiply_adds=sum(part.multiply_adds for part in parts),
        ms={batch: sum(part.ms[batch] for part in parts) for batch in BATCHES},
        device=parts[0].device,
        threads=parts[0].threads,
    )


def measure(module: nn.Module, size_px: int, device: torch.device) -> Cost:
    """Measures a network that takes (B, 3, size_px, size_px) in [0, 1] and gives (B, D)."""
    module = module.eval().to(device)
    with torch.inference_mode():
        picture = torch.rand(1, 3, size_px, size_px, device=device)
        with _attention_in_steps(), FlopCounterMode(display=False) as counter:
            features = module(picture).shape[-1]
        ms = {batch: _median_ms(module, picture.expand(batch, -1, -1, -1).contiguous(), device) for batch in BATCHES}
    return Cost(
        size_px=size_px,
        features=int(features),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        multiply_adds=int(counter.get_total_flops()) // 2,
        ms=ms,
        device=str(device),
        threads=torch.get_num_threads(),
    )


@contextmanager
def _attention_in_steps() -> Iterator[None]:
    """Transformers as matrix products one by one: the counter does not know the kernels that do them at once."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _median_ms(module: Callable[[Tensor], Tensor], pictures: Tensor, device: torch.device) -> float:
    spent = []
    for run in range(WARM_UP + RUNS):
        start = time.perf_counter()
        module(pictures)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        if run >= WARM_UP:
            spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent)
