"""Reading pictures from image files and videos, as people see them: upright, square pixels, 8-bit RGB.

Videos are decoded in sequence and never sought into, so that frame numbers are what a player counts. Files are opened
by content, not by name: a picture with the wrong suffix is read, a text file named `.mp4` is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.recordings import heif
from duchenne.faces.recordings.clock import Clock
from duchenne.faces.recordings.colours import Pictures, transfer
from duchenne.faces.recordings.ends import ending
from duchenne.faces.recordings.formats import enough, is_animated_png, open_container, unreadable
from duchenne.faces.recordings.interlaced import Deinterlacer
from duchenne.faces.recordings.listing import Assembly, frames_of_sequence, gaps_of_sequence
from duchenne.faces.recordings.pages import count_pages, read_pages
from duchenne.faces.recordings.stills import (
    decode_still,
    is_jpeg_stream,
    is_still,
    largest_value,
    stored_still,
)
from duchenne.faces.recordings.streams import (
    BROADCAST,
    Reading,
    decoded,
    duration_s,
    frame_rate,
    is_picture_format,
    start_s,
    video_stream,
)
from duchenne.files import check_file

_PLAIN: Final = Assembly()
_Wanted = Callable[[float], bool]  # whether a picture of that time is wanted; reading ends at the first that is not
_LATE_S: Final = 0.5
_MOST_BYTES: Final = 2**31  # of a file of stills, which is read as a whole
_LARGE_BYTES: Final = 2**26  # a larger JPEG is looked at no further to know that it is a stream of them


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        image: (H, W, 3) RGB uint8, as displayed (rotation and pixel aspect ratio applied).
        frame: decode order, from 0.
        time_s: seconds from the start of the recording, as players show it; 0.0 for images. Streams without time stamps
            count by their rate.
    """

    image: NDArray[np.uint8]
    frame: int
    time_s: float


class VideoInfo(NamedTuple):
    """What a file says of itself before it is read.

    Attributes:
        width: in pixels, as displayed.
        height: in pixels, as displayed.
        frames: number of frames by the header, or from duration and rate; None where it says neither.
        rate: mean frames per second, 25 where the file does not say; None for images.
        is_image: a still picture.
    """

    width: int
    height: int
    frames: int | None
    rate: float | None
    is_image: bool


@dataclass
class Found:
    """What reading a recording showed beside its pictures.

    Attributes:
        start_s: what the recording's own clock says where `time_s` is 0; None where it has none.
        end_s: where the recording ends, as players show it.
        shown_s: where its last picture ends, by the rate.
        frames: given.
        notes: sentences without the file's name that a user should know: jumps of the clock, streams left out ...
    """

    start_s: float | None = None
    end_s: float = 0.0
    shown_s: float = 0.0
    frames: int = 0
    notes: list[str] = field(default_factory=list)


def probe(path: str | Path, assembly: Assembly = _PLAIN) -> VideoInfo:
    """Reads what a file says of itself, and its first picture to know that it can be read.

    Args:
        path: an image or video, or a folder of pictures.
        assembly: how it becomes one recording.

    Raises:
        InputError: when nothing can be decoded from it.
    """
    path = Path(path)
    if assembly.sequence_fps is not None:
        paths = frames_of_sequence(path)
        _, image = next(_pictures_of(path, paths))
        return VideoInfo(image.shape[1], image.shape[0], len(paths), assembly.sequence_fps, False)
    with enough(path):
        info = _probe(path)
    for chapter in assembly.chapters:
        with enough(chapter):
            more = _probe(chapter).frames
        info = info._replace(frames=None if info.frames is None or more is None else info.frames + more)
    return info


def read_pictures(
    path: str | Path, assembly: Assembly = _PLAIN, found: Found | None = None, end_s: float | None = None
) -> Iterator[Picture]:
    """Decodes every picture of an image or video, in order.

    Grey, alpha and deeper pictures come as 8-bit RGB. Alpha is dropped (but where an 8-bit TIFF is transparent its
    colours are dark); pages of a TIFF and pictures of a folder are scaled alike.

    Args:
        path: an image or video, or a folder of pictures.
        assembly: how it becomes one recording.
        found: is filled with what else is found; whole when the last picture was given.
        end_s: pictures from this time on are not given, and what is wrong with them is not said; None for all.

    Raises:
        InputError: when nothing can be decoded; after the last picture that could be, when the file is truncated or
            damaged (the message says how many were read).
    """
    path, found = Path(path), Found() if found is None else found
    wanted: _Wanted = lambda time_s: end_s is None or time_s < end_s  # noqa: E731
    if assembly.sequence_fps is not None:
        pictures = _read_sequence(path, assembly.sequence_fps, found, wanted)
    elif assembly.chapters:
        pictures = _read_chapters([path, *assembly.chapters], found, wanted)
    else:
        pictures = _read_file(path, found, wanted)
    for picture in pictures:
        found.frames += 1
        yield turned_round(picture) if assembly.mirrored else picture


