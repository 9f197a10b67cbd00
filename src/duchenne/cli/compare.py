"""`duchenne compare DIR...`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """The models of several evaluations in one table, in percent, and what differs between the protocols."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that `duchenne evaluate` wrote."""
    metric: Literal["f1", "auc"] = "f1"
    """What is compared."""
    aggregate: Literal["mean_of_folds", "pooled"] = "mean_of_folds"
    """Folds averaged, or their predictions together."""
    out: Path | None = None
    """FILE.csv (shares of 1) or FILE.html to write the table to."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, prints the table, and warns of what differs on stderr."""
    parsed = tyro.cli(CompareArguments, args=arguments, prog="duchenne compare")

    from duchenne.evaluation.compare import compare  # heavy; not needed for --help

    result = compare(**asdict(parsed))
    numbers = result.table.columns[2:]
    shown = result.table.assign(**{name: 100 * result.table[name] for name in numbers})
    print(shown.to_string(index=False, float_format="{:.1f}".format, na_rep="-"))
    for warning in result.warnings:
        print(f"duchenne compare: {warning}", file=sys.stderr)
    return 0
