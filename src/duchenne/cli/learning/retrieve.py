"""`duchenne retrieve --model RUN --data PREPARED --query IMAGE --out FILE.html`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.features.words import PICTURE_MODELS
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class RetrieveArguments:
    """The prepared faces nearest to those of a picture, as a page and a table."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(help=f"One or several, shown below one another: {PICTURE_MODELS}.")]
    data: Path
    """A prepared folder."""
    query: Path
    """A picture; of a video, the first frame."""
    out: Path
    """FILE.html to write; the table is written beside it as FILE.csv."""
    top: int = 5
    """Neighbours of each face, each from a different clip."""
    feature: Literal["embedding", "pooled"] = "embedding"
    """The encoder's output, or its last feature map, averaged."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, searches, and prints the table."""
    parsed = parse(RetrieveArguments, args=arguments, prog="duchenne retrieve")

    from duchenne.features.retrieve import retrieve  # heavy; not needed for --help

    table = retrieve(**asdict(parsed))
    print(table[["model", "face", "rank", "cosine", "subject", "clip", "frame"]].to_string(index=False))
    print(f"{parsed.out}")
    return 0
