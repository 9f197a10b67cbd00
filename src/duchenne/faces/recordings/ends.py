"""Whether a recording is cut off: judged by what each kind of file states of itself, never by guessing.

Decoders do not notice: what is left of most files decodes without an error.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Literal, overload

Ending = Literal["whole", "cut", "damaged", "unknown"]
_WINDOW: Final = 1 << 14
_PACKETS: Final = ((188, 0), (192, 4), (204, 0))  # MPEG-TS, as on camcorders (a time stamp first), with parity
_SYNC: Final = 0x47
_CUES, _VOID = 0x1C53BB6B, 0xEC
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_LEVEL_1: Final = frozenset({
    _CLUSTER, _CUES, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1254C367, 0x1941A469, _VOID, 0xBF,
})  # fmt: skip
"""Elements of a Matroska segment: clusters, cues, seek head, info, tracks, chapters, tags, attachments, void, CRC."""
_IN_CLUSTER: Final = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, _VOID, 0xBF, 0xAF})
_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_HEAD: Final = 50  # of the data object, before its packets
_TAGS, _VIDEO_TAG = (8, 9, 18), 9
_COMMAND, _H264 = 5, 7
_TURNED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_MXF: Final = bytes.fromhex("060e2b34020501010d0102")


def ending(path: Path) -> tuple[Ending, int]:
    """Whether a file is whole by its own account; `unknown` where nobody can tell.

    Args:
        path: a file that is not empty.

    Returns:
        What it is, and the byte that was looked at last: where the damage begins, if it is damaged.
    """
    with path.open("rb") as file:
        data = _Data(file, path.stat().st_size)
        try:
            for fits, of in _KINDS:
                if fits(data):
                    return of(data), data.place
        except (struct.error, IndexError):
            return "cut", data.place
    return "unknown", 0


class _Data:
    """The bytes of a file, read where they are looked at (a memory map would end the process with its stick).

    Attributes:
        place: that was looked at last.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.place = 0
        self._start, self._bytes = 0, b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(self._size)
        self.place = start
        if start < self._start or stop > self._start + len(self._bytes):
            self._file.seek(start)
            self._start, self._bytes = start, self._file.read(max(stop - start, _WINDOW))
        return self._bytes[start - self._start : max(start, stop) - self._start]

    def number(self, code: str, place: int) -> int:
        """One number, as `struct` writes it."""
        (value,) = struct.unpack(code, self[place : place + struct.calcsize(code)])
        return int(value)


def _matroska(data: _Data) -> Ending:
    """Every element must be of a known kind and lie within the one around it; damage inside shows, too."""
    _, size, place = _element(data, 0)
    kind, size, place = _element(data, place + (size or 0))
    if kind != _SEGMENT:
        return "cut"
    end = len(data) if size is None else place + size
    if end > len(data):
        return "cut"
    is_open = size is None
    while place < end:
        kind, size, inside = _element(data, place)
        if size is not None and inside + size > end:
            return "cut" if is_open else "damaged"
        if kind not in _LEVEL_1:
            return "damaged"
        if kind != _CLUSTER:
            if size is None:
                return "damaged"
            place = inside + size
            continue
        stop = end if size is None else inside + size
        place = inside
        while place < stop:
            kind, length, inside = _element(data, place)
            if size is None and kind in _LEVEL_1 and kind != _VOID:
                break
            if length is not None and inside + length > end:
                return "cut" if is_open else "damaged"
            if kind not in _IN_CLUSTER or length is None or inside + length > stop:
                return "damaged"
            place = inside + length
    return "unknown" if is_open else "whole"


def _element(data: _Data, place: int) -> tuple[int, int | None, int]:
    """ID, size (None where a live recording left it open) and place of the content of a Matroska element."""
    width = 9 - data[place].bit_length()
    if width > 4:
        return 0, 0, place
    kind = int.from_bytes(data[place : place + width], "big")
    place += width
    width = 9 - data[place].bit_length()
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(data[place : place + width], "big") & unknown
    return kind, None if size == unknown else size, place + width


