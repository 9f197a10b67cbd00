"""`duchenne prepare DATASET`: the faces of videos or of a data set, found, aligned and stored."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from duchenne.cli.parsing import parse
from duchenne.keywords import check_required, field_names, names_given
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class InputArguments:
    """What is prepared."""

    root: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the data"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PREPARED")] = None
    """folder to write; needed unless a data set is only checked"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne prepare`; returns its exit status."""
    from duchenne.preparing.arguments import check_fields, settings_class  # they know the data sets

    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    dataset, words = arguments[0], arguments[1:]
    kind = settings_class(dataset)
    named = ["size_px" if name == "size" else name for name in names_given(words)]
    check_fields(dataset, named)
    everything: Any = dataclass(frozen=True, kw_only=True)(type("Arguments", (kind, InputArguments), {}))
    if not {"-h", "--help"} & {*words}:
        check_required(everything, named, where=f"prepare {dataset}")
    parsed = parse(everything, args=words, prog=f"duchenne prepare {dataset}", description=inspect.getdoc(kind))

    from duchenne.preparing.prepare import prepare  # heavy; not needed for --help

    given = {name: getattr(parsed, name) for name in named if name in field_names(kind)}
    done = prepare(dataset, root=parsed.root, out=parsed.out, **given)
    for note in done.notes:
        print(f"duchenne prepare: {note}", file=sys.stderr)
    print(done)
    if done.out is None:
        return 1 if done.survey and done.survey.missing else 0
    failures = done.counts["failures"]
    if failures:
        what = "1 file failed" if failures == 1 else f"{failures} files failed"
        print(f"duchenne prepare: {what}; {done.out / 'failures.csv'} says why.", file=sys.stderr)
    return 1 if failures else 0


def _usage() -> str:
    from duchenne.plugins import package_of, plugins
    from duchenne.preparing.arguments import READERS

    others = {name: f"of {package_of(points[0])}" for name, points in plugins("datasets").items()}
    readers = {**others, **READERS}
    width = max(map(len, readers))
    return "\n".join(
        [
            "usage: duchenne prepare DATASET --root DIR --out PREPARED [any setting of the reader]",
            "",
            "Finds, tracks, aligns and stores faces; run again, it continues where it stopped.",
            "",
            *(f"  {name:<{width}}  {about}" for name, about in readers.items()),
            "",
            "A data set of your own: package.module:NAME.",
            "`duchenne prepare DATASET --help` lists the settings of a reader.",
        ]
    )
