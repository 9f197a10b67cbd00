"""Reading users' tables cell by cell: text with comma, semicolon or tab in any usual encoding, or Excel's .xlsx."""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS
from duchenne.files import check_file, read_bytes
from duchenne.plain import as_written

LETTERS: Final = {letter: float(value) for value, letter in enumerate("ABCDE", start=1)}
"""FACS intensity letters, A (trace) to E (maximum), as numbers."""
NOT_CODED: Final = frozenset(
    ["", "NA", "na", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "NAN", "NULL", "null", "None", ".", "?", "-"]
    + [f"{number}{end}" for number in (9, 99, 999, -1, -9, -99, -999) for end in ("", ".0")]
)
"""What stands where an action unit could not be coded or was not looked for: empty cells, words and marks of R, pandas,
SPSS and spreadsheets, and the numbers 9, 99, 999, -1, -9, -99, -999, which are no occurrence and no intensity."""
MOST_WHOLE: Final = 2**53 - 1
"""Cells are read as floats, which tell whole numbers from their neighbours up to this one."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_AU_COLUMN: Final = re.compile(r"au0?(\d{1,2})(_i)?", re.IGNORECASE)
_LIKE_AU: Final = re.compile(r"(?:^|[^a-z]|\b[lr])au[ _.-]?0*(\d{1,2})(?!\d)(.*)", re.IGNORECASE)
_LINE_END: Final = re.compile(r"\r\n?|\n")
_NUMBER: Final = re.compile(r"\s*[+-]?\d+([.,]\d*)?\s*")
_LONG: Final = re.compile(r"`([^`]{60})[^`]+`")
_LARGEST_SHEET: Final = 1 << 28
_MOST_CELLS: Final = 20_000_000
_SAMPLE_LINES: Final = 200


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
        short = _LONG.sub(r"`\1 ...`", " ".join(what.split()))
        return InputError(f"{self.path}, row {self.number}, {column}: {short}")

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
        """The value as a whole number from 0 to `MOST_WHOLE`, None where empty."""
        value = self.number_of(column, low=0)
        if value is not None and (value != int(value) or value > MOST_WHOLE):
            raise self.error(column, f"{self.get(column)} is not a whole number up to {MOST_WHOLE}; correct it.")
        return None if value is None else int(value)

    def intensity_of(self, column: str) -> float | None:
        """An intensity 0 to 5 or A to E, None where it was not coded (`NOT_CODED`)."""
        text = self.get(column)
        if text in NOT_CODED:
            return None
        letter = LETTERS.get(text.upper())
        return letter if letter is not None else self.number_of(column, low=0, high=5)

    def occurrence_of(self, column: str) -> int | None:
        """0 or 1, None where it was not coded (`NOT_CODED`)."""
        text = self.get(column)
        if text in NOT_CODED:
            return None
        if text not in ("0", "1", "0.0", "1.0"):
            raise self.error(column, f"`{text}` is not 0 or 1; correct it, or leave unknown values empty.")
        return int(float(text))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 (with mark) or, failing these, Windows-1252.

    Raises:
        InputError: when it cannot be read, is empty or is no text.
    """
    data = read_bytes(path, _LARGEST_SHEET)
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
        delimiter: between cells; by default see `delimiter_of`.

    Raises:
        InputError: when it is no table.
    """
    delimiter = delimiter or delimiter_of(text)
    try:
        quoting = quoting_of(text, delimiter)
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting):
            yield [_bare(cell) if quoting == csv.QUOTE_NONE else cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{where}: is not a text table ({error}); save it as CSV.") from error


def quoting_of(text: str, delimiter: str) -> Literal[0, 3]:
    """Whether quotes hold cells together. ELAN writes `"ja` into tab-delimited text as it is: rows would be swallowed.

    Raises:
        csv.Error: when a quote swallows rows of a file in which quotes do hold cells together.
    """
    if '"' not in text:
        return csv.QUOTE_MINIMAL
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = 0
    for row in rows:
        columns = columns or len(row)
        if not any(delimiter in cell and _LINE_END.search(cell) for cell in row):
            continue
        if delimiter == "\t":
            return csv.QUOTE_NONE
        if text.count('"') % 2:
            raise csv.Error(f"a quote is opened in line {rows.line_num} or before and not closed")
        if _swallows(row, columns, delimiter):
            raise csv.Error(f"a quote that is closed in line {rows.line_num} swallows rows")
    return csv.QUOTE_MINIMAL


def _swallows(row: list[str], columns: int, delimiter: str) -> bool:
    """Whether a cell is no text of several lines, but holds rows: a line is as long as the header and has a number."""
    for place, cell in enumerate(row):
        first, *lines = (line.split(delimiter) for line in _LINE_END.split(cell))
        whole = [*([[*row[:place], *first]] if len(first) > 1 else []), *lines[:-1]] if lines else []
        if any(len(cells) == columns and any(map(_NUMBER.fullmatch, cells)) for cells in whole):
            return True
    return False


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].replace('""', '"').strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def delimiter_of(text: str) -> str:
    """Tab, semicolon or comma: the mark that cuts most lines into the same number of cells.

    Counting marks would fail where the comma is the decimal mark, or where people wrote sentences. A first line
    `sep=;`, as Excel writes, decides.
    """
    lines = [line for line in text[:1_000_000].splitlines()[:_SAMPLE_LINES] if line.strip()]
    stated = re.fullmatch(r"\ufeff?sep=(.)", lines[0].strip() if lines else "", re.IGNORECASE)
    if stated:
        return stated[1]
    best, delimiter = (0.0, 0), ","
    for mark in "\t;,":
        try:
            sizes = Counter(len(cells) for cells in csv.reader(lines, delimiter=mark))
        except csv.Error:
            continue
        size, lines_of_it = max(sizes.items(), key=lambda item: (item[0] > 1, item[1], item[0]), default=(1, 0))
        score = (lines_of_it / max(1, len(lines)), size)
        if size > 1 and score > best:
            best, delimiter = score, mark
    return delimiter


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line number (from 1) and cells of every line that holds something; of an .xlsx the one sheet that does.

    Raises:
        InputError: when the file cannot be read, or no line holds anything, or several sheets do.
    """
    sheets = read_sheets(path)
    if len(sheets) > 1:
        raise InputError(f"{path}: has {len(sheets)} sheets that hold something; keep one, or save each as CSV.")
    return sheets[0]


