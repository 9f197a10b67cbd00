"""`duchenne reproduce`: runs the commands of a table one after another, and puts its rows beside what came out.

OUT/done.json       the commands that are done; the same call goes on with the next
OUT/data            faces prepared from --root        OUT/runs     trainings, by their recipe; tables share them
OUT/recipes         recipes of --max-steps steps, for what evaluations train in every fold
OUT/TABLE           evaluations, comparisons, and `table.csv` and `table.md`: the printed rows beside ours
"""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from duchenne.config import load_json, save_mapping
from duchenne.data.prepared import read_info
from duchenne.errors import InputError, UsageError
from duchenne.files import locked, write_text
from duchenne.keywords import from_keywords, takes
from duchenne.plain import note
from duchenne.preparing.datasets.registry import DATA_SETS
from duchenne.reproducing.options import Options
from duchenne.reproducing.plan import Data, MissingDataError, Step, plan, write_recipes
from duchenne.reproducing.result import result_table, write_result
from duchenne.reproducing.tables import find_table

if TYPE_CHECKING:
    import pandas as pd

DONE: Final = "done.json"
_STDERR: Final = 2
"""Of the process itself: what stands for it in a notebook has no number."""


@dataclass(frozen=True, repr=False)
class Reproduction:
    """What `reproduce` gives.

    Attributes:
        table: one row per printed row, see `duchenne.reproducing.result`; None where nothing was run.
        commands: that make the table, as they are written in a shell.
        notes: what keeps it from being the paper's, one sentence each, such as rows that are not made.
        out: its folder.
    """

    table: pd.DataFrame | None
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    out: Path

    def __repr__(self) -> str:
        """Short: rows and commands are counted."""
        rows = "nothing run" if self.table is None else f"{self.table['ours'].notna().sum()} of {len(self.table)} rows"
        return f"<reproduction {self.out}: {rows}, {len(self.commands)} commands>"

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        return (
            html.escape(repr(self))
            if self.table is None
            else str(self.table.to_html(index=False, na_rep="", float_format="{:.1f}".format))
        )


@takes(Options)
def reproduce(
    table: str,
    *,
    data: str | Path | Sequence[str | Path] = (),
    root: Mapping[str, str | Path] | Sequence[str] = (),
    out: str | Path = "reproduction",
    dry_run: bool = False,
    tell: Callable[[str], None] = note,
    **fields: Any,
) -> Reproduction:
    """Makes a published table anew: prepares, pretrains, evaluates and compares as its recipes say.

    Every step is a command in a process of its own, and is printed before it runs; called again, finished ones are
    passed over, and an interrupted training goes on.

    Args:
        table: `clp/table1`, `emoco/gft` ..., see `duchenne.reproducing.tables.all_tables`.
        data: prepared folders, told apart by the reader that made them.
        root: reader -> folder of the raw data (or texts `NAME=DIR`), prepared into `out/data` where no folder of
            `data` is of this reader.
        out: folder for everything; tables that share it share their trainings.
        dry_run: run nothing.
        tell: called with each command before it runs.
        **fields: those of `Options`, as `duchenne reproduce --help` lists them, with underscores.

    Raises:
        UsageError: for an unknown table, one that cannot be made, missing data, or an `out` made in another way.
        InputError: when a step fails.
    """
    wanted, out = find_table(table), Path(out)
    options = from_keywords(Options, fields, where="reproduce")
    folders = [data] if isinstance(data, str | Path) else list(data)
    roots = _roots(root)
    if options.miniature and (folders or roots):
        raise UsageError("--miniature: makes its own faces; leave --data and --root out.")
    at_hand = Data({} if options.miniature else _folders(folders), roots)
    try:
        steps = plan(wanted, at_hand, out, options)
    except MissingDataError as error:
        if not dry_run:
            raise
        steps = error.steps
    commands = tuple(str(step) for step in steps)
    if dry_run:
        for command in commands:
            tell(command)
        return Reproduction(None, commands, (wanted.left_out,) if wanted.left_out else (), out)
    with locked(out):
        for path, values in write_recipes(wanted, out, options):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_mapping(path, values)
        with _stopped_by_signals():
            _run_all(steps, out, tell)
        found, notes = result_table(wanted, steps, miniature=options.miniature)
        place = out / wanted.name.replace("/", "_")
        write_result(place, wanted, found, notes)
    return Reproduction(found, commands, notes, place)