def turned_round(picture: Picture) -> Picture:
    """A picture left for right: what was its mirror image, upright."""
    return replace(picture, image=np.ascontiguousarray(picture.image[:, ::-1]))


def read_picture(path: str | Path, most: float | None = None) -> NDArray[np.uint8]:
    """The picture of an image file, (H, W, 3) RGB uint8, as displayed; of several the first.

    Args:
        path: of the file.
        most: of a picture with more than 8 bits, see `eight_bit` in `recordings/stills.py`.

    Raises:
        InputError: when it cannot be read, or not in full.
    """
    pictures = _read_file(Path(path), Found(), lambda _: True, most)
    image = next(pictures).image
    next(pictures, None)  # what is damaged says so at its end
    return image


def _read_sequence(folder: Path, fps: float, found: Found, wanted: _Wanted) -> Iterator[Picture]:
    paths = frames_of_sequence(folder)
    found.end_s = found.shown_s = len(paths) / fps
    found.notes += gaps_of_sequence(paths)
    chosen = [path for number, path in enumerate(paths) if wanted(number / fps)]
    for number, image in _pictures_of(folder, chosen, largest_value(_stored(paths))):
        yield Picture(image, number, number / fps)


def _pictures_of(folder: Path, paths: list[Path], most: float | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    broken: list[str] = []
    for number, path in enumerate(paths):
        try:
            image = read_picture(path, most)
        except InputError as error:
            broken.append(str(error))
            continue
        yield number, image
    if broken:
        raise InputError(f"{folder}: {len(broken)} of {len(paths)} pictures could not be read; the first: {broken[0]}")
    if not paths:
        raise InputError(f"{folder}: holds no images; name the folder of the pictures.")


def _stored(paths: list[Path]) -> Iterator[NDArray[Any]]:
    for path in paths:
        with suppress(InputError), enough(path):  # is said when it is read for good
            data = _still_data(path)
            if data is not None:
                yield stored_still(data, path)


def _read_chapters(paths: list[Path], found: Found, wanted: _Wanted) -> Iterator[Picture]:
    frames, begin_s, broken = 0, 0.0, []
    in_chapter: _Wanted = lambda time_s: wanted(begin_s + time_s)  # noqa: E731
    for number, path in enumerate(paths):
        if not wanted(begin_s):
            break
        own, given = Found(), 0
        try:
            for picture in _read_file(path, own, in_chapter):
                given = picture.frame + 1
                yield Picture(picture.image, frames + picture.frame, begin_s + picture.time_s)
        except InputError as error:
            broken.append(str(error))
        found.start_s = own.start_s if number == 0 else found.start_s
        found.notes += [f"chapter {path.name} begins at {begin_s:.2f} s"] if number else []
        found.notes += [f"chapter {path.name} {note}" for note in own.notes]
        found.end_s = begin_s + own.end_s
        frames, begin_s = frames + given, begin_s + own.shown_s
        found.shown_s = begin_s
    if broken:
        later = "; times after it are too early by what is missing" if len(paths) > 1 else ""
        raise InputError(f"{'; '.join(broken).rstrip('.')}{later}.")


def _read_file(path: Path, found: Found, wanted: _Wanted, most: float | None = None) -> Iterator[Picture]:
    with enough(path):
        data = _still_data(path)
        if data is None:
            yield from _read_container(path, found, wanted)
        else:
            yield from _read_still(data, path, found, wanted, most)


def _read_still(data: bytes, path: Path, found: Found, wanted: _Wanted, most: float | None) -> Iterator[Picture]:
    count = count_pages(data)
    if count == 1:
        yield Picture(decode_still(data, path, most), 0, 0.0)
    else:
        before_s = 0.0
        for number, (image, time_s) in enumerate(read_pages(data, path, most)):
            if not wanted(time_s):
                break
            yield Picture(image, number, time_s)
            found.end_s, before_s = time_s + (time_s - before_s), time_s
        found.shown_s = found.end_s
        if data[:4] != b"RIFF":
            found.notes.append(f"has {count} pages and no times; 25 pages a second were taken")


def _read_container(path: Path, found: Found, wanted: _Wanted) -> Iterator[Picture]:
    reading, notes = Reading(), found.notes
    with open_container(path) as container:
        tiles = heif.read_grid(path)
        if tiles is not None:
            yield Picture(heif.read_tiles(container, tiles, path), 0, 0.0)
            return
        end, end_place = ending(path)
        stream = video_stream(container, path, notes)
        is_image = _is_image(container, path)
        rate = frame_rate(stream)
        clock = Clock(start_s(container, stream), 1 / rate, container.format.name in BROADCAST)
        fields, pictures = Deinterlacer(), Pictures(stream, path)
        number, first_s, stamped, kind, to_end = 0, 0.0, False, "", True
        frames = decoded(container, stream, reading)
        for frame in fields.through(frames):
            stamp_s = None if frame.time is None else float(frame.time)
            time_s, stamped = 0.0 if is_image else clock.next(stamp_s), stamped or stamp_s is not None
            if not wanted(time_s):
                to_end = False
                break
            first_s, number = time_s if number == 0 else first_s, number + 1
            kind = kind or transfer(frame)
            yield Picture(pictures.picture(frame), number - 1, time_s)
        frames.close()
        damage, stated = reading.damage, stream.frames
        if not to_end:  # of a part nobody knows how many frames it should have, nor does the file's end matter
            end, stated = "damaged" if end == "damaged" and end_place < reading.place else "whole", 0
        long_s, step_s = duration_s(stream), max(clock.step_s, clock.longest_s)
        found.shown_s = 0.0 if is_image else clock.time_s + clock.step_s
        begin_s = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)
        begin_s -= clock.start_s or 0.0
        short = long_s is not None and stated > number and found.shown_s - begin_s < long_s - 2 * step_s
        found.end_s = max(found.shown_s, _whole_s(container, clock)) if end != "cut" and not short else found.shown_s
        dropped = stated - number if container.format.name == "avi" and not (short or damage) else 0
        clocked = stamped and container.format.name not in ("jpeg_pipe", "mjpeg")
    found.start_s = clock.start_s if clocked and not is_image else None
    sentences = [
        (kind, f"is HDR video ({kind}); its brightness was reduced to that of 8-bit video"),
        (fields.used, "is interlaced; of every frame one picture was made (FFmpeg's yadif)"),
        (not clocked and not is_image, f"has no times; {rate:g} frames a second were taken"),
        (clock.jumps, clock.sentence()),
        (first_s > _LATE_S, f"its first picture comes at {first_s:.2f} s"),
        (dropped > 0, f"{dropped} of its {stated} frames hold no picture; frame numbers count pictures, times hold"),
        (end == "unknown", "does not say where it ends, so nobody can tell whether it is whole"),
    ]
    notes += [sentence for holds, sentence in sentences if holds and sentence]
    if not number and to_end:
        raise InputError(f"{path}: no picture could be decoded from it; convert it to MP4 or replace it.")
    if damage or short or end in ("cut", "damaged"):
        count = max(1, len(damage))
        truncated = short or end == "cut"
        what = "truncated" if truncated else f"damaged in {count} place{'s' * (count > 1)}"
        expected = f" of {stated}" if stated else ""
        raise InputError(f"{path}: is {what}; {number}{expected} frames were read, replace the file to have the rest.")


