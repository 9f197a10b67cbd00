"""`duchenne convert WEIGHTS --out DIR`: the released weights of temporal ranking as an encoder of this library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Turns the weights that the authors of temporal ranking released into an encoder; nothing in them is executed."""

    weights: tyro.conf.Positional[Path]
    """The authors' state dict (ResNet-18, linear layer 512 to 256)."""
    out: Path
    """Folder to make; `--model` takes it everywhere."""


def main(arguments: list[str]) -> int:
    """Converts the file and prints where the encoder lies."""
    chosen = tyro.cli(Arguments, args=arguments, prog="duchenne convert")

    from duchenne.training.convert import convert

    print(f"-> {convert(chosen.weights, out=chosen.out)}")
    return 0
