"""Still pictures, from their bytes: complete or refused, 8-bit, upright."""

from __future__ import annotations

import os
import re
import struct
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.recordings.formats import check_pixels

TIFF_MARKS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"P5", b"P6", b"\0\0\0\x0cjP", *TIFF_MARKS)
_DEEP: Final = (b"\x89PNG", b"P5", b"P6", b"\0\0\0\x0cjP", *TIFF_MARKS)
"""Pictures that may have more than 8 bits."""
_LISTENING: Final = threading.Lock()
# What libjpeg, libtiff and OpenJPEG say of damage, some of it as a warning. Webcams put a few bytes too many before a
# mark, which is no damage.
_DAMAGE: Final = re.compile(
    r"Corrupt JPEG data: (?!(?:[1-9]|1[0-5]) extraneous).*|Premature end of JPEG.*"
    r"|(?<=TIFF_Error )(?!TIFF\w*Director).*|PackBitsDecode: Discarding.*|Stream does not end with EOC.*"
)
_NO_DAMAGE: Final = ("Corrupt JPEG data", "Invalid SOS", "Warning", "[ERROR", "[ WARN", "TIFF")
_TWELVE_BITS: Final = 4095
_ROWS: Final = 64


def is_still(head: bytes) -> bool:
    """Whether a file that begins so is a picture that OpenCV reads."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def decode_still(data: bytes, where: str | Path, most: float | None = None) -> NDArray[np.uint8]:
    """One picture from the bytes of an image file, as `read_pictures` gives it; of several the first.

    Args:
        data: content of the file.
        where: what to call it in errors.
        most: see `eight_bit`.

    Raises:
        InputError: when it is truncated, damaged, too large or no picture.
    """
    return np.ascontiguousarray(eight_bit(stored_still(data, where), most))


def stored_still(data: bytes, where: str | Path) -> NDArray[Any]:
    """The same with the values that the file stores: (H, W, 3) RGB of any depth.

    Raises:
        InputError: see `decode_still`.
    """
    check_still(data, where)
    with refusing():
        image = listening(lambda: _read(data), where)
        if image is not None:
            return np.asarray(image)
    raise InputError(f"{where}: cannot be read as an image; replace it.")


@contextmanager
def refusing() -> Iterator[None]:
    """Lets pass that OpenCV cannot decode something, but not that it had too little memory to.

    Raises:
        MemoryError: in place of OpenCV's own.
    """
    try:
        yield
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error


def check_still(data: bytes, where: str | Path) -> None:
    """Refuses what is truncated, damaged by its own check sums, or too large, before anything is decoded.

    Raises:
        InputError: in one sentence.
    """
    if not _is_complete(data):
        raise InputError(f"{where}: is truncated; replace it.")
    if data[:4] == b"RIFF" and not _is_chunks(data):
        raise InputError(f"{where}: is damaged (what lies in it has no name); replace it.")
    if data.startswith(b"\x89PNG") and not _is_sound_png(data):
        raise InputError(f"{where}: is damaged (a check sum does not fit); replace it.")
    with suppress(struct.error, IndexError):
        size = stated_size(data)
        if size is not None:
            check_pixels(where, *size)


def listening(decode: Callable[[], Any], where: str | Path) -> Any:
    """Calls a decoder of OpenCV and listens to what the libraries that it uses say.

    They paint over what they cannot read, return a picture, and only say so, on the process's standard error. What
    else is written there meanwhile is passed on.

    Raises:
        InputError: when they speak of damage.
    """
    with _LISTENING, tempfile.TemporaryFile() as said:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            result = decode()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            cv2.utils.logging.setLogLevel(level)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    damage = [found[0] for found in map(_DAMAGE.search, lines) if found]
    for line in lines:
        if line and not _DAMAGE.search(line) and not line.startswith(_NO_DAMAGE):
            print(line, file=sys.stderr)
    if damage:
        raise InputError(f"{where}: is damaged ({damage[0].strip().rstrip('.')}); replace it.")
    return result


def _read(data: bytes) -> NDArray[Any] | None:
    raw = np.frombuffer(data, dtype=np.uint8)
    if data.startswith(_DEEP):  # OpenCV mixes the colours up when asked for deep RGB, and the bits when not for deep
        deep = cv2.imdecode(raw, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        return None if deep is None else np.asarray(deep)[:, :, ::-1]
    return cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)


def eight_bit(image: NDArray[Any], most: float | None = None) -> NDArray[np.uint8]:
    """A picture with 8 bits.

    Of 16 bits the upper ones; but where no value is over 4095, they are the 12 bits of a camera. Fractions are taken as
    0 to 1, or scaled to their largest value where that is more.

    Args:
        image: of any depth.
        most: the largest value of all pictures that belong together, so that a video does not flicker; None for that of
            this one.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    most = _largest(image) if most is None else most
    shown = np.empty(image.shape, dtype=np.uint8)
    for first in range(0, len(image), _ROWS):  # of a large picture of floats every copy counts
        rows = np.nan_to_num(image[first : first + _ROWS])
        if image.dtype == np.uint16:
            shown[first : first + _ROWS] = np.minimum(rows >> (4 if most <= _TWELVE_BITS else 8), 255)
        else:
            shown[first : first + _ROWS] = np.rint(np.clip(rows / max(1.0, most), 0, 1) * 255)
    return shown