def _transport_stream(data: _Data) -> Ending:
    for packet, sync in _PACKETS:
        if _in_packets(data, packet, sync):
            rest = len(data) % packet
            place = len(data) - rest + sync
            # Something else was appended, or nothing is left: a cut between two packets cannot be seen.
            return "cut" if place < len(data) and data[place] == _SYNC else "unknown"
    return "unknown"


def _in_packets(data: _Data, packet: int, sync: int) -> bool:
    return len(data) > 3 * packet and all(data[sync + place * packet] == _SYNC for place in range(4))


def _gif(data: _Data) -> Ending:
    place = 13 + _table(data[10])
    while True:
        kind = data[place]
        if kind == 0x3B:
            return "whole"
        if kind == 0x2C:
            place += 11 + _table(data[place + 9])
        elif kind == 0x21:
            place += 2
        else:
            return "cut"
        while data[place]:
            place += 1 + data[place]
        place += 1


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _asf(data: _Data) -> Ending:
    header = int.from_bytes(data[16:24], "little")
    found = data[: min(header, 1 << 20)].find(_ASF_FILE)
    if found < 0 or data.number("<I", found + 88) & 1:  # a live recording
        return "unknown"
    size = data.number("<Q", found + 40)
    if data[header : header + 16] == _ASF_DATA:
        size = max(size, header + data.number("<Q", header + 16))
    if len(data) < size:
        return "cut"
    return "whole" if _are_packets(data, header, found) else "damaged"


def _are_packets(data: _Data, header: int, properties: int) -> bool:
    """Whether all data packets of an ASF begin alike; FFmpeg passes over what does not (a rest of zeros, say)."""
    least, most = (data.number("<I", properties + place) for place in (92, 96))
    if data[header : header + 16] != _ASF_DATA or least != most or not most:
        return True
    place, stop = header + _ASF_HEAD, header + data.number("<Q", header + 16)
    first = data[place]
    while place + most <= stop and data[place] == first:
        place += most
    return place + most > stop


def _flash(data: _Data) -> Ending:
    """Its last number must be the size of its last tag; then the times tell, which its header may state."""
    size = int.from_bytes(data[-4:], "big")
    tag = len(data) - 4 - size
    if tag < 13 or size < 11 or int.from_bytes(data[tag + 1 : tag + 4], "big") != size - 11:
        return "cut"
    if not _are_tags(data):
        return "damaged"
    head = data[: min(len(data), 1 << 16)]
    last_s = (int.from_bytes(data[tag + 4 : tag + 7], "big") + (data[tag + 7] << 24)) / 1000
    stated = head.find(b"\0\x08duration\0")
    if stated < 0:
        return "unknown"
    (duration_s,) = struct.unpack_from(">d", head, stated + 11)
    if not duration_s > 0:
        return "unknown"
    return "cut" if last_s < duration_s - 1 else "whole"


def _are_tags(data: _Data) -> bool:
    """Whether a Flash file is tags of known kinds to its end (Video File Format Specification 10, E.4)."""
    place, codec = data.number(">I", 5) + 4, list[int | None]()
    while place < len(data):
        if data[place] & 0x1F not in _TAGS or data[place + 8 : place + 11] != bytes(3):
            return False
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        if data[place] & 0x1F == _VIDEO_TAG and size > 0:
            head = data[place + 11 : place + 17].ljust(6, b"\0")
            kind = head[0] >> 4 & 7
            own = None if head[0] & 0x80 else head[0] & 15  # that bit says that the codec is named otherwise
            codec = codec or [own]
            if [own] != codec or not 1 <= kind <= 5 or (kind == _COMMAND and size > 2):
                return False
            # H.264: a header, which begins with its version, pictures, or the end
            fits = {0: head[5] == 1, 1: True, 2: size <= 5}
            if own == _H264 and kind != _COMMAND and not fits.get(head[1], False):
                return False
        place += 11 + size + 4
    return place == len(data)


def _riff(data: _Data) -> Ending:
    place = 0
    while place + 8 <= len(data) and data[place : place + 4] == b"RIFF":
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if not size:
            return "cut"  # the recorder did not finish it
        if place + 8 + size > len(data):
            return "cut"
        place += 8 + size + size % 2
    return "whole"


