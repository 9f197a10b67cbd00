"""`duchenne evaluate PROTOCOL --model M... --data PREPARED... --out DIR [any field of the protocol]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from duchenne.evaluation.protocols.registry import PROTOCOLS, check_fields, find_protocol
from duchenne.features.words import ALL_MODELS
from duchenne.keywords import check_required, names_given
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class InputArguments:
    """What is evaluated."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(help=f"One or several: {ALL_MODELS}.")] = ()
    data: tuple[Path, ...]
    """Prepared data with labels."""
    out: Path
    """Folder to write to."""


def main(arguments: list[str]) -> int:
    """Parses the arguments of a protocol, evaluates, and prints one line per model."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    import tyro  # not needed for what is shown without a protocol

    from duchenne.cli.parsing import parse

    name, words = arguments[0], arguments[1:]
    entry = find_protocol(name)
    named = names_given(words)
    check_fields(name, named)
    everything: Any = dataclass(frozen=True, kw_only=True)(type("Arguments", (entry.arguments, InputArguments), {}))
    if not {"-h", "--help"} & {*words}:
        check_required(everything, named, where=f"evaluate {name}")
    parsed = parse(
        everything,
        args=words,
        prog=f"duchenne evaluate {name}",
        description=entry.arguments.__doc__,
        config=(tyro.conf.FlagCreatePairsOff,),
    )

    from duchenne.evaluation.evaluate import evaluate, open_protocol  # heavy; not needed for --help

    given = {field: getattr(parsed, field) for field in named if field in entry.fields}
    table = evaluate(name, model=parsed.model, data=parsed.data, out=parsed.out, **given)
    for line in open_protocol(name, given, models=len(parsed.model)).lines(table, parsed.out):
        print(line)
    return 0


def _usage() -> str:
    width = max(map(len, PROTOCOLS))
    lines = [f"  {name:<{width}}  {entry.about}" for name, entry in PROTOCOLS.items()]
    return "\n".join(
        [
            "usage: duchenne evaluate PROTOCOL --model M [M ...] --data PREPARED [PREPARED ...] --out DIR",
            "                         [any field of the protocol]",
            "",
            "Scores representations under one protocol: scores.csv, summary.json, folds.csv and report.html.",
            "",
            *lines,
            "",
            "`duchenne evaluate PROTOCOL --help` lists the fields of a protocol.",
        ]
    )