def largest_value(images: Iterable[NDArray[Any]]) -> float | None:
    """Of pictures that belong together, for `eight_bit`; None where the first has 8 bits: the others are not looked at.

    Of 16 bits those are looked at that come before the first value that needs more than 12.

    Args:
        images: of any depth.
    """
    most: float | None = None
    for image in images:
        if most is None and image.dtype == np.uint8:
            return None
        most = max(_largest(image), most or 0.0)
        if image.dtype == np.uint16 and most > _TWELVE_BITS:
            break  # more changes nothing
    return most


def _largest(image: NDArray[Any]) -> float:
    """The largest value that is a number; one infinite pixel leaves the others as bright as they are."""
    return float(np.max(image, initial=0, where=np.isfinite(image)))


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header; None where they are not known."""
    if data.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)
    if data[:4] == b"RIFF":
        return _webp_size(data)
    if data.startswith(TIFF_MARKS):
        return _tiff_size(data)
    if data.startswith((b"P5", b"P6")):
        numbers = re.findall(rb"\d+", re.sub(rb"#[^\n]*", b"", data[2:512]))
        return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else None
    found = data.find(b"ihdr", 0, 512)
    if found < 0:
        return None
    height, width = struct.unpack_from(">II", data, found + 4)
    return width, height


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG before its picture: marker, from, to."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xFF:  # filling
            place += 1
            continue
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield data[place + 1], place + 4, stop
        if data[place + 1] == 0xDA:
            return
        place = stop


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, start, _ in _segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, start + 1)
            return width, height
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    code, count_code, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + code, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + count_code, data, start)
    start += struct.calcsize(count_code)
    found: dict[int, int] = {}
    for place in range(start, start + min(count, 512) * entry, entry):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (256, 257):
            value = {3: "H", 16: "Q"}.get(kind, "I")
            (found[tag],) = struct.unpack_from(order + value, data, place + (12 if big else 8))
    return (found[256], found[257]) if len(found) == 2 else None


def jpeg_end(data: bytes) -> int:
    """Where the first picture of a JPEG ends; -1 when it does not."""
    end = data.find(b"\xff\xd9", max((stop for _, _, stop in _segments(data)), default=2))
    return end + 2 if end >= 0 else -1


def is_jpeg_stream(data: bytes) -> bool:
    """Whether pictures follow each other at once (Motion JPEG); a preview or a second view behind the first is none."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    end = jpeg_end(data)
    if data[end : end + 3] != b"\xff\xd8\xff" or _jpeg_size(data) != _jpeg_size(data[end : end + 2**16]):
        return False
    return not any(marker == 0xE2 and data[start : start + 4] == b"MPF\0" for marker, start, _ in _segments(data))


def _is_complete(data: bytes) -> bool:
    """Whether a picture reaches its end (OpenCV fills what is missing with grey)."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data
    if data.startswith(b"\xff\xd8"):
        return jpeg_end(data) >= 0
    if data[:4] == b"RIFF":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if data.startswith(b"BM") and len(data) >= 34 and int.from_bytes(data[30:34], "little") == 0:
        width, height = struct.unpack_from("<ii", data, 18)  # not by its stated size, which many writers get wrong
        row = (int(width) * int.from_bytes(data[28:30], "little") + 31) // 32 * 4
        return bool(len(data) >= int.from_bytes(data[10:14], "little") + row * abs(int(height)))
    return True


def _is_chunks(data: bytes) -> bool:
    """Whether a WebP is chunks with names to its end; decoders end at zeros as at the end."""
    place, end = 12, 8 + int.from_bytes(data[4:8], "little")
    while place + 8 <= end:
        if not all(32 <= letter < 127 for letter in data[place : place + 4]):
            return False
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return place <= end + 1


def _is_sound_png(data: bytes) -> bool:
    """Whether the check sums of its chunks fit."""
    place = 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        stop = place + 12 + size
        if stop > len(data) or zlib.crc32(memoryview(data)[place + 4 : stop - 4]) != int.from_bytes(
            data[stop - 4 : stop], "big"
        ):
            return False
        if data[place + 4 : place + 8] == b"IEND":
            return True
        place = stop
    return False