def read_sheets(path: Path) -> list[list[tuple[int, list[str]]]]:
    """Like `read_lines`, for every sheet of an .xlsx that holds something; text is one sheet.

    Raises:
        InputError: when the file cannot be read, or holds nothing.
    """
    if path.suffix.lower() == ".xlsx":
        sheets = [list(enumerate(cells, start=1)) for cells in workbook_cells(path)]
    else:
        text = read_text(path)
        rows = enumerate(split_cells(text, path), start=1)
        sheets = [[(number, cells) for number, cells in rows if not _is_mark(number, cells)]]
    sheets = [[(number, cells) for number, cells in sheet if any(cells)] for sheet in sheets]
    sheets = [sheet for sheet in sheets if sheet]
    if not sheets:
        raise InputError(f"{path}: is empty; name a table with a header line.")
    return sheets


def workbook_cells(path: Path, data: bytes | None = None) -> list[list[list[str]]]:
    """The cells of every sheet of an Excel file as text; times as `h:mm:ss.ffffff`.

    Args:
        path: of the file.
        data: its content, where it lies in an archive; `path` then only names it.

    Returns:
        Sheets of rows of cells; the rows of a sheet are of equal length.

    Raises:
        InputError: when it cannot be read, or unpacks to more than a spreadsheet can hold.
    """
    from openpyxl import load_workbook  # here: text tables need not wait for it

    if data is None:
        check_file(path)
    file = path if data is None else io.BytesIO(data)
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_SHEET:
                raise InputError(f"{path}: unpacks to more than {_LARGEST_SHEET >> 20} MB; save it as CSV.")
        book: Any = load_workbook(file, read_only=True, data_only=True)
        try:
            cells, sheets = 0, []
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some programs understate what a sheet holds: rows would be left out
                rows: list[list[str]] = []
                for row in sheet.iter_rows(values_only=True):  # also those that a lone cell far below makes
                    cells += len(row) + 1
                    if cells > _MOST_CELLS:
                        raise InputError(f"{path}: has more than {_MOST_CELLS:,} cells; save it as CSV.")
                    rows.append([_cell_text(cell) for cell in row])
                width = max(map(len, rows), default=0)
                if width * len(rows) > _MOST_CELLS:
                    raise InputError(f"{path}: has more than {_MOST_CELLS:,} cells; save it as CSV.")
                sheets.append([row + [""] * (width - len(row)) for row in rows])
            return sheets
        finally:
            book.close()
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check it.") from error
    except Exception as error:  # openpyxl has no common class for what it raises of damaged files
        raise InputError(f"{path}: cannot be read as a spreadsheet ({error}); save it as CSV.") from error


