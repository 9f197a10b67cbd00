"""`duchenne embed --model M --data PREPARED --out FILE.parquet`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.features.words import ALL_MODELS
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class EmbedArguments:
    """Writes the features of every prepared face: subject, clip, frame, feature."""

    model: Annotated[str, tyro.conf.arg(help=f"{ALL_MODELS}.")]
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
    scheduler: str | None = None
    """A Dask cluster that computes the features instead, tcp://HOST:PORT."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Parses the arguments and writes the table."""
    parsed = parse(EmbedArguments, args=arguments, prog="duchenne embed")

    from pyarrow.parquet import read_metadata  # heavy, as the next: not needed for --help

    from duchenne.features.embed import embed

    print(f"{parsed.out}: {read_metadata(embed(**asdict(parsed))).num_rows} faces")
    return 0
