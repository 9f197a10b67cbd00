"""`duchenne agree A B --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class AgreeArguments:
    """Agreement of codings of action units, frame by frame, pair by pair and all together.

    Writes agreement.csv, reliability.csv, summary.json and report.html.
    """

    tables: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="A B ...")]
    """tables of frames (ours, human codes, OpenFace's, py-feat's ...), or codes with onset and offset and exports of
    ELAN, BORIS, The Observer, Datavyu; one file is enough where several people coded in it"""
    out: Path
    """Folder to write to."""
    by: Literal["auto", "time", "frame"] = "auto"
    """How rows are joined; auto takes time where both tables have it."""
    threshold: float = 0.5
    """Probability from which an action unit counts as present."""
    intensity_from: float = 2.0
    """Intensity from which an action unit counts as present."""
    tolerance_s: float = 0.5
    """Two events match where they overlap or begin this close."""
    max_lag_s: float = 1.0
    """Largest shift that is examined."""
    step_s: float = 0.04
    """Interval between the frames that are compared where all codings are events."""


def main(arguments: list[str]) -> int:
    """Parses the arguments, compares, and prints one line per action unit."""
    parsed = vars(parse(AgreeArguments, args=arguments, prog="duchenne agree"))

    from duchenne.tables.agree import agree  # heavy; not needed for --help

    table = agree(*parsed.pop("tables"), **parsed)
    columns = [
        "first_coder",
        "second_coder",
        "au",
        "frames",
        "kappa",
        "ac1",
        "f1",
        "icc_absolute",
        "correlation",
        "auc",
    ]
    shown = table[[name for name in columns if name in table]]
    print(shown.to_string(index=False, float_format="{:.2f}".format, na_rep="-"))
    for note in table.attrs["notes"]:
        print(f"note: {note}")
    print(f"{parsed['out'] / 'report.html'}")
    return 0
