"""Progress bars with an estimate of the time left, on stderr so that stdout stays for results."""

from __future__ import annotations

import sys

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
