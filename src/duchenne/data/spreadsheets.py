"""CSV files as programs of any country write them, read into one kind of table.

Where the comma is the decimal mark, R and Excel write semicolons between cells; spreadsheets add byte-order marks and
rows of empty cells. `duchenne.preparing.sources.tables` reads codes cell by cell; this reads tables of numbers at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

_SAMPLE_BYTES: Final = 65_536


def read_csv_table(path: Path, dtype: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Reads a CSV file with a header line.

    Args:
        path: with comma, semicolon or tab between cells, decimal point or comma, in UTF-8, UTF-16 or Windows-1252.
        dtype: column -> type, for columns whose type must not be guessed.

    Returns:
        The table without rows that hold nothing. Its index counts the rows of the file from 0, so that a spreadsheet
        calls row `i` row `i + 2`.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no table.
    """
    with path.open("rb") as file:
        start = file.read(_SAMPLE_BYTES)
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return _read(path, start, encoding, dtype)
    except UnicodeDecodeError:
        return _read(path, start, "cp1252", dtype)


def _read(path: Path, start: bytes, encoding: str, dtype: Mapping[str, str] | None) -> pd.DataFrame:
    separator, decimal = _marks(start.decode(encoding, errors="replace"))
    table = pd.read_csv(
        path, sep=separator, decimal=decimal, encoding=encoding, dtype=dict(dtype or {}),
        skipinitialspace=True, skip_blank_lines=False,
    )  # fmt: skip
    return table.dropna(how="all")


def _marks(sample: str) -> tuple[str, str]:
    """The mark between cells (by the header line) and the decimal mark (by cells that are numbers)."""
    header = sample.partition("\n")[0]
    separator = max("\t;,", key=lambda mark: (header.count(mark), mark == ","))
    edge = re.escape(separator)
    comma = rf'(?:^|{edge})\s*"?-?\d+,\d+(?:[eE][-+]?\d+)?"?\s*(?:{edge}|$)'
    return separator, "," if separator != "," and re.search(comma, sample, re.MULTILINE) else "."
