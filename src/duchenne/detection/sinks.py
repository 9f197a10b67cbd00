"""Where the frames of an input go: rows of a table, an overlay, a page. Each takes one `FrameResult` after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import pandas as pd

from duchenne.detection.formats import FORMATS
from duchenne.detection.results import FrameResult, Rows
from duchenne.detection.settings import DetectSettings
from duchenne.detectors.base import AuModel, score_scale

STILL_SUFFIXES: Final = (".png", ".jpg", ".jpeg")


class Sink(Protocol):
    """What takes frames."""

    def add(self, result: FrameResult) -> None:
        """Takes the next frame."""
        ...


class RowSink:
    """Rows of a table, given away in pieces.

    Args:
        write: takes a piece.
        settings: which format.
        model: whose columns.
        piece_frames: frames of a piece.
    """

    def __init__(
        self, write: Callable[[pd.DataFrame], None], settings: DetectSettings, model: AuModel, *, piece_frames: int
    ) -> None:
        self._write, self._make, self._piece_frames = write, FORMATS[settings.format], piece_frames
        self._columns, self._scale = model.columns, score_scale(model)
        self._waiting: list[FrameResult] = []

    def add(self, result: FrameResult) -> None:
        """Takes the next frame; its picture is let go."""
        self._waiting.append(result.without_image())
        if len(self._waiting) == self._piece_frames:
            self.flush()

    def flush(self) -> None:
        """Gives away what is left."""
        if self._waiting:
            self._write(self._make(Rows(self._waiting, self._columns, self._scale)))
        self._waiting = []


def open_overlay(stack: ExitStack, path: Path, settings: DetectSettings, model: AuModel) -> Sink:
    """A picture or a video with what was found drawn into it; whole when the stack is left."""
    from duchenne.detection.overlay import StillWriter, overlay_writer  # heavy, and seldom wanted

    columns, scale = model.columns, score_scale(model)
    if path.suffix.lower() in STILL_SUFFIXES:
        return StillWriter(path, columns, anonymous=settings.anonymous, scale=scale)
    return stack.enter_context(overlay_writer(path, columns, anonymous=settings.anonymous, scale=scale))
