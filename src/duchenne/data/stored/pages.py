"""How large the pages of a Parquet file are said to be, looked at before Arrow takes memory for them.

Arrow allocates what the header of a page states, twice up to 2 GiB for each column that it reads at the time, whatever
the file holds. Headers are structs in Thrift's compact protocol, see `PageHeader` in the format's parquet.thrift.
"""

from __future__ import annotations

from typing import IO, Final

import pyarrow.parquet as pq

_LARGE: Final = 2**26
"""Bytes that a page may always unpack to; usual ones have one MiB."""
_MOST: Final = 1032
"""How much smaller gzip can make anything; of the other packers, which may do better, pages are small."""
_WINDOW: Final = 2**12
_LONGEST: Final = 2**24
"""Bytes of a header, with the least and the most of a column in it; Arrow reads no longer ones."""
_DEEPEST: Final = 8
_UNPACKED, _PACKED = 2, 3
"""Fields of a header."""
_BINARY, _LIST, _SET, _MAP, _STRUCT = 8, 9, 10, 11, 12
_BYTES: Final = {1: 0, 2: 0, 3: 1, 7: 8}
"""Length of what a type has: true and false (in the header of their field), a byte, a double."""
_NUMBERS: Final = (4, 5, 6)


def check_pages(file: pq.ParquetFile, content: IO[bytes]) -> None:
    """Refuses a page that is said to be longer than the rest of the file, or to unpack to far more than it can hold.

    Headers that cannot be read are Arrow's to refuse.

    Raises:
        ValueError: in a few words.
    """
    metadata, size = file.metadata, content.seek(0, 2)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            places = column.dictionary_page_offset, column.data_page_offset
            place = min(one for one in places if one is not None)
            stop = min(size, place + column.total_compressed_size)
            while 0 <= place < stop:
                found = _header(content, place)
                if found is None:
                    break
                place, packed, unpacked = place + found[0], found[_PACKED], found[_UNPACKED]
                if not 0 <= packed <= size - place:
                    raise ValueError(f"a page is said to have {packed} bytes, where {max(0, size - place)} follow")
                if unpacked > max(_LARGE, _MOST * packed):
                    raise ValueError(f"a page of {packed} bytes is said to hold {unpacked}")
                place += packed


def _header(content: IO[bytes], place: int) -> dict[int, int] | None:
    """The numbers of a header by their fields, and at 0 its length; None where there is none."""
    window = _WINDOW
    while window <= _LONGEST:
        content.seek(place)
        data = content.read(window)
        fields: dict[int, int] = {}
        try:
            fields[0] = _struct(data, 0, fields)
        except IndexError:  # it goes on behind the window
            if len(data) < window:
                return None
            window *= 16
            continue
        except (ValueError, KeyError):
            return None
        return fields if _UNPACKED in fields and _PACKED in fields else None
    return None


def _struct(data: bytes, place: int, fields: dict[int, int] | None = None, depth: int = 0) -> int:
    """Passes over a struct, and keeps its numbers; gives the place behind it."""
    if depth > _DEEPEST:
        raise ValueError
    field = 0
    while data[place]:
        kind, step = data[place] & 15, data[place] >> 4
        place += 1
        if step:
            field += step
        else:
            value, place = _varint(data, place)
            field = _signed(value)
        if kind in _NUMBERS and fields is not None:
            fields[field] = _signed(_varint(data, place)[0])
        place = _value(data, place, kind, depth)
    return place + 1


def _value(data: bytes, place: int, kind: int, depth: int) -> int:
    """Passes over a value."""
    if kind == _STRUCT:
        return _struct(data, place, None, depth + 1)
    if kind in _NUMBERS:
        return _varint(data, place)[1]
    if kind == _BINARY:
        size, place = _varint(data, place)
        return place + size
    if kind in (_LIST, _SET):
        size, own = data[place] >> 4, data[place] & 15
        place += 1
        if size == 15:
            size, place = _varint(data, place)
        return _many(data, place, [own] * min(size, len(data)), depth)
    if kind == _MAP:
        size, place = _varint(data, place)
        kinds = [data[place] >> 4, data[place] & 15] if size else []
        return _many(data, place + bool(size), kinds * min(size, len(data)), depth)
    return place + _BYTES[kind]


def _many(data: bytes, place: int, kinds: list[int], depth: int) -> int:
    for kind in kinds:
        place = place + 1 if kind in (1, 2) else _value(data, place, kind, depth)
        data[place - 1]  # so many are not there: an IndexError
    return place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError


def _signed(value: int) -> int:
    """Undoes the zigzag."""
    return (value >> 1) ^ -(value & 1)
