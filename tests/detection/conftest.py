"""Made-up films: detection can be tested to the last number without a face in sight."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests.detection.made import ScriptedFinder, picture

Film = Callable[..., Path]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """A function (name, levels, times_s=None) that writes a lossless video; see `made.picture` for the levels."""

    def make(name: str, levels: list[int], times_s: list[float] | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The index first: a file that is cut off later can still be opened.
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
            for number, level in enumerate(levels):
                frame = av.VideoFrame.from_ndarray(picture(level), format="rgb24")
                frame.pts = round(1000 * (times_s[number] if times_s else number / 25))
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces as `ScriptedFinder` says."""
    monkeypatch.setattr("duchenne.detection.detector.FaceFinder", ScriptedFinder)
