"""Reading a Parquet file that anybody may have written: in one sentence where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from duchenne.errors import InputError
from duchenne.files import check_file

BROKEN: Final = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError)
"""What pyarrow raises on files that are damaged."""


def read_parquet(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pa.Table:
    """The table, or those of its columns that are wanted; checksums of pages are checked where the file has them.

    Raises:
        InputError: when the file is missing, no regular file, or damaged.
    """
    if not path.exists():
        raise broken(path, FileNotFoundError("there is no such file"))
    check_file(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = [name for name in file.schema_arrow.names if wanted(name)]
            if len(set(columns)) < len(columns):
                raise ValueError("a column occurs twice")
            return file.read(columns=columns)
    except BROKEN as error:
        raise broken(path, error) from error


def broken(path: Path, error: Exception) -> InputError:
    """The sentence for a file that pyarrow refused."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return InputError(f"{path}: cannot be read ({reason}); make it again.")
