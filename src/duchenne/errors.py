"""The errors that a user can cause; the command line turns each into one sentence and an exit status."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from typing import Final

TRAINING: Final = ("torch", "lightning_fabric", "kornia", "sklearn", "scipy", "h5py")
"""What the extra `train` installs, by the names of its modules."""
_LONGEST: Final = 800
"""Characters of a sentence; of a longer one the middle is left out."""
_END: Final = 200
_NEAR: Final = 0.6
"""How alike a word must be to one that is known (difflib's ratio) for it to have been meant."""
_MOST_NAMED: Final = 20
_FLAG: Final = re.compile(r"(`[^`]*`)|(?<![\w./-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w/-]|\.\w)")
"""What stands between backticks, which is quoted as it is; or a flag."""
_MEMORY: Final = (
    "out of memory", "not enough memory", "allocate memory", "insufficient memory", "failed to map segment",
    "cannot map", "bad_alloc", "could not create a primitive", "allocatetensors()",
)  # fmt: skip
"""The last two are oneDNN's and MediaPipe's."""
_THREADS: Final = ("start new thread", "resource temporarily unavailable")
_FILES: Final = ("too many open files",)


class DuchenneError(Exception):
    """Something that the user can correct: the message says what was wrong, where, and what to do.

    Messages are written with fields as flags (`--label-share`), and the command line prints them so. Whoever calls from
    Python has no flags, and reads the names of the fields (`label_share`).

    Attributes:
        exit_status: 1 where an input failed, 2 where the command was used wrongly.
    """

    exit_status = 2

    def __str__(self) -> str:
        """The sentence, with fields by their names in Python."""
        return _FLAG.sub(lambda found: found[1] or _field(found[2]), self.on_command_line())

    def on_command_line(self) -> str:
        """The sentence, with fields as flags: one line of moderate length, whatever a file had in a cell it quotes."""
        text = " ".join(super().__str__().splitlines())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END]} ... {text[-_END:]}"


def _field(flag: str) -> str:
    name = flag.replace("-", "_")
    return f"{name[3:]}=False" if name.startswith("no_") else name


class UsageError(DuchenneError):
    """A wrong argument, configuration key or combination of both (exit status 2)."""

    exit_status = 2


class InputError(DuchenneError):
    """A file or folder that cannot be read or does not hold what is needed (exit status 1)."""

    exit_status = 1


class OutputError(InputError):
    """What a command says cannot be written: its standard output is full (exit status 1)."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a mistyped one must have meant; None where none is like it."""
    import difflib  # only where something went wrong

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)), None)


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """The end of a sentence about an unknown word: which was meant, or where none is like it which there are.

    Args:
        word: as it was given.
        known: those that there are.
        otherwise: what to say in place of the list.
    """
    known = list(known)
    found = nearest(word, known)
    if found is not None:
        return f"did you mean `{found}`?"
    if not known:
        return "there are none."
    more = " ..." if len(known) > _MOST_NAMED else "."
    return otherwise if otherwise is not None else f"there are {', '.join(known[:_MOST_NAMED])}{more}"


def lacks_training(error: Exception, asked: str = "it") -> UsageError | None:
    """What to say where a package is missing because the extra `train` was not installed; None where it is another.

    Args:
        error: of the import.
        asked: the function that was called.
    """
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package not in TRAINING:
        return None
    return UsageError(f'{asked} needs {package}, which is not installed; pip install "duchenne[train]".')


def starved(error: BaseException) -> InputError | None:
    """The sentence on what ran out; None for any other error.

    Libraries say it in many ways: `MemoryError`, `OSError`, an `ImportError` where a library did not fit any more, and
    the errors of torch and OpenCV, which are told by their words alone.
    """
    words = str(error).lower()
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or code == errno.ENOMEM or any(said in words for said in _MEMORY):
        return InputError(
            "there is not enough memory for this; close other programs, raise the limit (`ulimit -v`), or ask for less "
            "at a time (--batch-size, --workers)."
        )
    if code in (errno.EMFILE, errno.ENFILE) or any(said in words for said in _FILES):
        return InputError("too many files are open; raise the limit (`ulimit -n 1024`), or use fewer --workers.")
    if code == errno.EAGAIN or any(said in words for said in _THREADS):
        return InputError(
            "no more threads can be started; raise the limit (`ulimit -u`, or `ulimit -v`), or use fewer --workers."
        )
    return None
