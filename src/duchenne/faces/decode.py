"""Reading pictures from image files and videos, as people see them: upright, square pixels, 8-bit RGB.

Videos are decoded in sequence and never sought into, so that frame numbers are what a player counts. Files are opened
by content, not by name: a picture with the wrong suffix is read, a text file named `.mp4` is not.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.cut_off import is_cut_off
from duchenne.files import walk

VIDEO_SUFFIXES: Final = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m2v", ".ts", ".mts", ".m2ts", ".wmv",
    ".asf", ".flv", ".3gp", ".3g2", ".ogv", ".mxf", ".dv", ".vob", ".gif",
})  # fmt: skip
"""Files that a folder is searched for as videos (an animated GIF is one)."""
IMAGE_SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm",
})  # fmt: skip
"""Files that a folder is searched for as images."""

_STILL_SIGNATURES: Final = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"\0\0\0\x0cjP",
)  # fmt: skip
_BROADCAST: Final = ("mpegts", "mpeg")
"""Containers that neither say how long they are nor check what they carry: the decoder notices what is missing."""


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        image: (H, W, 3) RGB uint8, as displayed (rotation and pixel aspect ratio applied).
        frame: decode order, from 0.
        time_s: the container's time stamp in seconds; 0.0 for images. Streams without time stamps count by their rate.
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


def list_media(inputs: Sequence[str | Path], suffixes: frozenset[str] = VIDEO_SUFFIXES | IMAGE_SUFFIXES) -> list[Path]:
    """The files that are meant by files, folders (searched through all levels) and patterns such as `*.mp4`.

    Args:
        inputs: paths and patterns. A file named outright is taken whatever its suffix.
        suffixes: what to look for in folders, lower case; hidden files are passed over.

    Returns:
        Every file once, sorted by path.

    Raises:
        InputError: when an input is missing, cannot be listed, or holds nothing of the kind.
    """
    found: set[Path] = set()
    for item in map(Path, inputs):
        if item.is_dir():
            files = set(_walk(item, suffixes))
        elif item.exists():
            files = {item}
        else:
            files = {path for path in map(Path, glob.glob(str(item), recursive=True)) if path.is_file()}
        if not files:
            if item.is_dir():
                raise InputError(f"{item}: holds no {_kind(suffixes)}; name the folder that does.")
            raise InputError(f"{item}: there is no such file or folder; check the path.")
        found |= files
    return sorted(found)


def probe(path: str | Path) -> VideoInfo:
    """Reads what a file says of itself, and its first picture to know that it can be read.

    Raises:
        InputError: when nothing can be decoded from it.
    """
    path = Path(path)
    if _is_still(path):
        height, width = _read_still(path).shape[:2]
        return VideoInfo(width, height, 1, None, True)
    with _open(path) as container:
        stream = _video_stream(container, path)
        first = next(_decode(container, stream, path, []), None)
        if first is None:
            raise InputError(f"{path}: no picture could be decoded from it; convert it to MP4 or replace it.")
        height, width = _upright(first, stream).shape[:2]
        rate = _rate(stream)
        is_image = _is_picture_format(container)
        frames: int | None = 1 if is_image else stream.frames or None
        duration_s = _duration_s(stream) or (container.duration / 1e6 if container.duration else None)
        if frames is None and duration_s:
            frames = max(1, round(duration_s * rate))
        return VideoInfo(width, height, frames, None if is_image else rate, is_image)


def read_pictures(path: str | Path) -> Iterator[Picture]:
    """Decodes every picture of an image or video, in order.

    Grey, alpha (dropped) and deeper pictures come as 8-bit RGB.

    Raises:
        InputError: when nothing can be decoded; after the last picture that could be, when the file is truncated or
            damaged (the message says how many were read).
    """
    path = Path(path)
    if _is_still(path):
        yield Picture(_read_still(path), 0, 0.0)
        return
    damage: list[str] = []
    number, end_s = 0, 0.0
    with _open(path) as container:
        is_cut, is_broadcast = is_cut_off(path), container.format.name in _BROADCAST
        stream = _video_stream(container, path)
        is_image = _is_picture_format(container)
        step_s, before_s = float(1 / _rate(stream)), None
        for frame in _decode(container, stream, path, damage):
            time_s = 0.0 if is_image else number / _rate(stream) if frame.time is None else float(frame.time)
            step_s = max(step_s, time_s - (time_s if before_s is None else before_s))
            end_s, before_s = max(end_s, time_s + step_s), time_s
            if is_broadcast and frame.is_corrupt:
                damage.append("a picture of which a part is missing")
            yield Picture(_upright(frame, stream), number, time_s)
            number += 1
        start_s = float(stream.start_time * stream.time_base) if stream.start_time else 0.0
        duration_s = _duration_s(stream)
        short = duration_s is not None and stream.frames > number and end_s - start_s < duration_s - 2 * step_s
    if not number:
        raise InputError(f"{path}: no picture could be decoded from it; convert it to MP4 or replace it.")
    if damage or short or is_cut:
        damaged = f"damaged in {len(damage)} place{'s' * (len(damage) > 1)}"
        what = "truncated" if short or is_cut else damaged
        expected = f" of {stream.frames}" if stream.frames else ""
        raise InputError(f"{path}: is {what}; {number}{expected} frames were read, replace the file to have the rest.")


def decode_still(data: bytes, where: str | Path) -> NDArray[np.uint8]:
    """One picture from the bytes of an image file, as `read_pictures` gives it.

    Args:
        data: content of the file.
        where: what to call it in errors.

    Raises:
        InputError: when it is truncated or no picture.
    """
    if not _is_complete(data):
        raise InputError(f"{where}: is truncated; replace it.")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise InputError(f"{where}: cannot be read as an image ({error.err}); replace it.") from error
    if image is None:
        raise InputError(f"{where}: cannot be read as an image; replace it.")
    return np.asarray(image, dtype=np.uint8)


def _walk(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    for place, names in walk(folder):
        yield from (Path(place, name) for name in names if Path(name).suffix.lower() in suffixes)


def _kind(suffixes: frozenset[str]) -> str:
    if suffixes == VIDEO_SUFFIXES:
        return "videos (.mp4, .mov, .avi, .mkv ...)"
    if suffixes == IMAGE_SUFFIXES:
        return "images (.jpg, .png ...)"
    return "images or videos (.jpg, .png, .mp4, .mov ...)"


def _is_still(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not head:
        raise InputError(f"{path}: is empty (0 bytes); replace it.")
    return head.startswith(_STILL_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _read_still(path: Path) -> NDArray[np.uint8]:
    # OpenCV rather than FFmpeg: it applies all eight EXIF orientations.
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return decode_still(data, path)


def _is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG reaches its end mark (OpenCV fills what is missing with grey)."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data
    if not data.startswith(b"\xff\xd8"):
        return True
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data.find(b"\xff\xd9", place) >= 0


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import av  # here, because it is only needed where something is decoded

    with ExitStack() as opened:
        try:
            # A file object: FFmpeg would take `a:b.mp4` for a protocol and `%d` for a pattern.
            container = opened.enter_context(av.open(opened.enter_context(path.open("rb"))))
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            raise InputError(
                f"{path}: is not an image or video that can be read, or is cut off; replace it."
            ) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        yield container


def _video_stream(container: Any, path: Path) -> Any:
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not streams or streams[0].codec_context.name == "ansi":  # FFmpeg draws text files as pictures
        raise InputError(f"{path}: holds no picture; name images or videos.")
    return streams[0]


def _decode(container: Any, stream: Any, path: Path, damage: list[str]) -> Iterator[Any]:
    """Frames in the order in which they are shown; what cannot be decoded goes to `damage`."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError) as error:
            damage.append(str(error))
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            damage.append(str(error))


def _upright(frame: Any, stream: Any) -> NDArray[np.uint8]:
    ratio = float(stream.sample_aspect_ratio or 1)
    width = round(frame.width * ratio) if 0.2 < ratio < 5 else frame.width
    image = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _is_picture_format(container: Any) -> bool:
    name = container.format.name
    return bool(name == "image2" or (name.endswith("_pipe") and name != "gif_pipe"))


def _rate(stream: Any) -> float:
    """Frames per second; what the container says as a mean, unless that is its clock (AVI with repeated frames)."""
    mean, usual = float(stream.average_rate or 0), float(stream.guessed_rate or 0)
    return usual if usual and (not mean or mean > 2 * usual) else mean or 25.0


def _duration_s(stream: Any) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration else None


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.")
