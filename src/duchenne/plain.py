"""Text of other people's making, where a program would take it for a command: spreadsheets, Markdown, terminals.

A cell that begins with `=`, `+`, `-` or `@` is a formula to a spreadsheet; an apostrophe before it makes it text, as in
spreadsheets themselves. Reading takes it away again, so that names come back unchanged.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Final, TextIO

from duchenne.errors import OutputError
from duchenne.files import shown_name

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>|#~&])")


def as_cell(text: str) -> str:
    """The text as the cell of a CSV file: with an apostrophe where a spreadsheet would calculate it.

    `as_written(as_cell(text)) == text` for every text.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def as_written(cell: str) -> str:
    """The text of a cell of a CSV file, without the apostrophe of `as_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def as_markdown(text: str) -> str:
    """The text as Markdown that shows it: marks escaped, in one line."""
    return _MARKDOWN.sub(r"\\\1", as_line(text).replace("\n", " ").replace("\t", " "))


def as_line(text: str) -> str:
    """The text for a terminal: control characters and marks of direction are shown as `\\x1b`, never obeyed."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), shown_name(text))


def as_code(text: str) -> str:
    """The text as a code span of Markdown, whatever marks it has."""
    shown = as_line(text).replace("\n", " ")
    fence = "`" * (1 + max((len(found) for found in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown else f"`{shown}`"


def tell(*values: object, file: TextIO | None = None, flush: bool = False) -> None:
    """Prints like `print`, with everything that a terminal would obey shown instead, and the line in one piece.

    `print` writes the end of a line apart, so that processes which share a stream (torchrun's, srun's) would break each
    other's lines where Python does not buffer.

    Raises:
        OutputError: when it cannot be written, for want of space; a reader that has gone is a BrokenPipeError.
    """
    try:
        line = " ".join(as_line(str(value)) for value in values) + "\n"
        stream = sys.stdout if file is None else file
        stream.write(line)
        if flush:
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"the output cannot be written ({error.strerror}); free some place.") from error


def note(text: str) -> None:
    """What a function says where nobody asked to be told: a line of the logger `duchenne`, at the level INFO.

    Nothing shows it unless logging is set up to.
    """
    logging.getLogger("duchenne").info(text)


def flush_output() -> None:
    """Writes out what was printed.

    Raises:
        OutputError: see `tell`.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"the output cannot be written ({error.strerror}); free some place.") from error
