"""The video in a container: which stream it is, how fast it runs, and its frames in the order of showing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain, repeat
from math import inf
from pathlib import Path
from threading import Lock
from typing import Any, Final

from duchenne.errors import InputError
from duchenne.faces.recordings.formats import MOST_PIXELS, check_pixels

BROADCAST: Final = ("mpegts", "mpeg")
"""Containers whose clock may start over, and that neither say how long they are nor check what they carry."""
_MICROSECOND: Final = 1e-6
_REORDERED: Final = 16
"""So many frames at most wait for others in any codec (H.264, A.3.1)."""
_STRICT: Final = "crccheck+bitstream+buffer+explode+careful"
_ATTACHED: Final = 0x0400  # FFmpeg's AV_DISPOSITION_*: a cover, a preview picture, part of a larger picture
_THUMBNAILS: Final = 0x0800
_DEFAULT: Final = 0x0001
_TILE: Final = 0x80000
# These decoders paint over what they cannot read and only say so when asked to; others mark the picture as corrupt.
_SILENT: Final = frozenset(
    {"mjpeg", "mjpegb", "hevc", "wmv1", "wmv2", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "flv", "png", "apng"}
)

_LOGGING: Final = frozenset({"cinepak", "dvvideo", "ffv1", "flashsv", "qtrle", "zmbv"})
"""Decoders that paint over what they cannot read, and only write that into FFmpeg's log, whatever they are asked."""
_HEARING: Final = Lock()


def video_stream(container: Any, path: Path, notes: list[str] | None = None) -> Any:
    """The video of a container: the largest of its video streams, of equals what moves, the default one, the first.

    Covers, previews in the form of pictures, and tiles are none.

    Args:
        container: open.
        path: for errors.
        notes: takes a sentence where there was a choice.

    Raises:
        InputError: when there is none, or its pictures are too large.
    """
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    known = [stream for stream in known if stream.codec_context.name != "ansi"]  # FFmpeg draws text files as pictures
    if known and all(stream.disposition.value & _TILE for stream in known):
        raise InputError(f"{path}: its picture is made of tiles in a way that is not read; save it as JPEG.")
    videos = [stream for stream in known if not stream.disposition.value & (_ATTACHED | _THUMBNAILS | _TILE)]
    if not videos:
        if known or container.streams.audio:
            cover = " and a cover" if known else ""
            raise InputError(f"{path}: holds sound{cover}, but no video; name images or videos.")
        if container.streams.video:
            raise InputError(f"{path}: its video cannot be decoded (unknown or encrypted); convert it to MP4.")
        raise InputError(f"{path}: holds no picture; name images or videos.")
    best = max(videos, key=_rank)
    if len(videos) > 1 and notes is not None:
        chosen = f"number {videos.index(best) + 1} ({best.width} x {best.height})"
        notes.append(f"holds {len(videos)} video streams; {chosen} was read")
    check_pixels(path, best.width, best.height)
    set_up(best)
    return best


def _rank(stream: Any) -> tuple[int, bool, int]:
    moves = stream.frames > 1 or bool(stream.duration)  # the cover of an animated AVIF, as large as it, does not
    return stream.width * stream.height, moves, stream.disposition.value & _DEFAULT


def set_up(stream: Any) -> None:
    """Has the decoder of a stream that is not yet open refuse huge pictures, and say what it cannot read."""
    coder = stream.codec_context
    strict = {"err_detect": _STRICT} if coder.name in _SILENT else {}
    coder.options = {"max_pixels": str(MOST_PIXELS), **strict}
    if coder.name == "h264":
        # Threads that share the slices of a picture forget to mark it as corrupt; those that share pictures may, too.
        coder.thread_count = 1


@dataclass
class Reading:
    """What decoding showed beside the frames; whole when the frames came to their end or were closed.

    Attributes:
        damage: a sentence on everything that could not be decoded, or not in full.
        place: of the latest packet in the file, in bytes.
    """

    damage: list[str] = field(default_factory=list)
    place: int = 0


def decoded(container: Any, stream: Any, reading: Reading) -> Generator[Any, None, None]:
    """Frames in the order in which they are shown."""
    frames = _decoded(container, stream, reading)
    return _stamped(frames, stream) if container.format.name == "avi" else frames


