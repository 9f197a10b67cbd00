"""Videos and images that the tests of `faces` make for themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def write_video(
    path: Path,
    images: Iterable[Image],
    *,
    times_ms: Sequence[int] | None = None,
    rate: int = 25,
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
    faststart: bool = False,
    aspect: Fraction | None = None,
    pixels: str = "yuv420p",
    cluster_ms: int | None = None,
) -> Path:
    """Encodes pictures; `times_ms` gives every one its own time stamp."""
    written = {"movflags": "faststart"} if faststart else {"cluster_time_limit": str(cluster_ms)} if cluster_ms else {}
    with av.open(str(path), "w", options=written) as container:
        stream = None
        for number, image in enumerate(images):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], pixels
                stream.codec_context.time_base = Fraction(1, 1000) if times_ms else Fraction(1, rate)
                stream.codec_context.bit_rate = 4_000_000
                if aspect:
                    stream.codec_context.sample_aspect_ratio = aspect
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = times_ms[number] if times_ms else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
    return path


def turn(path: Path, quarters: int) -> None:
    """Sets the rotation of an MP4 file, in quarter turns clockwise, as phones do."""
    one = 1 << 16
    set_matrix(path, [(one, 0, 0, one), (0, one, -one, 0), (-one, 0, 0, -one), (0, -one, one, 0)][quarters % 4])


def set_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Sets the display matrix of an MP4 file: a, b, c, d with 16 binary places."""
    data = path.read_bytes()
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags; times, id, duration; reserved; layer ...
    a, b, c, d = matrix
    stored = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    path.write_bytes(data[:place] + stored + data[place + 36 :])


def flat(level: int, size: tuple[int, int] = (48, 64)) -> Image:
    """A picture of one grey level, (height, width)."""
    return np.full((*size, 3), level, dtype=np.uint8)


def quadrants(height: int = 48, width: int = 64) -> Image:
    """Red, green, blue, white from the top left, row by row."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = (220, 220, 220)
    return image
