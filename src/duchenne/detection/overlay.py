"""`--overlay`: a copy of the video or picture with boxes, landmarks and bars of action units burnt in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.detection.drawing import draw_bars, draw_faces, encode
from duchenne.detection.results import FrameResult
from duchenne.detectors.base import Z
from duchenne.errors import UsageError
from duchenne.files import replacing

# VP9 (libvpx, BSD licence) plays in every browser; x264 would put its users under the GPL, MPEG-4 Visual plays in none.
_CODEC: Final = "libvpx-vp9"
_SETTINGS: Final = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "28", "b": "0"}
_LEAST_PX: Final = 540  # height of the drawing: smaller videos are enlarged so that bars and names can be read
_MOST_PX: Final = 1080
_WIDEST_PX: Final = 8192  # of the drawing without its panel: wider than players show
_PANEL_PX: Final = 260
_TICKS: Final = 90_000  # of time stamps, per second
_FULL: Final = {"p": 1.0, "s": 1.0, "r": 5.0}
_FULL_Z: Final = 5.0  # standard deviations


class OverlayWriter:
    """Takes the frames of one video in order. Made by `overlay_writer`."""

    def __init__(self, temporary: Path, columns: Sequence[str], *, anonymous: bool, scale: str | None = None) -> None:
        import av

        if _CODEC not in av.codecs_available:
            raise UsageError(f"--overlay needs {_CODEC}, which this FFmpeg lacks; install PyAV from its wheels.")
        self._bars = bars(columns, scale)
        self._anonymous = anonymous
        self._container: Any = av.open(str(temporary), "w")
        self._stream: Any = None
        self._ticks = -1

    def add(self, result: FrameResult) -> None:
        """Draws and encodes the next frame."""
        import av

        canvas = compose(result, self._bars, self._anonymous)
        if self._stream is None:
            self._start(canvas.shape[1], canvas.shape[0])
        elif canvas.shape[:2] != (self._stream.height, self._stream.width):  # a stream may change its size
            size = (self._stream.width, self._stream.height)
            canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(canvas, format="rgb24")
        self._ticks = max(self._ticks + 1, round(result.time_s * _TICKS))
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def _start(self, width: int, height: int) -> None:
        stream = self._container.add_stream(_CODEC, options=_SETTINGS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = 2
        self._stream = stream

    def close(self) -> None:
        """Ends the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    @property
    def is_empty(self) -> bool:
        """Whether no frame was added."""
        return self._stream is None


class StillWriter:
    """Takes the one frame of a picture and draws it to an image file."""

    def __init__(self, path: Path, columns: Sequence[str], *, anonymous: bool, scale: str | None = None) -> None:
        self._path, self._bars, self._anonymous = path, bars(columns, scale), anonymous

    def add(self, result: FrameResult) -> None:
        """Draws the frame.

        Raises:
            InputError: when the file cannot be written.
        """
        encoded = encode(compose(result, self._bars, self._anonymous), self._path.suffix)
        with replacing(self._path) as temporary:
            temporary.write_bytes(encoded)


def compose(result: FrameResult, shown: Sequence[tuple[str, int, float]], anonymous: bool) -> NDArray[np.uint8]:
    """The drawn frame with the panel of bars beside it, (H, W, 3) RGB; height and width are even."""
    assert result.image is not None, "the frame's picture was dropped"
    height, width = result.image.shape[:2]
    scale = min(max(1.0, _LEAST_PX / height), _MOST_PX / height, _WIDEST_PX / width)
    size = (max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2)))
    canvas = np.empty((size[1], size[0] + _PANEL_PX, 3), np.uint8)
    canvas[:, : size[0]] = draw_faces(result, size, anonymous=anonymous)
    draw_bars(canvas[:, size[0] :], result.faces, shown)
    return canvas


class _Empty(Exception):
    """Nothing was drawn: the file shall not appear."""


@contextmanager
def overlay_writer(
    path: Path, columns: Sequence[str], *, anonymous: bool, scale: str | None = None
) -> Iterator[OverlayWriter]:
    """A writer whose file appears as `path` when the block ends well and a frame was added, else not at all.

    Args:
        path: ends in `.mp4`, `.mkv` or `.webm`.
        columns: of the model whose scores are drawn.
        anonymous: draw landmarks in place of the picture.
        scale: of raw scores, see `duchenne.detectors.base.score_scale`.

    Raises:
        InputError: when it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            writer = OverlayWriter(temporary, columns, anonymous=anonymous, scale=scale)
            try:
                yield writer
            finally:
                writer.close()
            if writer.is_empty:
                raise _Empty
    except _Empty:
        pass


def bars(columns: Sequence[str], scale: str | None = None) -> list[tuple[str, int, float]]:
    """(label, column, value of a full bar) per AU: its probability, else its raw score, else its intensity."""
    chosen: dict[str, tuple[str, int, float]] = {}
    for kind, full in (_FULL | ({"s": _FULL_Z} if scale == Z else {})).items():
        for index, column in enumerate(columns):
            au, _, ending = column.partition("_")
            if ending == kind:
                chosen.setdefault(au, (f"AU{int(au[2:])}", index, full))
    return [chosen[au] for au in sorted(chosen)]
