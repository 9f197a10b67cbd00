"""A copy of a recording that every browser plays, and in which every frame is found quickly.

VP9, upright, each frame at its own time, a keyframe a second; the sound goes along where browsers play it as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import DuchenneError
from duchenne.faces.decode import probe, read_pictures
from duchenne.faces.recordings.formats import open_container
from duchenne.faces.recordings.streams import start_s, video_stream
from duchenne.files import replacing
from duchenne.plain import tell

_CODEC: Final = "libvpx-vp9"
_SETTINGS: Final = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "28", "b": "0"}
_TICKS: Final = 90_000
_MOST_LINES: Final = 720
_SAID_PERCENT: Final = 5
_SOUND: Final = ("aac", "mp3", "opus", "flac")
"""What browsers play in an MP4 file."""


def copy_recording(source: Path, out: Path) -> int:
    """Writes the copy in one step, and says how far it is on the way.

    Args:
        source: the recording.
        out: ends in `.mp4`; appears when it is whole.

    Returns:
        The number of frames.

    Raises:
        InputError: when the recording cannot be read to its end, or the copy not be written.
    """
    import av

    expected, said, number = probe(source).frames or 0, 0, 0
    with (
        replacing(out) as temporary,
        open_container(source) as given,
        av.open(str(temporary), "w") as container,
    ):
        stream: Any = None
        sound: Iterator[tuple[float, Any]] = iter(())
        ticks, next_key = -1, 0
        waiting: Any = None
        heard: tuple[float, Any] | None = None
        for picture in read_pictures(source):
            if stream is None:
                stream = container.add_stream(_CODEC, options=_SETTINGS)
                stream.width, stream.height = _size(picture.image)
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
                sound = _sound(given, source, container)
                heard = next(sound, None)
            image = cv2.resize(picture.image, (stream.width, stream.height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(np.asarray(image, dtype=np.uint8), format="rgb24")
            ticks = max(ticks + 1, round(picture.time_s * _TICKS))
            frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
            if ticks >= next_key:  # by the clock: rates differ and vary
                frame.pict_type, next_key = av.video.frame.PictureType.I, ticks + _TICKS
            for packet in stream.encode(frame):
                waiting = _lasting(container, waiting, packet)
            while heard is not None and heard[0] <= picture.time_s:
                container.mux(heard[1])
                heard = next(sound, None)
            number += 1
            if expected and 100 * number // expected >= said + _SAID_PERCENT:
                said = 100 * number // expected
                tell(f"{min(said, 100)} %", flush=True)
        for packet in stream.encode(None):
            waiting = _lasting(container, waiting, packet)
        if waiting is not None:
            container.mux(waiting)
        while heard is not None:
            container.mux(heard[1])
            heard = next(sound, None)
    return number


def _sound(given: Any, source: Path, container: Any) -> Iterator[tuple[float, Any]]:
    """The packets of the sound and when they begin, seconds from the recording's start; none where it cannot stay."""
    stream = next((one for one in given.streams.audio if one.codec_context.name in _SOUND), None)
    if stream is None:
        return
    zero_s = start_s(given, video_stream(given, source)) or 0.0
    out = container.add_stream_from_template(stream)
    shift = round(zero_s / stream.time_base)
    for packet in given.demux(stream):
        if packet.pts is None or packet.dts is None or packet.pts < shift:
            continue
        packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out
        yield float(packet.pts * stream.time_base), packet


def _lasting(container: Any, waiting: Any, packet: Any) -> Any:
    """Writes the packet before, which lasts until this one; without that browsers guess how long."""
    if waiting is not None:
        waiting.duration = packet.pts - waiting.pts
        container.mux(waiting)
    return packet


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height, even, at most 720 lines."""
    height, width = image.shape[:2]
    scale = min(1.0, _MOST_LINES / height)
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def main(arguments: list[str]) -> int:
    """Copies `arguments[0]` to `arguments[1]`; the exit status."""
    try:
        copy_recording(Path(arguments[0]), Path(arguments[1]))
    except DuchenneError as error:
        tell(str(error))
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
