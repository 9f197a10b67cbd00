"""Progress bars with an estimate of the time left, on stderr so that stdout stays for results."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(*, quiet: bool = False) -> Progress:
    """A progress display: description, bar, count, time spent, time left, and a free text field `note`.

    Args:
        quiet: show nothing.

    Returns:
        A `rich.progress.Progress` to use as a context manager; every task needs `note=""` when added.
        Where stderr is not a terminal nothing is drawn but a last line per task.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=sys.stderr),
        disable=quiet,
        refresh_per_second=4,
    )
