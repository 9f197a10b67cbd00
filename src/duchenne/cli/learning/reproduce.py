"""`duchenne reproduce TABLE --data PREPARED...`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print
from duchenne.reproducing.options import Options


@dataclass(frozen=True, kw_only=True)
class ReproduceArguments:
    """Makes a published table anew: prepares, pretrains, evaluates and compares as its recipes say.

    Each step is a command that is printed before it runs. Called again, it goes on where it stopped.
    """

    table: tyro.conf.Positional[str]
    """Paper and table or figure: clp/table1, emoco/gft, ksrl/figure3 ..."""
    data: tuple[Path, ...] = ()
    """Prepared folders, told apart by the reader that made them."""
    root: tuple[str, ...] = ()
    """NAME=DIR: raw data to prepare into OUT/data, where no folder of --data is of this reader."""
    out: Path = Path("reproduction")
    """Folder for everything; tables that share it share their trainings."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the commands and run nothing."""
    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    """How the steps are run."""


def main(arguments: list[str]) -> int:
    """Runs `duchenne reproduce`; returns its exit status."""
    try:
        parsed = parse(ReproduceArguments, args=arguments or ["--help"], prog="duchenne reproduce")
    except SystemExit as ended:
        if not ended.code:  # it was asked for help
            print(f"\n{_tables()}")
        if not arguments:
            return 2
        raise

    from duchenne.reproducing.job import reproduce  # heavy; not needed for --help

    stream = sys.stdout if parsed.dry_run else sys.stderr
    found = reproduce(
        parsed.table, data=parsed.data, root=parsed.root, out=parsed.out, dry_run=parsed.dry_run,
        tell=lambda line: print(line, file=stream, flush=True), **vars(parsed.options),
    )  # fmt: skip
    if found.table is not None:
        shown = ["dataset", "method", "protocol", "printed", "ours", "low", "high", "difference", "differs"]
        numbers = {name: "{:.1f}".format for name in shown[3:8]}
        text = found.table[shown].fillna({"differs": "not made"})
        print(text.to_string(index=False, formatters=numbers, na_rep="-"))
    for note in found.notes:
        print(f"duchenne reproduce: {note}", file=sys.stderr)
    if found.table is not None:
        print(found.out / "table.csv")
    return 0


def _tables() -> str:
    from duchenne.reproducing.tables import all_tables

    width = max(map(len, all_tables()))
    lines = [
        f"  {name:<{width}}  {table.title}; {len(table.made)} of {len(table.entries)} rows"
        for name, table in all_tables().items()
    ]
    return "\n".join(["tables and figures that can be made:", "", *lines, ""])
