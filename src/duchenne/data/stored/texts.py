"""Texts of the index, one each of a subject, clip, shard or word: Arrow files that are mapped into memory."""

from __future__ import annotations

import zlib
from pathlib import Path

import pyarrow as pa

from duchenne.data.stored.columns import DamagedError
from duchenne.data.stored.parquet import BROKEN


def write_texts(path: Path, columns: dict[str, pa.Array]) -> int:
    """Writes columns of one length; gives the checksum of the file."""
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pa.memory_map(str(path)) as file:
        return zlib.crc32(file.read_buffer())


def read_texts(path: Path, seal: int) -> pa.Table:
    """The columns, as pages of the file.

    Raises:
        DamagedError: when they are not what was written.
    """
    try:
        with pa.memory_map(str(path)) as file:
            content = file.read_buffer()
            if zlib.crc32(content) != seal:
                raise DamagedError(f"{path}: has another checksum")
            return pa.ipc.open_file(content).read_all()
    except BROKEN as error:
        raise DamagedError(f"{path}: {error}") from error