def _stamped(frames: Iterator[Any], stream: Any) -> Generator[Any, None, None]:
    """Frames of an AVI with stamps in the order of showing.

    AVI says only when a frame is decoded. Where frames are shown in another order (B-frames) the stamps of neighbours
    are exchanged, and all are as late as the decoder waits.
    """
    first = next(frames, None)
    if first is None:
        return
    if not stream.codec_context.has_b_frames:
        yield first
        yield from frames
        return
    waiting: list[Any] = []
    stamps: list[int] = []
    late: int | None = None
    for frame in chain([first], frames, repeat(None, _REORDERED)):
        if frame is not None:
            waiting.append(frame)
            if frame.pts is not None:
                heappush(stamps, frame.pts)
        if waiting and (frame is None or len(waiting) > _REORDERED):
            shown, stamp = waiting.pop(0), heappop(stamps) if stamps else None
            if late is None and stamp is not None:
                late = stamp - (stream.start_time or 0)
                late = late if 0 < late <= _REORDERED else 0
            shown.pts = None if stamp is None else stamp - (late or 0)
            yield shown


def _decoded(container: Any, stream: Any, reading: Reading) -> Generator[Any, None, None]:
    import av

    packets, damage = container.demux(stream), reading.damage
    # In MP4 and its relatives every packet is a picture; those before the first one shown may lack what they need.
    counted, first, latest, waiting = container.format.name.startswith("mov"), None, -inf, set[int]()
    try:
        while True:
            try:
                packet = next(packets, None)
            except (MemoryError, BlockingIOError):  # no word on the file
                raise
            except (av.error.FFmpegError, OSError) as error:
                damage.append(str(error))
                break
            if packet is None:
                break
            reading.place = packet.pos or reading.place
            if counted and packet.pts is not None and not packet.is_discard:
                waiting.add(packet.pts)
            try:
                frames, complaint = _heard(packet, stream.codec_context.name)
                for frame in frames:
                    first = frame.pts if first is None else first
                    latest = latest if frame.pts is None else frame.pts
                    waiting.discard(frame.pts)
                    yield frame
                    if frame.is_corrupt:  # known when the next is asked for, else it was not wanted
                        damage.append("a picture of which a part is missing")
                damage += complaint
            except av.error.EOFError:
                break
            except (MemoryError, BlockingIOError):
                raise
            except av.error.FFmpegError as error:
                damage.append(str(error))
                waiting.discard(packet.pts)
        latest = inf
    finally:
        damage += [
            "a picture that the decoder left out" for pts in waiting if first is not None and first < pts < latest
        ]


def _heard(packet: Any, coder: str) -> tuple[list[Any], list[str]]:
    """The frames of a packet, and what a decoder of `_LOGGING` says of them; of one packet at a time in a process."""
    import av

    if coder not in _LOGGING:
        return packet.decode(), []
    with _HEARING:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.PANIC)  # errors are counted all the same, and shown to nobody
        try:
            before, _ = av.logging.get_last_error()
            frames = packet.decode()
            count, last = av.logging.get_last_error()
        finally:
            av.logging.set_level(level)
    return frames, [last[2]] if last is not None and count > before and last[1] == coder else []


def is_picture_format(container: Any) -> bool:
    """Whether it is a single picture by its format."""
    name = container.format.name
    return bool(name == "image2" or (name.endswith("_pipe") and name != "gif_pipe"))


def frame_rate(stream: Any) -> float:
    """Frames per second; what the container says as a mean, unless that is its clock (AVI with repeated frames)."""
    mean, usual = float(stream.average_rate or 0), float(stream.guessed_rate or 0)
    return usual if usual and (not mean or mean > 2 * usual) else mean or 25.0


def duration_s(stream: Any) -> float | None:
    """How long the stream is by its header; None where that does not say."""
    return float(stream.duration * stream.time_base) if stream.duration else None


def start_s(container: Any, stream: Any) -> float | None:
    """What the recording's own clock says at its start, as players count; None where the container does not say.

    The earliest of all streams: a video that begins after its sound does so here, too. Sound that begins before 0 is
    what its codec needs to warm up and is not played, so a start before 0 is that of the video.
    """
    first = float(stream.start_time * stream.time_base) if stream.start_time is not None else None
    if container.start_time is None:
        return first
    start = container.start_time / 1e6  # rounded; what it was rounded from is that of one of the streams
    exact = (float(s.start_time * s.time_base) for s in container.streams if s.start_time is not None and s.time_base)
    start = next((value for value in exact if abs(value - start) <= _MICROSECOND), start)
    return start if start >= 0 else min(0.0, start if first is None else first)