def _run_all(steps: Sequence[Step], out: Path, tell: Callable[[str], None]) -> None:
    file = out / DONE
    done: dict[str, str] = load_json(file) if file.exists() else {}
    if not isinstance(done, dict):
        raise InputError(f"{file}: does not list commands; name another --out.")
    for step in steps:
        before = done.get(str(step.out), str(step))
        if _asked(before) != _asked(str(step)):
            raise UsageError(f"{step.out}: was made by another command (`{before}`); name another --out.")
    for step in steps:
        if str(step.out) in done and step.out.exists():
            continue
        for place in _made_from(step, done):  # what it was before is gone
            done.pop(place, None)
        write_text(file, json.dumps(done, indent=1))
        tell(str(step))
        _run(step)
        done[str(step.out)] = str(step)
        write_text(file, json.dumps(done, indent=1))


def _asked(command: str) -> str:
    """A command without what changes nothing of its results but by rounding."""
    return re.sub(r" --quiet\b| --device \S+", "", command)


def _made_from(step: Step, done: Mapping[str, str]) -> set[str]:
    """Evaluations of a training and comparisons of these, in all tables. Faces prepared anew are the same ones."""
    places, found = ([] if step.kind == "faces" else [str(step.out)]), set[str]()
    while places:
        place = places.pop()
        used = re.compile(rf"{re.escape(place)}(?![^\s+'])")  # one of several models, A+B, too
        later = [other for other, command in done.items() if other != place and used.search(command)]
        places += [other for other in later if other not in found]
        found |= {*later}
    return found


def _run(step: Step) -> None:
    """Runs a command in a process of its own; Ctrl-C reaches it once, and is waited for."""
    words = list(step.words)
    if step.kind == "training" and (step.out / "encoder.safetensors").exists():
        return  # it ended just before it could be noted
    if step.kind == "training" and (step.out / "checkpoint.pt").exists():
        words.append("--resume")
    stdout = subprocess.DEVNULL if step.kind == "comparison" else _STDERR  # ours is for the table
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "duchenne.cli.main", *words], stdout=stdout, start_new_session=True
    )
    try:
        status = process.wait()
    except KeyboardInterrupt:
        if os.name == "posix":  # elsewhere, it has received Ctrl-C itself
            process.send_signal(signal.SIGINT)
        process.wait()
        raise
    if status == 130:
        raise KeyboardInterrupt
    if status == 1 and step.kind == "faces" and (step.out / "dataset.yaml").exists():
        return  # some inputs could not be read; they are listed, and the rest is complete
    if status:
        raise InputError(
            f"`{step}` ended with status {status}; see what it said above, and run the same command again."
        )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM stops it as Ctrl-C does, so that no training goes on by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _folders(folders: Sequence[str | Path]) -> dict[Path, tuple[str, Mapping[str, Any]]]:
    found: dict[Path, tuple[str, Mapping[str, Any]]] = {}
    for folder in folders:
        info = read_info(folder)
        reader = str(info.settings.get("reader", info.name))
        found[Path(folder)] = (reader if reader not in ("videos", "table") else info.name, info.settings)
    return found


def _roots(root: Mapping[str, str | Path] | Sequence[str]) -> dict[str, Path]:
    pairs = root.items() if isinstance(root, Mapping) else (text.partition("=")[::2] for text in root)
    found = {name: Path(folder) for name, folder in pairs}
    for name, folder in found.items():
        if name not in DATA_SETS or str(folder) in ("", "."):
            raise UsageError(f"--root {name}: write NAME=DIR, with one of {', '.join(DATA_SETS)}.")
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; check --root {name}.")
    return found
