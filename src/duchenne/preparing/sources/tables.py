"""Reading users' tables: comma, semicolon or tab; UTF-8 or what spreadsheets write; every value with its row number."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS

LETTERS: Final = {letter: float(value) for value, letter in enumerate("ABCDE", start=1)}
"""FACS intensity letters, A (trace) to E (maximum), as numbers."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_AU_COLUMN: Final = re.compile(r"au0?(\d{1,2})(_i)?", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row of a table; values are stripped text, empty where nothing stands."""

    path: Path
    number: int
    values: dict[str, str]

    def get(self, column: str) -> str:
        """The value of a column, empty where there is none."""
        return self.values.get(column, "")

    def error(self, column: str, what: str) -> InputError:
        """An error that names the file, the row and the column."""
        return InputError(f"{self.path}, row {self.number}, {column}: {what}")

    def number_of(self, column: str, *, low: float = -math.inf, high: float = math.inf) -> float | None:
        """The value as a number, None where empty; raises InputError where it is none or out of range."""
        text = self.get(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            try:
                value = float(text.replace(",", "."))
            except ValueError:
                raise self.error(column, f"`{text}` is not a number; correct it.") from None
        if not (math.isfinite(value) and low <= value <= high):
            span = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise self.error(column, f"{text} is out of range ({span}); correct it, or leave unknown values empty.")
        return value

    def whole_number_of(self, column: str) -> int | None:
        """The value as a whole number from 0, None where empty."""
        value = self.number_of(column, low=0)
        if value is not None and value != int(value):
            raise self.error(column, f"{self.get(column)} is not a whole number; correct it.")
        return None if value is None else int(value)

    def intensity_of(self, column: str) -> float | None:
        """An intensity 0 to 5 or A to E, None where empty."""
        letter = LETTERS.get(self.get(column).upper())
        return letter if letter is not None else self.number_of(column, low=0, high=5)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 (with mark) or, failing these, Windows-1252.

    Raises:
        InputError: when it cannot be read, is empty or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from error
    if not data.strip():
        raise InputError(f"{path}: is empty; name a table with a header line.")
    if b"\0" in data and not data.startswith(_UTF_16):
        raise InputError(f"{path}: is not a text table; save it as CSV.")
    return decode_text(data)


def decode_text(data: bytes) -> str:
    """Text in UTF-8, UTF-16 (with mark) or, failing these, Windows-1252."""
    if data.startswith(_UTF_16):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def split_cells(text: str, where: str | Path, delimiter: str = "") -> list[list[str]]:
    """All of `cells_of`."""
    return list(cells_of(text, where, delimiter))


def cells_of(text: str, where: str | Path, delimiter: str = "") -> Iterator[list[str]]:
    """The cells of every line, stripped; none of an empty line.

    Args:
        text: of the table.
        where: its name, for errors.
        delimiter: between cells; by default comma, semicolon or tab, whichever the first line has most of.

    Raises:
        InputError: when it is no table.
    """
    first = text.partition("\n")[0]
    delimiter = delimiter or max("\t;,", key=lambda mark: (first.count(mark), mark == ","))
    try:
        for cells in csv.reader(text.splitlines(), delimiter=delimiter):
            yield [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{where}: is not a text table ({error}); save it as CSV.") from error


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line number (from 1) and cells of every line that holds something, by the separator that occurs most.

    Raises:
        InputError: when the file cannot be read, or no line holds anything.
    """
    text = read_text(path)
    sample = text[:10_000]
    delimiter = max("\t;,", key=lambda mark: (sample.count(mark), mark == ","))
    rows = split_cells(text, path, delimiter)
    lines = [(number, cells) for number, cells in enumerate(rows, start=1) if any(cells)]
    if not lines:
        raise InputError(f"{path}: is empty; name a table with a header line.")
    return lines


def read_rows(path: Path, required: tuple[str, ...] = ()) -> tuple[list[str], list[Row]]:
    """Reads a table with a header line.

    Args:
        path: of the table.
        required: columns that must be there.

    Returns:
        The header and the rows.

    Raises:
        InputError: when it cannot be read, lacks a required column, names one twice, or has no rows.
    """
    (_, header), *lines = read_lines(path)
    for column in required:
        if column not in header:
            raise InputError(f"{path}: has no column `{column}` (it has {', '.join(header)}); add it.")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: has the column `{twice}` twice; remove one.")
    if not lines:
        raise InputError(f"{path}: has a header but no rows; add them.")
    return header, [Row(path, number, dict(zip(header, cells))) for number, cells in lines]


def au_columns(header: list[str]) -> Iterator[tuple[str, int, bool]]:
    """(column, AU number, whether it is an intensity) for every column that is an AU, known or not."""
    for column in header:
        match = _AU_COLUMN.fullmatch(column)
        if match:
            yield column, int(match[1]), bool(match[2])


def unknown_aus_note(path: Path, numbers: set[int]) -> list[str]:
    """A sentence that names the AUs that are left out because `facs.py` does not know them."""
    unknown = sorted(numbers - set(ACTION_UNITS))
    if not unknown:
        return []
    return [f"{path}: AU {', '.join(map(str, unknown))} left out (known are {', '.join(map(str, ACTION_UNITS))})."]
