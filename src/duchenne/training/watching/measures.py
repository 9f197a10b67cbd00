"""What a line of the log holds: means over its steps, the size of the gradient, whether the embedding collapses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from duchenne.losses.rows import spread
from duchenne.methods.base import Method

COLLAPSED: Final = 0.01
"""Spread below which an embedding counts as collapsed: all faces of a batch lie within about half a degree."""


@dataclass
class Meter:
    """Sums between two lines of the log."""

    values: dict[str, list[Tensor | float]] = field(default_factory=dict)
    images: int = 0
    waited_s: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def line(self, step: int, lr: float) -> dict[str, float]:
        """The means so far as one line of `log.jsonl`."""
        spent = time.perf_counter() - self.since
        means = {name: float(torch.tensor([float(v) for v in values]).mean()) for name, values in self.values.items()}
        return {
            "step": step,
            **means,
            "lr": lr,
            "images_per_s": self.images / spent,
            "waiting": min(1.0, self.waited_s / spent),
            **self.last,
        }


_PARTS: Final = ("head", "encoder", "backbone")


def gradient_norm(module: nn.Module) -> float:
    """The Euclidean norm of the gradient over all parameters that have one, before the optimiser's step."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0


class Seen:
    """What the networks gave in a step; `spread` is None where none gave rows (B, D) of two faces or more."""

    def __init__(self) -> None:
        self.rows: dict[str, Tensor] = {}

    @property
    def spread(self) -> float | None:
        """Of the directions of what the loss sees: 1 everywhere, 0 collapsed.

        That is what the method's `head` gives, where it has one; else the encoder's embedding; else the features.
        """
        rows = next((self.rows[part] for part in _PARTS if part in self.rows), None)
        return None if rows is None else float(spread(functional.normalize(rows.float(), dim=1)))


@contextmanager
def watched(method: Method, *, wanted: bool) -> Iterator[Seen]:
    """Keeps what the method's networks give inside; nothing unless `wanted`."""
    seen = Seen()

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 2 and len(output) > 1:
                seen.rows[name] = output.detach()

        return keep

    parts = (getattr(method, "head", None), method.encoder, method.encoder.backbone) if wanted else ()
    handles = [
        part.register_forward_hook(keeper(name)) for name, part in zip(_PARTS, parts) if isinstance(part, nn.Module)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
