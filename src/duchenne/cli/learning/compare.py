"""`duchenne compare DIR...`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


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
    numbers = [*result.items, *NUMBERS]
    shown = result.table.assign(**{name: 100 * result.table[name] for name in numbers})
    words = {name: "{:.1f}".format for name in numbers}
    print(
        shown.fillna(dict.fromkeys(set(shown) - set(numbers), "")).to_string(index=False, formatters=words, na_rep="-")
    )
    for sentence in (*result.warnings, *result.explanations):
        print(f"duchenne compare: {sentence}", file=sys.stderr)
    return 0
