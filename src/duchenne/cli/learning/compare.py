"""`duchenne compare DIR...`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print

_NARROWEST = 80
"""Columns of the terminal that a table is broken for at the least."""


@dataclass(frozen=True, kw_only=True)
class CompareArguments:
    """The models of several evaluations in one table, in percent, together with the papers' printed results.

    Reports how the protocols differ, which printed rows are not comparable, and why.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders that `duchenne evaluate` wrote."""
    published: tuple[str, ...] = ()
    """Data sets whose printed rows to add: bp4d, disfa, gft, emotionet, affectnet, raf-db."""
    ablations: tyro.conf.FlagCreatePairsOff[bool] = False
    """Add the papers' ablations on these data sets too, each with the recipe that trains it."""
    metric: Literal["f1", "auc", "recall"] = "f1"
    """What is compared; recall of an emotion is what papers call its accuracy."""
    aggregate: Literal["mean_of_folds", "pooled"] = "mean_of_folds"
    """The mean over folds, or all folds' predictions together."""
    out: Path | None = None
    """FILE.csv (shares of 1), FILE.html or FILE.md to write the table to, or a folder for all three."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, prints the table, and says what differs on stderr."""
    parsed = parse(CompareArguments, args=arguments, prog="duchenne compare")

    from duchenne.evaluation.comparing.compare import NUMBERS, compare  # heavy; not needed for --help

    result = compare(**asdict(parsed))
    numbers = [*NUMBERS, *result.items]
    names = [name for name in result.table if name not in numbers]
    shown = result.table[[*names[:2], *numbers, *names[2:]]]  # what the rows are, what they reach, what is to know
    shown = shown.assign(**{name: 100 * shown[name] for name in numbers}).fillna(dict.fromkeys(names, ""))
    width = max(_NARROWEST, shutil.get_terminal_size().columns)
    print(
        shown.to_string(
            index=False, formatters={name: "{:.1f}".format for name in numbers}, na_rep="-", line_width=width,
        )
    )  # fmt: skip
    for sentence in (*result.warnings, *result.explanations):
        print(f"duchenne compare: {sentence}", file=sys.stderr)
    return 0
