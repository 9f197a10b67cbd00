"""`duchenne pretrain METHOD --data PREPARED... --out RUN [--recipe NAME] [any field of the configuration]`."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.config import from_mapping, to_mapping
from duchenne.keywords import names_given
from duchenne.methods.registry import METHODS
from duchenne.plain import tell as print
from duchenne.plugins import plugins
from duchenne.training.config import method_run_config
from duchenne.training.recipes import load_recipe, resolved

_ASKED: Final[dict[str, Any]] = {"data": tyro.MISSING, "out": tyro.MISSING}
_UNASKED: Final[dict[str, Any]] = {"data": (), "out": Path()}
"""With --show, which trains nothing."""


@dataclass(frozen=True, kw_only=True)
class JobArguments:
    """What is asked for besides the configuration."""

    data: tuple[Path, ...]
    """Prepared folders."""
    out: Path
    """The run folder to make."""
    recipe: str | None = None
    """A shipped recipe or the path of a YAML file; flags take precedence over it."""
    exclude_fold: str | None = None
    """I/K: leave out the subjects that `evaluate --folds K` tests in its fold I, from 0; K may be a partition."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue from the last checkpoint, exactly as if never interrupted."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""
    show: tyro.conf.FlagCreatePairsOff[bool] = False
    """Train nothing; print every value of the configuration and where it comes from."""
    logger: Literal["tensorboard", "csv", "wandb", "mlflow"] | None = None
    """Keep the log for TensorBoard (RUN/tensorboard), as a CSV (RUN/csv/metrics.csv), or for Weights & Biases or MLflow
    (offline), too, and the views of the first batch as RUN/views.png."""


def main(arguments: list[str]) -> int:
    """Parses the arguments of a method's configuration and trains it; 130 where it was interrupted."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    method, words = arguments[0], arguments[1:]
    kind = method_run_config(method)
    recipe = _value_of("--recipe", words)
    values = load_recipe(recipe, method) if recipe else {}
    defaults = vars(from_mapping(kind, values, where=f"recipe {recipe}"))
    everything: Any = dataclass(frozen=True, kw_only=True)(type("Arguments", (kind, JobArguments), {}))
    parsed = parse(
        everything,
        args=words,
        prog=f"duchenne pretrain {method}",
        description=kind.__doc__,
        default=everything(**(_UNASKED if "--show" in words else _ASKED), **defaults),
    )
    if parsed.show:
        given = {name: getattr(parsed, name) for name in names_given(words) if name in defaults}
        shown = resolved(method, recipe, given)
        widths = [min(24, max(len(cells[column]) for cells in shown)) for column in (0, 1)]
        for name, value, source in shown:
            print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")
        return 0

    from duchenne.modules.gather import world  # heavy; not needed for --help
    from duchenne.training.pretrain import pretrain

    job = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(JobArguments)}
    config = {name: value for name, value in to_mapping(parsed).items() if name not in job}
    del job["show"]
    result = pretrain(method, **job, **config, tell=lambda note: print(note, file=sys.stderr, flush=True))
    first = world()[0] == 0  # of several processes, each of which runs this
    if not result.finished:
        said = f"duchenne pretrain: stopped at step {result.steps}, state saved; go on with --resume."
        if first:
            print(said, file=sys.stderr)
        return 130
    if first:
        print(f"{result.out}: {result.steps} steps")
    return 0


def _value_of(flag: str, words: list[str]) -> str | None:
    """The value of a flag that must be known before the others can have defaults; the last counts, as tyro has it."""
    found = None
    for place, word in enumerate(words):
        if word == flag and place + 1 < len(words):
            found = words[place + 1]
        elif word.startswith(f"{flag}="):
            found = word.split("=", 1)[1]
    return found


def _usage() -> str:
    return (
        "usage: duchenne pretrain METHOD --data PREPARED [PREPARED ...] --out RUN [--recipe NAME|FILE] [--resume]\n"
        "                         [any field of the method's configuration]\n\n"
        f"methods: {', '.join(sorted({*METHODS, *plugins('methods')}))},\n"
        "         or package.module:Name\n\n"
        "`duchenne pretrain METHOD --help` lists the fields of a method."
    )
