"""Progress bars with an estimate of the time left, on stderr so that stdout stays for results."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from duchenne.plain import as_line

_PLURALS: Final = {"person": "people"}


class _Words(ProgressColumn):
    """A task's description or a field of it as it is: names of files are no markup and no commands."""

    def __init__(self, field: str = "") -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Text:
        """The words."""
        return Text(as_line(str(task.fields.get(self._field, "") if self._field else task.description)))


def progress_bar(*, quiet: bool = False) -> Progress:
    """A progress display: description, bar, count, time spent, time left, and a free text field `note`.

    Args:
        quiet: show nothing.

    Returns:
        A `rich.progress.Progress` to use as a context manager; every task needs `note=""` when added.
        Where stderr is not a terminal nothing is drawn but a last line per task.
    """
    return Progress(
        _Words(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        _Words("note"),
        console=Console(file=sys.stderr),
        disable=quiet,
        refresh_per_second=4,
    )


def which(number: int, total: int, what: str = "file", name: str = "") -> str:
    """The note beside a bar over several inputs: `file 3 of 40: talk.mp4`; the name alone where there is only one.

    Args:
        number: of the input that is read, from 1.
        total: how many there are.
        what: one of them, in a word.
        name: of the input.
    """
    if total == 1:
        return name
    return f"{what} {min(number, total)} of {total}" + (f": {name}" if name else "")


def how_many(done: int, total: int, what: str = "file") -> str:
    """The same where several are read at once: `3 of 40 files done`; nothing where there is only one."""
    return "" if total == 1 else f"{done} of {total} {_PLURALS.get(what, f'{what}s')} done"