def read_rows(path: Path, required: tuple[str, ...] = ()) -> tuple[list[str], list[Row]]:
    """Reads a table with a header line.

    Args:
        path: of the table.
        required: columns that must be there.

    Returns:
        The header and the rows.

    Raises:
        InputError: when it cannot be read, lacks a required column, names one twice, has no rows, or one that is longer
            than the header.
    """
    (_, header), *lines = read_lines(path)
    for column in required:
        if column not in header:
            raise InputError(f"{path}: has no column `{column}` (it has {', '.join(header)}); add it.")
    check_header(header, path)
    if not lines:
        raise InputError(f"{path}: has a header but no rows; add them.")
    for number, cells in lines:
        if any(cells[len(header) :]):
            raise InputError(
                f"{path}, row {number}: has {len(cells)} cells under {len(header)} columns; correct it, or put quotes "
                "round what holds the separator."
            )
    return header, [Row(path, number, dict(zip(header, map(as_written, cells)))) for number, cells in lines]


def check_header(header: Iterable[str], where: str | Path) -> None:
    """Refuses a table, which `where` names, with two columns of one name, of which only one would be read.

    Raises:
        InputError: when two are called alike.
    """
    twice = [name for name, number in Counter(name.strip() for name in header).items() if name and number > 1]
    if twice:
        raise InputError(f"{where}: has the column `{twice[0]}` twice; remove or rename one.")


def _is_mark(number: int, cells: list[str]) -> bool:
    """Whether a line is Excel's `sep=;`."""
    return number == 1 and re.fullmatch(r"sep=.?", "".join(cells), re.IGNORECASE) is not None


def _cell_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime.timedelta):
        return f"{cell.total_seconds():.6f}"
    if isinstance(cell, datetime.datetime) and cell.year < 1901:  # Excel's day 0: a duration of over a day
        return f"{(cell - datetime.datetime(1899, 12, 31)).total_seconds():.6f}"
    if isinstance(cell, datetime.time):
        return cell.isoformat(timespec="microseconds")
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).strip()


def au_columns(path: Path, header: list[str]) -> list[tuple[str, int, bool]]:
    """(column, AU number, whether it is an intensity) for every column that is an AU, known or not.

    Raises:
        InputError: when a column names an AU and is neither `AUxx` nor `AUxx_i`, or two mean the same.
    """
    found: dict[tuple[int, bool], str] = {}
    for column in header:
        match = _AU_COLUMN.fullmatch(column)
        if match:
            key = (int(match[1]), bool(match[2]))
            if key in found:
                raise InputError(f"{path}: the columns `{found[key]}` and `{column}` mean the same; remove one.")
            found[key] = column
            continue
        like = _LIKE_AU.search(column)
        if like:
            name = f"AU{int(like[1]):02d}"
            meant = {
                "r": f"for an intensity write {name}_i", "c": f"for occurrence write {name}",
                "p": "a probability is no code", "s": "a score is no code",
            }.get(like[2].strip("_ .").lower(), f"write {name} for occurrence, {name}_i for intensity")  # fmt: skip
            raise InputError(f"{path}: the column `{column}` names an AU and cannot be read: {meant}, or remove it.")
    return [(column, au, intensity) for (au, intensity), column in found.items()]


def not_read_note(path: Path, header: list[str], known: Iterable[str]) -> list[str]:
    """A sentence that names the columns that are not read."""
    unknown = [name for name in header if name and name not in known]
    return [f"{path}: not read: {', '.join(unknown)}."] if unknown else []


def unknown_labels_note(path: Path, rows: Iterable[Row], columns: Iterable[str]) -> list[str]:
    """A sentence that counts the cells that were taken for `not coded` by a mark and not by being empty."""
    counts = Counter(row.get(column) for row in rows for column in columns if row.get(column) in NOT_CODED - {""})
    if not counts:
        return []
    listed = ", ".join(f"`{text}` {number:,} times" for text, number in sorted(counts.items()))
    return [f"{path}: taken as not coded, so as unknown: {listed}."]


def unknown_aus_note(path: Path, numbers: set[int]) -> list[str]:
    """A sentence that names the AUs that are left out because `facs.py` does not know them."""
    unknown = sorted(numbers - set(ACTION_UNITS))
    if not unknown:
        return []
    return [f"{path}: AU {', '.join(map(str, unknown))} left out (known are {', '.join(map(str, ACTION_UNITS))})."]
