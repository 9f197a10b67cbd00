"""Tables of numbers as programs of any country write them, read at once into one kind of table.

Where the comma is the decimal mark, R and Excel write semicolons between cells; spreadsheets add byte-order marks, rows
of empty cells, and an apostrophe before what they would calculate. `data.cells` reads codes cell by cell.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.cells import NOT_CODED, check_header, delimiter_of, quoting_of, workbook_cells
from duchenne.files import check_file, shown_name
from duchenne.plain import as_cell, as_written

_SAMPLE_BYTES: Final = 65_536
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
TEXT: Final = ("source", "input", "filename", "name", "subject", "group", "trial", "coder", "flag", "quality")
"""Columns of names: `NA`, `null` or `007` in them are what they say."""
_COMMA: Final = re.compile(r"^([+-]?\d+),(\d+)$")
_EMPTY: Final = tuple(sorted(NOT_CODED - {f"{n}{end}" for n in (9, 99, 999, -1, -9, -99, -999) for end in ("", ".0")}))


def read_csv_table(path: Path, dtype: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Reads a CSV file, or the sheet of an .xlsx, with a header line.

    Args:
        path: with comma, semicolon or tab between cells, decimal point or comma, in UTF-8, UTF-16 or Windows-1252.
        dtype: column -> type, for columns whose type must not be guessed.

    Returns:
        The table without rows that hold nothing. Its index counts the rows of the file from 0, so that a spreadsheet
        calls row `i` row `i + 2`.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no table, or a row is longer than the header.
        InputError: when it is a pipe, a device or a folder, an .xlsx that cannot be read, or a column stands in it
            twice.
    """
    if path.exists():
        check_file(path)
    if path.suffix.lower() == ".xlsx":
        return _of_workbook(path, dtype)
    data = path.read_bytes()
    if b"\0" in data and not data.startswith(_UTF_16):
        raise ValueError("it is no text; save it as CSV")
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
    return _read(path, data, encoding, dtype)


def as_numbers(column: pd.Series[float], where: str) -> NDArray[np.float64]:
    """The values of a column as numbers, NaN where empty or not coded.

    Args:
        column: its index counts the rows as `read_csv_table` does.
        where: what to call it.

    Raises:
        ValueError: in one sentence, with the row, when a value is no number.
    """
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    text = column.astype("object").map(
        lambda cell: _COMMA.sub(r"\1.\2", cell.strip()) if isinstance(cell, str) else cell
    )
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    strange = np.isnan(numbers) & text.notna().to_numpy() & ~text.isin(_EMPTY).to_numpy()
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise ValueError(f"{where}, row {column.index[row] + 2}: {column.iloc[row]!r} is no number")
    return np.asarray(numbers, dtype=np.float64)


def plain_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table with names that a spreadsheet would calculate as text, see `duchenne.plain.as_cell`."""
    named = {name: table[name].map(_as_cell) for name in table if not pd.api.types.is_numeric_dtype(table[name])}
    return table.assign(**{str(name): column for name, column in named.items()}) if named else table


def csv_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """The table as CSV, to be read back unchanged by `read_csv_table`; with `header` its first line, too."""
    table = plain_cells(table)
    odd = any(table[name].map(_needs_quotes).any() for name in table if not pd.api.types.is_numeric_dtype(table[name]))
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL
    return str(table.to_csv(index=False, header=header, lineterminator="\n", quoting=quoting))


def _needs_quotes(cell: Any) -> bool:
    """Whether a name is one that only quotes keep: `csv` does without before a line end of old Macs, and blanks."""
    return isinstance(cell, str) and ("\r" in cell or cell.startswith(" "))


def _as_cell(cell: Any) -> Any:
    return as_cell(shown_name(cell)) if isinstance(cell, str) else cell


def _read(path: Path, data: bytes, encoding: str, dtype: Mapping[str, str] | None) -> pd.DataFrame:
    sample = data[:_SAMPLE_BYTES].decode(encoding, errors="replace")
    stated = re.match(r"sep=(.)(\r\n?|\n)", sample, re.IGNORECASE)
    body = sample[stated.end() :] if stated else sample
    separator = delimiter_of(sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample)
    try:
        if b'"' in data and quoting_of(data.decode(encoding), separator) == csv.QUOTE_NONE:
            raise ValueError("a quote swallows rows; remove it")
        # Excel for the Mac ends lines by "\r" alone.
        rows = list(islice(csv.reader(io.StringIO(body, newline=""), delimiter=separator, skipinitialspace=True), 2))
    except csv.Error as error:
        raise ValueError(f"{error}; correct it") from error
    check_header(rows[0] if rows else [], path)
    edge = re.escape(separator)
    comma = rf'(?:^|{edge})\s*"?-?\d+,\d+(?:[eE][-+]?\d+)?"?\s*(?:{edge}|$)'
    decimal = "," if separator != "," and re.search(comma, body.replace("\r", "\n"), re.MULTILINE) else "."
    options: dict[str, Any] = {
        "sep": separator, "decimal": decimal, "encoding": encoding, "skiprows": 1 if stated else 0,
        "skipinitialspace": True, "keep_default_na": False,
    }  # fmt: skip
    header = list(map(str, pd.read_csv(io.BytesIO(data), nrows=0, index_col=False, **options).columns))
    empty = {name: ("",) if name.strip() in TEXT else _EMPTY for name in header}
    types = {name: "str" for name in header if name.strip() in TEXT} | dict(dtype or {})
    # Where the first row is longer than the header, pandas would take what is too much for names and shift the rest.
    extra = [row[len(header) :] for row in rows[1:]]
    if any(any(cells) for cells in extra):
        raise ValueError(f"row 2 has more cells than the {len(header)} columns; correct it")
    if any(extra):
        options["usecols"] = range(len(header))
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                io.BytesIO(data), dtype=types, na_values=empty, skip_blank_lines=False, index_col=False, **options
            )
        except pd.errors.ParserWarning as error:
            raise ValueError(f"a row has more cells than the {len(header)} columns; correct it") from error
    if stated:
        table.index = table.index + 1
    return written_cells(table).dropna(how="all")


def _of_workbook(path: Path, dtype: Mapping[str, str] | None) -> pd.DataFrame:
    sheets = [cells for cells in workbook_cells(path) if any(any(row) for row in cells)]
    if len(sheets) != 1:
        raise ValueError(f"it has {len(sheets)} sheets that hold something; keep one")
    header, *rows = sheets[0]
    end = max((number + 1 for number, name in enumerate(header) if name), default=0)
    header = header[:end]  # the cells beyond it are empty, or what a format reaches to
    if any(any(row[end:]) for row in rows):
        raise ValueError(f"a row has more cells than the {end} columns; correct it")
    check_header(header, path)
    named = [number for number, name in enumerate(header) if name]
    table = pd.DataFrame({header[number]: [row[number] for row in rows] for number in named}, dtype="object")
    for name in map(str, table):
        text = table[name].where(table[name] != "")
        if name.strip() not in TEXT and name not in (dtype or {}):
            numbers = pd.to_numeric(text, errors="coerce")
            text = numbers if (numbers.notna() == text.notna()).all() else text.where(~text.isin(_EMPTY))
        table[name] = text
    types = {name: kind for name, kind in (dtype or {}).items() if name in table}
    return written_cells(table.astype(types)).dropna(how="all")


def written_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Undoes `plain_cells`: without the apostrophes that keep spreadsheets from calculating names."""
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]) and table[name].map(lambda cell: str(cell)[:1] == "'").any():
            table[name] = table[name].map(as_written, na_action="ignore")
    return table
