"""One input of `detect`: its rows, piece by piece, and what they count up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne import __version__
from duchenne.detection.detector import Detector
from duchenne.detection.formats import FORMATS, Format
from duchenne.detection.model import AuModel
from duchenne.detection.results import FrameResult, Rows, batches
from duchenne.errors import InputError

_PIECE_FRAMES: Final = 512  # frames per piece of a table, the unit of writing


@dataclass(frozen=True)
class Options:
    """What decides a table besides its input; tables made with other options are made anew."""

    format: Format
    min_face: int

    def record(self, model: AuModel) -> dict[str, Any]:
        """The options, the model and the version, as JSON."""
        return {
            "duchenne": __version__,
            "model": model.name,
            "about_model": model.describe(),
            "columns": list(model.columns),
            **asdict(self),
        }


@dataclass
class Outcome:
    """What was read of one input.

    Attributes:
        source: the input as the user named it.
        frames: decoded. faceless: of these, without a face.
        faces: found, summed over frames. unread: of these, without AUs (their flag says why).
        failure: one sentence when it could not be read, or not to its end; None when all is well.
    """

    source: str
    frames: int = 0
    faceless: int = 0
    faces: int = 0
    unread: int = 0
    failure: str | None = None

    def count(self, result: FrameResult) -> None:
        """Adds one frame."""
        self.frames += 1
        self.faceless += not result.faces
        self.faces += len(result.faces)
        self.unread += sum(bool(face.face.flag) for face in result.faces)


def read_input(
    path: Path,
    detector: Detector,
    options: Options,
    write: Callable[[pd.DataFrame], None],
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Gives the rows of one image or video to `write`, in order.

    Args:
        path: the input.
        detector: finds and scores.
        options: the format of the rows.
        write: takes pieces of the table.
        advance: called once per frame.

    Returns:
        What was read; an input that breaks gives its frames before the break, and the reason.
    """
    outcome = Outcome(str(path))

    def lean() -> Iterator[FrameResult]:
        for result in detector.frames(path):
            outcome.count(result)
            advance()
            yield result.without_image()

    pieces = batches(lean(), _PIECE_FRAMES)
    while True:
        # Only what reading raises is this input's failure; what writing raises ends the run.
        try:
            piece = next(pieces, None)
        except InputError as error:
            outcome.failure = str(error)
            return outcome
        if piece is None:
            return outcome
        write(FORMATS[options.format](Rows(piece, detector.model.columns)))