def _ogg(data: _Data) -> Ending:
    place, flags = 0, 0
    while data[place : place + 4] == b"OggS":
        flags, segments = data[place + 5], data[place + 26]
        stop = place + 27 + segments + sum(data[place + 27 : place + 27 + segments])
        page = data[place:stop]
        if stop <= len(data) and _ogg_sum(page[:22] + bytes(4) + page[26:]) != data.number("<I", place + 22):
            return "damaged"
        place = stop
    return "whole" if place == len(data) and flags & 4 else "damaged" if place < len(data) else "cut"


def _ogg_sum(page: bytes) -> int:
    """CRC-32 with the highest bit first and without inversions: that of zlib with all bits turned round."""
    return int(f"{zlib.crc32(page.translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def _mxf(data: _Data) -> Ending:
    place, footer = data[: 1 << 16].find(_MXF), False
    while place < len(data):
        if data[place : place + 4] != b"\x06\x0e\x2b\x34":
            return "cut"
        width = data[place + 16]
        size, start = width, place + 17
        if width & 0x80:
            start += width & 0x7F
            size = int.from_bytes(data[place + 17 : start], "big")
        footer |= data[place : place + 11] == _MXF and data[place + 13] == 4
        place = start + size
    return "whole" if footer and place == len(data) else "cut"


def _digital_video(data: _Data) -> Ending:
    frame = 144_000 if data[3] & 0x80 else 120_000
    return "cut" if len(data) % frame else "unknown"


def _ivf(data: _Data) -> Ending:
    place, frames = int.from_bytes(data[6:8], "little"), 0
    while place < len(data):
        place += 12 + int.from_bytes(data[place : place + 4].ljust(4, b"\xff"), "little")
        frames += 1
    stated = int.from_bytes(data[24:28], "little")
    return "cut" if place != len(data) or frames < stated else "whole" if stated else "unknown"


def _boxes(data: _Data) -> Ending:
    """MP4 and its relatives; those in fragments say where they end only if they bring an index of them."""
    place, kinds = 0, set[bytes]()
    while place + 8 <= len(data):
        size, kind = data.number(">I", place), data[place + 4 : place + 8]
        size = data.number(">Q", place + 8) if size == 1 else size or len(data) - place
        if size < 8 or place + size > len(data):
            # What some phones append behind the last box is none.
            return "whole" if {b"moov", b"mdat"} <= kinds and b"moof" not in kinds else "cut"
        kinds.add(kind)
        place += size
    if b"moof" not in kinds:
        return "whole"
    return "whole" if b"mfra" in kinds else "unknown"


def _program_stream(data: _Data) -> Ending:
    return "whole" if b"\0\0\x01\xb9" in data[-4096:] else "unknown"


def _png(data: _Data) -> Ending:
    place = data[-4096:].rfind(b"IEND")  # its check sum comes behind it
    return "whole" if 0 <= place <= min(len(data), 4096) - 8 else "cut"


def _jpegs(data: _Data) -> Ending:
    return "unknown" if data[-64:].rstrip(b"\0").endswith(b"\xff\xd9") else "cut"


_KINDS: Final[tuple[tuple[Callable[[_Data], bool], Callable[[_Data], Ending]], ...]] = (
    (lambda data: data[:4] == b"\x1a\x45\xdf\xa3", _matroska),
    (lambda data: any(_in_packets(data, *kind) for kind in _PACKETS), _transport_stream),
    (lambda data: data[:4] == b"GIF8", _gif),
    (lambda data: data[:16] == _ASF, _asf),
    (lambda data: data[:3] == b"FLV", _flash),
    (lambda data: data[:4] == b"RIFF" and data[8:11] == b"AVI", _riff),
    (lambda data: data[:4] == b"OggS", _ogg),
    (lambda data: _MXF in data[: 1 << 16], _mxf),
    (lambda data: data[:4] == b"DKIF", _ivf),
    (lambda data: data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"), _boxes),
    (lambda data: data[:4] == b"\0\0\x01\xba", _program_stream),
    (lambda data: data[:4] == b"\x89PNG", _png),
    (lambda data: data[:3] == b"\xff\xd8\xff", _jpegs),
    (lambda data: data[:3] == b"\x1f\x07\x00", _digital_video),
)
