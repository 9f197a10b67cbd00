"""Interlaced video: one picture of each frame, its two fields no longer mixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Deinterlacer:
    """Passes frames through; from the first interlaced one on through FFmpeg's `yadif`, a picture per frame.

    Attributes:
        used: whether a frame was interlaced.
    """

    def __init__(self) -> None:
        self.used = False
        self._graph: Any = None
        self._kind: tuple[Any, ...] = ()

    def through(self, frames: Iterable[Any]) -> Iterator[Any]:
        """The frames, each as a picture; those that are not interlaced are not changed."""
        for frame in frames:
            yield from self._add(frame)
        yield from self._finish()

    def _add(self, frame: Any) -> list[Any]:
        if not self.used and not frame.interlaced_frame:
            return [frame]
        self.used = True
        kind = (frame.width, frame.height, frame.format.name)
        ready = []
        if self._graph is None or kind != self._kind:
            ready = self._finish()
            self._start(frame)
            self._kind = kind
        self._graph.push(frame)
        return ready + self._ready()

    def _finish(self) -> list[Any]:
        if self._graph is None:
            return []
        self._graph.push(None)
        ready, self._graph = self._ready(), None
        return ready

    def _start(self, frame: Any) -> None:
        import av

        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        yadif = self._graph.add("yadif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(yadif)
        yadif.link_to(sink)
        self._graph.configure()

    def _ready(self) -> list[Any]:
        import av

        ready = []
        while True:
            try:
                ready.append(self._graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return ready