def _whole_s(container: Any, clock: Clock) -> float:
    """Where all of a recording ends by its header, 0 where that is unknown: sound may go on, the last picture stay."""
    if not container.duration or clock.jumps or container.format.name in BROADCAST:
        return 0.0
    from_zero = container.format.name.startswith("matroska")  # the duration there counts from its clock's 0
    return float(container.duration) / 1e6 - ((clock.start_s or 0.0) if from_zero else 0.0)


def _probe(path: Path) -> VideoInfo:
    data = _still_data(path)
    if data is not None:
        number = count_pages(data)
        # How bright it is does not matter here, so that pages with many bits are not looked through for it.
        shown = decode_still(data, path, 1.0) if number == 1 else next(read_pages(data, path, 1.0))[0]
        height, width = shown.shape[:2]
        return VideoInfo(width, height, number, None if number == 1 else 25.0, number == 1)
    with open_container(path) as container:
        if heif.read_grid(path) is not None:
            height, width = next(_read_container(path, Found(), lambda _: True)).image.shape[:2]
            return VideoInfo(width, height, 1, None, True)
        stream = video_stream(container, path)
        first = next(decoded(container, stream, Reading()), None)
        if first is None:
            raise InputError(f"{path}: no picture could be decoded from it; convert it to MP4 or replace it.")
        height, width = Pictures(stream, path).picture(first).shape[:2]
        rate = frame_rate(stream)
        is_image = _is_image(container, path)
        frames: int | None = 1 if is_image else stream.frames or None
        long_s = duration_s(stream) or (container.duration / 1e6 if container.duration else None)
        if frames is None and long_s and math.isfinite(long_s * rate):
            frames = max(1, round(long_s * rate))
        return VideoInfo(width, height, frames, None if is_image else rate, is_image)


def _still_data(path: Path) -> bytes | None:
    """The content of a file that OpenCV reads; None for one that FFmpeg does."""
    check_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if not head:
                raise InputError(f"{path}: is empty (0 bytes); replace it.")
            if not is_still(head) or is_animated_png(file):
                return None
            file.seek(len(head))
            data = head + file.read(_LARGE_BYTES)
            if is_jpeg_stream(data):
                return None
            if path.stat().st_size > _MOST_BYTES:
                raise InputError(f"{path}: is larger than 2 GiB, too large for pictures; save it as a video.")
            return data + file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def _is_image(container: Any, path: Path) -> bool:
    if container.format.name in ("jpeg_pipe", "mjpeg"):  # single ones are read by OpenCV
        return False
    return is_picture_format(container) or heif.is_heif(path)
