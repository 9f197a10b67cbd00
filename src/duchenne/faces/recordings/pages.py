"""Image files with more than one picture: pages of a TIFF, animated WebP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.recordings.colours import oriented
from duchenne.faces.recordings.formats import MOST_PIXELS
from duchenne.faces.recordings.stills import (
    TIFF_MARKS,
    check_still,
    eight_bit,
    largest_value,
    listening,
    refusing,
    stated_size,
)

_TOGETHER: Final = 16  # pictures decoded at a time, fewer where they are large
_MATRICES: Final = {
    2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1), 5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}  # fmt: skip
"""EXIF's orientation -> how a picture is shown, as `colours.oriented` takes it; 1 is as it is."""
_RATE: Final = 25.0
"""Pages of a TIFF have no times; they count as frames of so many a second."""


def count_pages(data: bytes) -> int:
    """How many pictures an image file holds, those counted that a cut took away; 1 where it is of a kind with one."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return max(1, len(list(_webp_delays(data))))
    if data.startswith(TIFF_MARKS):
        return len(_tiff_pages(data))
    return 1


def read_pages(data: bytes, path: Path, most: float | None = None) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """The pictures with their times in seconds, as far as they can be read.

    Args:
        data: of a file for which `count_pages` is over 1.
        path: for errors.
        most: of pages with more than 8 bits, see `eight_bit`; None looks through all of them first.

    Raises:
        InputError: when it is damaged; after the pictures before the damage.
    """
    check_still(data, path)
    if data[:4] == b"RIFF":
        yield from _read_webp(data, path)
    else:
        yield from _read_tiff(data, path, most)


def _read_webp(data: bytes, path: Path) -> Iterator[tuple[NDArray[np.uint8], float]]:
    delays, size = list(_webp_delays(data)), stated_size(data) or (1, 1)
    step = max(1, min(_TOGETHER, MOST_PIXELS // (size[0] * size[1])))
    raw, time_s = np.frombuffer(data, dtype=np.uint8), 0.0
    matrix = _MATRICES.get(next((_orientation(data[start:stop]) for start, stop in _webp_chunks(data, b"EXIF")), 1))
    for first in range(0, len(delays), step):
        wanted, frames = delays[first : first + step], []
        with refusing():
            frames = list(listening(partial(cv2.imdecodeanimation, raw, first, len(wanted)), path)[1].frames)
        if len(frames) != len(wanted):
            raise InputError(f"{path}: is damaged; {first} of {len(delays)} frames were read, replace it.")
        for image, delay_s in zip(frames, wanted, strict=True):
            picture = np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[:, :, 2::-1])
            yield picture if matrix is None else oriented(picture, matrix), time_s
            time_s += delay_s


def _read_tiff(data: bytes, path: Path, most: float | None) -> Iterator[tuple[NDArray[np.uint8], float]]:
    pages, raw = _tiff_pages(data), np.frombuffer(data, dtype=np.uint8)

    def decode(page: int) -> Any:
        return cv2.imdecodemulti(raw, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, range=(page, page + 1))

    def stored() -> Iterator[NDArray[Any]]:
        for number, page in enumerate(pages):
            found: list[Any] = []
            with refusing():
                found = list(listening(partial(decode, page), path)[1])
            if not found:
                raise InputError(f"{path}: is damaged; {number} of {len(pages)} frames were read, replace it.")
            yield np.asarray(found[0])

    most = largest_value(_before_damage(stored())) if most is None else most
    for number, image in enumerate(stored()):
        yield np.ascontiguousarray(eight_bit(image, most)[:, :, ::-1]), number / _RATE


def _before_damage(images: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The images that come before an error, which is left to who reads them for good."""
    with suppress(InputError):
        yield from images


def _webp_delays(data: bytes) -> Iterator[float]:
    """How long each picture of an animated WebP is shown, seconds."""
    for start, _ in _webp_chunks(data, b"ANMF"):
        yield max(1, int.from_bytes(data[start + 12 : start + 15], "little")) / 1000


def _webp_chunks(data: bytes, kind: bytes) -> Iterator[tuple[int, int]]:
    """From where to where the chunks of a kind go."""
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == kind:
            yield place + 8, place + 8 + size
        place += 8 + size + size % 2


def _orientation(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 where it says none."""
    exif = exif.removeprefix(b"Exif\0\0")
    order: Any = "little" if exif[:2] == b"II" else "big"
    start = int.from_bytes(exif[4:8], order) + 2
    for place in range(start, start + 12 * int.from_bytes(exif[start - 2 : start], order), 12):
        if int.from_bytes(exif[place : place + 2], order) == 0x112:
            return int.from_bytes(exif[place + 8 : place + 10], order)
    return 1


def _tiff_pages(data: bytes) -> list[int]:
    """Numbers of the pages in a TIFF's chain of directories that are pictures of their own: no previews, no masks."""
    order: Any = "little" if data[:2] == b"II" else "big"
    wide, counts, entry = (8, 8, 20) if data[2:4] in (b"+\0", b"\0+") else (4, 2, 12)

    def number(place: int, width: int) -> int:
        return int.from_bytes(data[place : place + width], order)

    place, seen, pages = number(4 if wide == 4 else 8, wide), set[int](), []
    while place > 0 and place not in seen:
        entries = number(place, counts)
        first, last = place + counts, place + counts + entry * entries
        kinds = [
            number(tag + 4 + wide, 4) for tag in range(first, min(last, len(data)), entry) if number(tag, 2) == 254
        ]
        if not kinds or not kinds[0] & 5:
            pages.append(len(seen))  # also one that lies beyond the end: the file was cut
        seen.add(place)
        place = number(last, wide)
    return pages or [0]
