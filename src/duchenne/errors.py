"""The errors that a user can cause; the command line turns each into one sentence and an exit status."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 800
"""Characters of a sentence; of a longer one the middle is left out."""
_END: Final = 200


class DuchenneError(Exception):
    """Something that the user can correct: the message says what was wrong, where, and what to do.

    Attributes:
        exit_status: 1 where an input failed, 2 where the command was used wrongly.
    """

    exit_status = 2

    def __str__(self) -> str:
        """The sentence, in one line of moderate length whatever a file had in the cell that it quotes."""
        text = " ".join(super().__str__().splitlines())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END]} ... {text[-_END:]}"


class UsageError(DuchenneError):
    """A wrong argument, configuration key or combination of both (exit status 2)."""

    exit_status = 2


class InputError(DuchenneError):
    """A file or folder that cannot be read or does not hold what is needed (exit status 1)."""

    exit_status = 1
