"""`duchenne embed --model M --data PREPARED --out FILE.parquet`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class EmbedArguments:
    """Writes the features of every prepared face: subject, clip, frame, feature."""

    model: str
    """RUN, encoder.safetensors, A+B+C, random[:RUN], initial:RUN, pixels, blendshapes, landmarks, features:FILE.parquet
    or package.module:builder."""
    data: Path
    """A prepared folder."""
    out: Path
    """FILE.parquet to write."""
    feature: Literal["embedding", "pooled"] = "embedding"
    """The encoder's output, or its last feature map, averaged."""
    seed: int = 0
    """Seed of untrained weights."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the table."""
    parsed = parse(EmbedArguments, args=arguments, prog="duchenne embed")

    from pyarrow.parquet import read_metadata  # heavy, as the next: not needed for --help

    from duchenne.features.embed import embed

    print(f"{parsed.out}: {read_metadata(embed(**asdict(parsed))).num_rows} faces")
    return 0
