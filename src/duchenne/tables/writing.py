"""Where tables go, and writing them piece by piece (flat memory over long videos), whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path, PurePath
from typing import IO, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.config import load_json
from duchenne.data.spreadsheets import csv_text, read_csv_table
from duchenne.data.stored.parquet import read_parquet
from duchenne.errors import InputError, UsageError
from duchenne.files import replacing, write_text

SUFFIXES: Final = (".csv", ".parquet")
FOREIGN: Final = {
    ".xlsx": "Excel", ".xls": "Excel", ".ods": "LibreOffice", ".sav": "SPSS", ".mat": "MATLAB", ".rds": "R",
    ".rdata": "R", ".dta": "Stata", ".sas7bdat": "SAS",
}  # fmt: skip
"""Files of other programs, which are not written."""
REPORT_ENDING: Final = "_report.html"
"""What the page of a recording is called after its name."""
_LONGEST_NAME: Final = 200  # bytes, so that `_overlay.mp4` and a temporary ending fit into 255


class TableWriter:
    """Takes pieces of one table; all pieces have the same columns and types. Made by `table_writer`."""

    def __init__(self, temporary: Path) -> None:
        self.rows = 0
        self._schema: pa.Schema | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._binary = temporary.suffix.lower() == ".parquet"
        self._file: IO[Any] = (
            temporary.open("wb") if self._binary else temporary.open("w", encoding="utf-8", newline="")
        )

    def write(self, piece: pd.DataFrame) -> None:
        """Appends the rows of `piece`."""
        if self._binary:
            table = pa.Table.from_pandas(piece, schema=self._schema, preserve_index=False)
            if self._parquet is None:
                self._schema = table.schema
                self._parquet = pq.ParquetWriter(self._file, table.schema)
            self._parquet.write_table(table)
        else:
            self._file.write(csv_text(piece, header=self.rows == 0))
        self.rows += len(piece)

    def close(self) -> None:
        """Ends the file."""
        if self._parquet is not None:
            self._parquet.close()
        self._file.close()


class _Empty(Exception):
    """Nothing was written: the file shall not appear."""


@contextmanager
def table_writer(path: Path) -> Iterator[TableWriter]:
    """A writer whose file appears as `path` when the block ends well and something was written, else not at all.

    Args:
        path: ends in `.csv` or `.parquet`.

    Raises:
        InputError: when it cannot be written; at once, before hours of work.
    """
    try:
        with replacing(path) as temporary:
            writer = TableWriter(temporary)
            try:
                yield writer
            finally:
                writer.close()
            if not writer.rows:
                raise _Empty
    except _Empty:
        pass


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table that `detect` wrote, with the types it had in memory; also where a spreadsheet saved it anew."""
    if path.suffix.lower() == ".parquet":
        return pd.DataFrame(read_parquet(path).to_pandas())
    table = read_csv_table(path).reset_index(drop=True)
    kinds = {"source": "str", "input": "str", "flag": "str", "quality": "str", "face": "Int64"}
    if "face" in table:
        kinds |= {str(name): "Int64" for name in table if re.fullmatch(r"AU\d\d_c", str(name))}
    return table.astype({name: kind for name, kind in kinds.items() if name in table})


def is_folder(output: str | Path, flag: str = "-o", suffixes: Sequence[str] = SUFFIXES) -> bool:
    """Whether an output names a folder: it ends in a slash, is one already, or has no suffix.

    Args:
        output: as the user gave it.
        flag: by which it was given.
        suffixes: that a file may have.

    Raises:
        UsageError: when it is neither a folder nor a file that can be written.
    """
    path = Path(output)
    if str(output).endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return True
    if path.suffix.lower() not in suffixes:
        hint = ""
        if path.suffix.lower() in FOREIGN:
            hint = f" {FOREIGN[path.suffix.lower()]} opens CSV; docs/other_programs.md says how."
        raise UsageError(
            f"{flag} {output}: a file ends in {' or '.join(suffixes)}, a folder in a slash; rename it.{hint}"
        )
    return False


def output_names(inputs: Sequence[Path]) -> dict[Path, str]:
    """Input -> NAME of its outputs (`NAME_aus.csv` ...): its stem, or as much of its path as tells it from the others.

    Raises:
        UsageError: when two inputs cannot be told apart so.
    """
    stems = Counter(path.stem for path in inputs)
    whole = {path: _parts(PurePath(os.path.abspath(path))) for path in inputs}
    levels = zip(*(parts[:-1] for parts in whole.values()))
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    taken: dict[str, Path] = {}
    for path, parts in whole.items():
        name = _short(path.stem if stems[path.stem] == 1 else "_".join(parts[common:]))
        if name in taken:
            raise UsageError(f"{taken[name]} and {path} would both be written to {name}_aus.csv; rename one of them.")
        taken[name] = path
    return {path: name for name, path in taken.items()}


def _parts(path: PurePath) -> tuple[str, ...]:
    """The parts of an absolute path, the drive among them as a word: it alone may tell two files apart."""
    drive, *inside = path.parts
    return (re.sub(r"\W+", "_", drive).strip("_"), *inside)


def _short(name: str) -> str:
    """A name that is seen in its folder; one so long that nothing could be added to it is told apart by its hash."""
    name = f"_{name}" if name.startswith((".", "~")) else name
    coded = os.fsencode(name)
    if len(coded) <= _LONGEST_NAME:
        return name
    return f"{coded[:_LONGEST_NAME].decode(errors='ignore')}_{hashlib.sha256(coded).hexdigest()[:8]}"


def write_record(table: Path, record: dict[str, Any]) -> None:
    """Writes what a reader must know of `table` as JSON beside it, with the table's size, so that both belong together.

    The record is written last: a table without one, or of another size, was interrupted.
    """
    write_text(record_path(table), json.dumps({**record, "bytes": table.stat().st_size}, indent=2) + "\n")


def check_record(table: Path) -> None:
    """Makes sure that the record of a table would replace nothing but an earlier record.

    Raises:
        UsageError: when a file of its name is something else.
    """
    path = record_path(table)
    if not path.exists():
        return
    try:
        known = "duchenne" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise UsageError(f"{table}: its settings would be written to {path}, which is something else; rename one.")


def read_record(table: Path) -> dict[str, Any] | None:
    """The record of a whole table; None where there is none or it belongs to another one."""
    try:
        record = load_json(record_path(table))
        whole = isinstance(record, dict) and record.get("bytes") == table.stat().st_size
    except (OSError, InputError):
        return None
    return record if whole else None


def record_path(table: Path) -> Path:
    """`NAME.json` beside `NAME.csv` or `NAME.parquet`."""
    return table.with_suffix(".json")


def source_stamp(path: Path) -> dict[str, int]:
    """Size and time of change of an input, by which a changed one is known.

    Raises:
        InputError: when it is gone.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from error
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns}
