"""Pictures that phones store in tiles (HEIF grids): where the tiles go. The tiles are decoded by FFmpeg.

ISO/IEC 23008-12, 6.6.2.3 (grid), and ISO/IEC 14496-12, 8.11 (item properties and references).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.recordings.colours import Pictures, oriented
from duchenne.faces.recordings.formats import check_pixels
from duchenne.faces.recordings.streams import Reading, decoded, set_up

_MOST_BYTES: Final = 8 * 2**20  # of the description; a phone's has 4 to 40 thousand
_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"mif2")
_Box = tuple[bytes, int, int]  # kind, from, to


@dataclass(frozen=True)
class Grid:
    """How a picture is put together.

    Attributes:
        rows, columns: of tiles.
        width, height: of the picture, which the last tiles may exceed.
        tiles: numbers of the items, row by row; FFmpeg calls its streams so.
        turns: `irot` and `imir` in their order: what is done to the whole picture.
    """

    rows: int
    columns: int
    width: int
    height: int
    tiles: tuple[int, ...]
    turns: tuple[tuple[bytes, int], ...]


def is_heif(path: Path) -> bool:
    """Whether a file is a HEIF picture (HEIC, AVIF); image sequences, which are videos, say another brand."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def read_grid(path: Path) -> Grid | None:
    """The grid of a picture in tiles; None for any other file, and where the description makes no sense."""
    if not is_heif(path):
        return None
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES)
    try:
        return _grid(data)
    except (struct.error, KeyError, ValueError, IndexError):
        return None


def read_tiles(container: Any, grid: Grid, path: Path) -> NDArray[np.uint8]:
    """The picture, (H, W, 3) RGB uint8, upright.

    Args:
        container: open.
        grid: of its picture.
        path: for errors.

    Raises:
        InputError: when a tile is missing or damaged.
    """
    check_pixels(path, grid.width, grid.height)
    streams = {stream.id: stream for stream in container.streams.video}
    image: NDArray[np.uint8] | None = None
    for place, number in enumerate(grid.tiles):
        row, column = divmod(place, grid.columns)
        stream = streams.get(number)
        frames: list[Any] = []
        reading = Reading()
        if stream is not None and stream.codec_context is not None:
            set_up(stream)
            frames = list(decoded(container, stream, reading))
            container.seek(0)
        if not frames or reading.damage:
            raise InputError(f"{path}: tile {place + 1} of {len(grid.tiles)} cannot be decoded; replace it.")
        tile = Pictures(stream, path).picture(frames[0])
        height, width = tile.shape[:2]
        if height * grid.rows < grid.height or width * grid.columns < grid.width:
            raise InputError(f"{path}: its tiles do not cover its {grid.width} x {grid.height} pixels; replace it.")
        if image is None:
            image = np.zeros((grid.height, grid.width, 3), dtype=np.uint8)
        part = image[row * height : (row + 1) * height, column * width : (column + 1) * width]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    assert image is not None
    for kind, value in grid.turns:
        if kind == b"irot":  # anticlockwise quarter turns
            image = np.ascontiguousarray(np.rot90(image, value))
        else:  # about the vertical axis (1), or the horizontal one (0)
            image = oriented(image, (-1, 0, 0, 1) if value else (1, 0, 0, -1))
    return image


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if stop > end or stop < start + head:
            return
        yield kind, start + head, stop
        start = stop


def _inside(data: bytes, box: _Box, skip: int = 0) -> dict[bytes, _Box]:
    return {inner[0]: inner for inner in _boxes(data, box[1] + skip, box[2])}


def _grid(data: bytes) -> Grid | None:
    meta = _inside(data, {box[0]: box for box in _boxes(data, 0, len(data))}[b"meta"], 4)
    primary = _number(data, meta[b"pitm"])
    tiles = _tiles(data, meta.get(b"iref"), primary)
    if not tiles:
        return None
    text = _item(data, meta, primary)
    version, flags, rows, columns = struct.unpack_from(">BBBB", text)
    width, height = struct.unpack_from(">II" if flags & 1 else ">HH", text, 4)
    if version or (rows + 1) * (columns + 1) != len(tiles) or not width or not height:
        return None
    return Grid(rows + 1, columns + 1, width, height, tiles, tuple(_turns(data, meta[b"iprp"], primary)))


def _number(data: bytes, box: _Box) -> int:
    wide = data[box[1]] > 0
    return int(struct.unpack_from(">I" if wide else ">H", data, box[1] + 4)[0])


def _tiles(data: bytes, iref: _Box | None, primary: int) -> tuple[int, ...]:
    if iref is None:
        return ()
    code = ">I" if data[iref[1]] else ">H"
    width = struct.calcsize(code)
    for kind, start, _ in _boxes(data, iref[1] + 4, iref[2]):
        if kind == b"dimg" and struct.unpack_from(code, data, start)[0] == primary:
            (count,) = struct.unpack_from(">H", data, start + width)
            return struct.unpack_from(f">{count}{code[1]}", data, start + width + 2)
    return ()


def _item(data: bytes, meta: dict[bytes, _Box], wanted: int) -> bytes:
    """The first bytes of an item, from `iloc`: in the file or in `idat`."""
    start = meta[b"iloc"][1]
    version = data[start]
    sizes = struct.unpack_from(">BB", data, start + 4)
    offset_width, length_width, base_width = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_width = sizes[1] & 15 if version else 0
    place = start + 6

    def number(width: int) -> int:
        nonlocal place
        place += width
        return int.from_bytes(data[place - width : place], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)  # in another file: never
        base = number(base_width)
        for _ in range(number(2)):
            number(index_width)
            offset, length = base + number(offset_width), number(length_width)
            if item == wanted:
                offset += meta[b"idat"][1] if method == 1 else 0
                return data[offset : offset + length]
    raise KeyError(wanted)


def _turns(data: bytes, iprp: _Box, wanted: int) -> Iterator[tuple[bytes, int]]:
    inside = _inside(data, iprp)
    properties = list(_boxes(data, *inside[b"ipco"][1:]))
    start = inside[b"ipma"][1]
    wide, many = data[start] > 0, bool(data[start + 3] & 1)
    (count,) = struct.unpack_from(">I", data, start + 4)
    place = start + 8
    for _ in range(count):
        item = int.from_bytes(data[place : place + (4 if wide else 2)], "big")
        place += 4 if wide else 2
        number = data[place]
        place += 1
        for _ in range(number):
            index = int.from_bytes(data[place : place + 1 + many], "big") & (0x7FFF if many else 0x7F)
            place += 1 + many
            if item == wanted and 0 < index <= len(properties):
                kind, first, _ = properties[index - 1]
                if kind in (b"irot", b"imir"):
                    yield kind, data[first] & (3 if kind == b"irot" else 1)
