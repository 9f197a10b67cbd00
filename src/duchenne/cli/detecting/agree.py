"""`duchenne agree A B --out DIR`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class AgreeArguments:
    """Agreement of two tables of action units, frame by frame: agreement.csv, summary.json and report.html."""

    first: tyro.conf.Positional[Path]
    """A CSV or Parquet table: ours, human codes, OpenFace's, py-feat's; the reference where the two differ."""
    second: tyro.conf.Positional[Path]
    """Another one."""
    out: Path
    """Folder to write to."""
    by: Literal["auto", "time", "frame"] = "auto"
    """How rows are joined; auto takes time where both tables have it."""
    threshold: float = 0.5
    """From which a probability counts as present."""
    intensity_from: float = 2.0
    """From which an intensity counts as present."""
    tolerance_s: float = 0.5
    """Two events match where they overlap or begin this close."""
    max_lag_s: float = 1.0
    """The largest shift that is looked at."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, compares, and prints one line per action unit."""
    parsed = tyro.cli(AgreeArguments, args=arguments, prog="duchenne agree")

    from duchenne.tables.agree import agree  # heavy; not needed for --help

    table = agree(**asdict(parsed))
    shown = table[["au", "frames", "kappa", "ac1", "f1", "icc_absolute", "correlation", "auc"]]
    print(shown.to_string(index=False, float_format="{:.2f}".format, na_rep="-"))
    print(f"{parsed.out / 'report.html'}")
    return 0
