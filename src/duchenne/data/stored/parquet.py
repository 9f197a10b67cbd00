"""Reading a Parquet file that anybody may have written: in one sentence where it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.data.stored.pages import check_pages
from duchenne.errors import InputError
from duchenne.files import check_file, shown_name

BROKEN: Final = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError)
"""What pyarrow raises on files that are damaged."""
_BUFFER: Final = 2**20
"""Bytes of a column that are read at a time; not a whole row group, which may be the whole file."""
_LONGEST_TEXT: Final = 10**8
_LONGEST_LIST: Final = 10**6
"""What headers may hold, as Arrow has it, which knows not how long the file is."""


def read_parquet(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pa.Table:
    """The table, or those of its columns that are wanted; checksums of pages are checked where the file has them.

    Raises:
        InputError: when the file is missing, no regular file, or damaged.
    """
    try:
        with _opened(path) as file:
            return file.read(columns=_columns(file, wanted))
    except BROKEN as error:
        raise broken(path, error) from error


def read_blocks(path: Path, wanted: Callable[[str], bool] = lambda name: True, rows: int = 2**18) -> Iterator[pa.Table]:
    """The same piece by piece, whatever the file's row groups are; the first piece has no rows.

    Args:
        path: of the file.
        wanted: which columns.
        rows: of a piece, at most.

    Raises:
        InputError: as `read_parquet`.
    """
    try:
        with _opened(path) as file:
            columns = _columns(file, wanted)
            yield file.schema_arrow.empty_table().select(columns)
            for batch in file.iter_batches(rows, columns=columns):
                yield pa.Table.from_batches([batch])
    except BROKEN as error:
        raise broken(path, error) from error


def count_rows(path: Path) -> int:
    """How many rows the file says that it has.

    Raises:
        InputError: as `read_parquet`.
    """
    try:
        with _opened(path) as file:
            return int(file.metadata.num_rows)
    except BROKEN as error:
        raise broken(path, error) from error


def _opened(path: Path) -> pq.ParquetFile:
    if not path.exists():
        raise broken(path, FileNotFoundError("there is no such file"))
    check_file(path)
    if shown_name(path) != str(path):
        raise InputError(
            f"{path}: is not a name in UTF-8, and a Parquet table, such as a prepared folder has, can be read under no "
            "other; rename it, or the folder that it is in."
        )
    size = max(1, path.stat().st_size)
    file = pq.ParquetFile(
        path, page_checksum_verification=True, buffer_size=_BUFFER, pre_buffer=False,
        thrift_string_size_limit=min(size, _LONGEST_TEXT), thrift_container_size_limit=min(size, _LONGEST_LIST),
    )  # fmt: skip
    try:
        with path.open("rb") as content:
            check_pages(file, content)
    except BaseException:
        file.close()
        raise
    return file


def _columns(file: pq.ParquetFile, wanted: Callable[[str], bool]) -> list[str]:
    names = [name for name in file.schema_arrow.names if wanted(name)]
    if len(set(names)) < len(names):
        raise ValueError("a column occurs twice")
    return names


def broken(path: Path, error: Exception) -> InputError:
    """The sentence for a file that pyarrow refused."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return InputError(f"{path}: cannot be read ({reason}); make it again.")
