"""The three streams of a process, where they are closed or narrow."""

from __future__ import annotations

import os
import sys


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
