"""The errors that a user can cause; the command line turns each into one sentence and an exit status.

A message names an argument as its flag, `--size-px`, which nothing else looks like. Python has no flags and shows the
argument's name, `size_px`; within `flags_in_messages`, as on the command line, the flag is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LONGEST: Final = 800
"""Characters of a sentence; of a longer one the middle is left out."""
_END: Final = 200
_COMMAND_OR_FLAG: Final = re.compile(r"`[^`]*`|(?<![\w./-])--(no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w-]|\.\w)")
_shows_flags = False


@contextmanager
def flags_in_messages(shown: bool = True) -> Iterator[None]:
    """Within it, messages name arguments as on the command line, in this process and all of its threads.

    Args:
        shown: False for names, as outside of it.
    """
    global _shows_flags
    before, _shows_flags = _shows_flags, shown
    try:
        yield
    finally:
        _shows_flags = before


def _name(found: re.Match[str]) -> str:
    """`--no-detect` -> `detect=False`; whole commands, in backticks, stay as they are."""
    if not found[2]:
        return found[0]
    return f"`{found[2].replace('-', '_')}{'=False' if found[1] else ''}`"


class DuchenneError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do.

    Attributes:
        exit_status: 1 where an input failed, 2 where the command was used wrongly.
    """

    exit_status = 2

    def __str__(self) -> str:
        """The sentence, in one line of moderate length whatever a file had in the cell that it quotes."""
        text = " ".join(super().__str__().splitlines())
        if not _shows_flags:
            text = _COMMAND_OR_FLAG.sub(_name, text)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END]} ... {text[-_END:]}"


class UsageError(DuchenneError):
    """A wrong argument, configuration key or combination of both (exit status 2)."""

    exit_status = 2


class InputError(DuchenneError):
    """A file or folder that cannot be read or does not hold what is needed (exit status 1)."""

    exit_status = 1
