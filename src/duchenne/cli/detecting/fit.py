"""`duchenne fit --model M --data PREPARED... --out DETECTOR`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.features.words import FACE_MODELS
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class FitArguments:
    """Trains your own detector for `detect --model DETECTOR`: a linear unit per coded action unit."""

    model: Annotated[
        str,
        tyro.conf.arg(help=f"What turns faces into features: {FACE_MODELS}. For few clips: blendshapes or landmarks."),
    ]
    data: tuple[Path, ...]
    """Prepared data with labels; every labelled face is used."""
    out: Path
    """Folder to write; an earlier detector is replaced."""
    tune: Literal["head", "all"] = "head"
    """head: linear units on the encoder as it is; all: a copy of the encoder is trained too (best on a GPU)."""
    calibration: Literal["platt", "isotonic"] = "platt"
    """How scores become probabilities: two numbers per action unit, or a curve."""
    by: Annotated[str | None, tyro.conf.arg(metavar="COLUMN|FILE.csv")] = None
    """Report figures for each group: a column of frames.parquet, or a CSV file with subject and group."""
    seed: int = 0
    """Seed of the folds and of untrained weights."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, trains, and prints one line per action unit."""
    parsed = parse(FitArguments, args=arguments, prog="duchenne fit")

    from duchenne.detectors.fit import fit  # heavy; not needed for --help

    table = fit(**asdict(parsed))
    for row in table.to_dict("records"):
        auc = "-   " if row["auc"] is None or isnan(row["auc"]) else f"{row['auc']:.2f}"
        intensity = "" if isnan(row["icc"]) else f"  intensity: ICC {row['icc']:.2f}, MAE {row['mae']:.2f}"
        print(f"{row['au']}  {row['frames']} frames, {row['present']} present  AUC {auc}  {row['why']}{intensity}")
    print(f"{parsed.out / 'model_card.md'}")
    return 0
