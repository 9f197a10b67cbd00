"""What the computer refuses a command, in one sentence: memory, files, threads; and the three streams of a process."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

from duchenne.errors import InputError

_MEMORY: Final = (
    "out of memory", "not enough memory", "allocate memory", "insufficient memory", "failed to map segment",
    "cannot map", "bad_alloc", "could not create a primitive", "allocatetensors()",
)  # fmt: skip
"""The last two are oneDNN's and MediaPipe's."""
_THREADS: Final = ("start new thread", "resource temporarily unavailable")
_FILES: Final = ("too many open files",)


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
        return InputError("no more threads can be started; raise the limit (`ulimit -u`), or use fewer --workers.")
    return None


def three_streams() -> None:
    """Gives a process whose standard streams were closed others that lead nowhere, and prints what they cannot encode.

    Otherwise the next file that is opened takes a stream's number, and what libraries tell there ends in that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
