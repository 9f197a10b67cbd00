"""`duchenne convert WEIGHTS --out DIR`: weights that authors released as an encoder of this library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Turns the weights that the authors of temporal ranking, FAb-Net or TCAE released into an encoder; nothing in them
    is executed."""

    weights: tyro.conf.Positional[Path]
    """The authors' file: temporal ranking's ResNet-18 with its linear layer, FAb-Net, or TCAE."""
    out: Path
    """Folder to make; `--model` takes it everywhere."""


def main(arguments: list[str]) -> int:
    """Converts the file and prints where the encoder lies."""
    chosen = parse(Arguments, args=arguments, prog="duchenne convert")

    from duchenne.training.convert import convert

    print(f"-> {convert(chosen.weights, out=chosen.out)}")
    return 0
