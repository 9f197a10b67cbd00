"""HEIC pictures written by hand (ISO/IEC 14496-12 and 23008-12), whole or in tiles."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tests.faces.media import Image


def write_heic(
    path: Path,
    image: Image,
    *,
    grid: tuple[int, int] | None = None,
    irot: int | None = None,
    imir: int | None = None,
    orientation: int | None = None,
) -> Path:
    """Encodes a picture; `grid` (rows, columns) of 64-pixel tiles as iPhones do, turned by `irot`, then `imir`.

    `orientation` is that of EXIF, which says the same again and is not to be followed (23008-12, A.2).
    """
    height, width = image.shape[:2]
    tiles = [image]
    if grid:
        below, right = grid[0] * 64 - height, grid[1] * 64 - width
        padded = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        tiles = [padded[y * 64 :, x * 64 :][:64, :64] for y in range(grid[0]) for x in range(grid[1])]
    coded = [_hevc(np.ascontiguousarray(tile)) for tile in tiles]
    number = len(tiles)
    primary = number + 1 if grid else 1
    sizes = [tiles[0].shape[1::-1], (width, height)]
    properties = [coded[0][0], *(_full(b"ispe", 0, struct.pack(">II", *size)) for size in sizes)]
    turns = []
    for kind, value in ((b"irot", irot), (b"imir", imir)):
        if value is not None:
            properties.append(_box(kind, bytes([value])))
            turns.append(0x80 | len(properties))
    own = {item: [0x81, 2] for item in range(1, number + 1)} | ({primary: [3]} if grid else {})
    own[primary] = own[primary] + turns
    kinds = {item: b"grid" if grid and item == primary else b"hvc1" for item in own}
    exif = (
        b""
        if orientation is None
        else b"\0\0\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x112, 3, 1, orientation, 0, 0)
    )
    kinds |= {number + 2: b"Exif"} if exif else {}
    infos = [_full(b"infe", 2, struct.pack(">HH4s", item, 0, kind), b"\0") for item, kind in kinds.items()]
    ipma = b"".join(struct.pack(">HB", item, len(used)) + bytes(used) for item, used in own.items())
    layout = struct.pack(">BBBBHH", 0, 0, grid[0] - 1, grid[1] - 1, width, height) if grid else b""
    tile_ids = struct.pack(f">HH{number}H", primary, number, *range(1, number + 1))
    references = [_box(b"dimg", tile_ids)] if grid else []
    references += [_box(b"cdsc", struct.pack(">HHH", number + 2, 1, primary))] if exif else []

    def meta(start: int) -> bytes:
        places = []
        parts = [*enumerate((sample for _, sample in coded), 1), *([(number + 2, exif)] if exif else [])]
        for item, sample in parts:
            places.append(struct.pack(">HHHHII", item, 0, 0, 1, start, len(sample)))
            start += len(sample)
        if grid:
            places.append(struct.pack(">HHHHII", primary, 1, 0, 1, 0, len(layout)))
        return _full(
            b"meta", 0,
            _full(b"hdlr", 0, b"\0" * 4 + b"pict" + b"\0" * 13),
            _full(b"pitm", 0, struct.pack(">H", primary)),
            _full(b"iloc", 1, struct.pack(">BBH", 0x44, 0, len(places)), *places),
            _full(b"iinf", 0, struct.pack(">H", len(infos)), *infos),
            *([_full(b"iref", 0, *references)] if references else []),
            *([_box(b"idat", layout)] if grid else []),
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", 0, struct.pack(">I", len(own)), ipma)),
        )  # fmt: skip

    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    samples = [*(sample for _, sample in coded), exif]
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", *samples))
    return path


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, version: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24), *parts)


def _hevc(image: Image) -> tuple[bytes, bytes]:
    """The decoder's configuration (an hvcC box) and the coded picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx265", rate=1, options={"x265-params": "log-level=none:info=0:keyint=1", "crf": "8"}
        )
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuv420p"
        stream.codec_context.codec_tag = "hvc1"
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = file.getvalue()
    place = data.index(b"hvcC") - 4
    box = data[place : place + struct.unpack_from(">I", data, place)[0]]
    with av.open(io.BytesIO(data)) as container:
        return box, bytes(next(container.demux(video=0)))
