"""Whether a video file ends before its end, where the container holds no number of frames to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 1024
_PACKETS: Final = ((188, 0), (192, 4), (204, 0))  # MPEG-TS, as on camcorders (a time stamp first), with parity
_SYNC: Final = 0x47


def is_cut_off(path: Path) -> bool:
    """Whether a Matroska, WebM or MPEG-TS file is shorter than it should be; False for any other file.

    Matroska says how long it is. MPEG-TS comes in packets of one size, so a last packet that is not whole gives a cut
    away; one that falls between two packets cannot be seen here.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = path.stat().st_size
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _is_cut_matroska(head, size)
        for packet, sync in _PACKETS:
            if len(head) > 3 * packet and all(head[sync + place * packet] == _SYNC for place in range(4)):
                rest = size % packet
                file.seek(size - rest + sync)
                return file.read(1) == bytes([_SYNC])  # something else was appended, or nothing is left
    return False


def _is_cut_matroska(head: bytes, bytes_there: int) -> bool:
    size, place = _matroska_size(head, 4)
    segment = place + (size or 0)
    if head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return False
    size, place = _matroska_size(head, segment + 4)
    return size is not None and bytes_there < place + size


def _matroska_size(head: bytes, place: int) -> tuple[int | None, int]:
    """The size that is written at `place`, None where a live recording left it open, and the place behind it."""
    width = 9 - head[place : place + 1].rjust(1, b"\x01")[0].bit_length()
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[place : place + width], "big") & unknown  # without the bit that marks the width
    return (None if size == unknown else size), place + width
