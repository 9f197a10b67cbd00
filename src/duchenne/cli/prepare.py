"""`duchenne prepare`: the faces of videos or of a data set, found, aligned and stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(kw_only=True)
class PrepareArguments:
    """Finds, follows, aligns and stores the faces of videos or of a data set; run again, it goes on where it stopped.

    Inputs that cannot be read are listed with their reasons in OUT/failures.csv; the rest is complete.
    """

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """a reader's name: `videos` (every video in a folder)"""
    root: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the data"""
    out: Annotated[Path, tyro.conf.arg(metavar="PREPARED")]
    """folder to write"""
    workers: int = 0
    """processes, 0 for one per core; any number writes the same bytes"""
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 256
    """side of the crops in pixels"""
    min_face: Annotated[float, tyro.conf.arg(metavar="PX")] = 32
    """faces narrower than this many pixels are counted and not kept"""
    name: str | None = None
    """name of the data set (that of the folder by default)"""
    licence: str = "not stated"
    """licence of the data; it travels into checkpoints and model cards"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne prepare`; returns its exit status."""
    given = tyro.cli(PrepareArguments, prog="duchenne prepare", args=arguments)
    from duchenne.faces.prepare import prepare

    done = prepare(
        given.dataset,
        root=given.root,
        out=given.out,
        workers=given.workers,
        size_px=given.size,
        min_face=given.min_face,
        name=given.name,
        licence=given.licence,
        quiet=given.quiet,
    )
    print(done)
    failures = done.counts["failures"]
    if failures:
        what = "1 file failed" if failures == 1 else f"{failures} files failed"
        print(f"duchenne prepare: {what}; {done.out / 'failures.csv'} says why.", file=sys.stderr)
    return 1 if failures else 0
