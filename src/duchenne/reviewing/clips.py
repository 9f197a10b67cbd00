"""What the page must know of a recording before it is shown: its size, its first time, its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne.faces.decode import probe, read_pictures
from duchenne.faces.recordings.clock import Clock
from duchenne.faces.recordings.formats import open_container
from duchenne.faces.recordings.streams import BROADCAST, frame_rate, start_s, video_stream


def about_recording(path: Path) -> dict[str, Any]:
    """Size of the displayed picture, frames per second, and the time of the first picture.

    Browsers count from the container's own clock, `detect` from the recording's start: the page sets its player by the
    first picture, whose time both know.

    Raises:
        InputError: when nothing can be decoded from it.
    """
    info = probe(path)
    first = next(read_pictures(path))
    return {"width": info.width, "height": info.height, "rate": info.rate or 25.0, "first_s": first.time_s}


def frame_times(path: Path) -> NDArray[np.float64]:
    """(N,) times of the frames as `detect` would give them, from the packets alone: nothing is decoded.

    Raises:
        InputError: when it is no recording.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None and not packet.is_discard]
        clock = Clock(start_s(container, stream), 1 / frame_rate(stream), container.format.name in BROADCAST)
        return np.array([clock.next(float(stamp * stream.time_base)) for stamp in sorted(stamps)])
