"""One input of `detect`: read once, written as table, overlay and report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne._version import __version__
from duchenne.detection.detector import Detector
from duchenne.detection.results import FrameResult
from duchenne.detection.settings import DetectSettings
from duchenne.detection.sinks import RowSink, Sink, open_overlay
from duchenne.detection.temporal import Baseline, resting_faces, smooth
from duchenne.detectors.base import AuModel
from duchenne.errors import InputError, starved
from duchenne.faces.decode import Found
from duchenne.faces.recordings.listing import Assembly
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.files import shown_name
from duchenne.parallel import ahead

OVERLAY_ENDING: Final = "_overlay"  # before the suffix
_PACKAGES: Final = ("mediapipe", "opencv-contrib-python", "av", "numpy")  # what the numbers depend on
_AHEAD: Final = 4  # frames read while earlier ones are drawn and written
_ROUNDED_S: Final = 0.005  # as end_s is shown
_PIECE_FRAMES: Final = 512  # frames per piece of a table, the unit of writing


@dataclass(frozen=True)
class Job:
    """One input and where its drawings go.

    Attributes:
        path: the image or video, the first chapter of one, or a folder of pictures.
        overlay: the video or image to draw, or None. report: the page to write, or None.
        assembly: how it becomes one recording.
    """

    path: Path
    overlay: Path | None = None
    report: Path | None = None
    assembly: Assembly = field(default_factory=Assembly)


@dataclass
class Outcome:
    """What was read of one input.

    Attributes:
        source: the input as the user named it.
        frames: read. faceless: of these, without a face.
        faces: found, summed over frames. unread: of these, without AUs (their flag says why).
        failure: one sentence when it could not be read, or not to its end; None when all is well.
        start_s: what the recording's own clock says where `time_s` is 0; None where it has none.
        notes: what a user should know of it, sentences without its name.
    """

    source: str
    frames: int = 0
    faceless: int = 0
    faces: int = 0
    unread: int = 0
    failure: str | None = None
    start_s: float | None = None
    notes: list[str] = field(default_factory=list)

    def count(self, result: FrameResult) -> None:
        """Adds one frame."""
        self.frames += 1
        self.faceless += not result.faces
        self.faces += len(result.faces)
        self.unread += sum(bool(face.face.flag) for face in result.faces)


def settings_record(settings: DetectSettings, model: AuModel) -> dict[str, Any]:
    """Versions, model and settings, as JSON."""
    numbers = sorted({int(column[2:4]) for column in model.columns})
    return {
        "duchenne": __version__,
        "versions": {name: version(name) for name in _PACKAGES},
        "model": model.name,
        "about_model": model.describe(),
        "columns": list(model.columns),
        "aus": {au_column(au): ACTION_UNITS[au].name for au in numbers if au in ACTION_UNITS},
        "crop_px": model.crop_px,
        **asdict(settings),
    }


def read_frames(
    job: Job,
    detector: Detector,
    settings: DetectSettings,
    common: Baseline | None,
    found: Found | None = None,
    rested: Callable[[Baseline], None] = lambda _: None,
) -> Iterator[FrameResult]:
    """The frames of one input as the settings want them. Nothing is read or raised before the first is taken.

    Args:
        job: the input.
        detector: finds and scores.
        settings: which frames, smoothing, baseline.
        common: the resting face from a recording of its own; None where there is none.
        found: is filled with what reading shows.
        rested: is given the resting faces that are subtracted, before the first frame.

    Raises:
        InputError: when nothing can be read; after the last frame that could be, when the file is damaged.
    """
    baseline, window, assembly = common, settings.baseline_window_s, job.assembly
    found = found or Found()
    broken: list[InputError] = []
    if window is not None:
        baseline = _own_rest(job, detector, settings, window, found, broken)
    start_s, end_s, width_s = settings.start_s, settings.end_s, settings.smooth_s
    # A value at the edge of a range is smoothed with those beyond it, as in the whole video.
    beyond_s = None if end_s is None else end_s + width_s
    from_s = max(0.0, start_s - width_s)
    frames = detector.frames(
        job.path, every=settings.every, start_s=from_s, end_s=beyond_s, assembly=assembly, found=found
    )
    if baseline is not None:
        rested(baseline)
        frames = baseline.subtract(frames)
    if width_s:
        smoothed = smooth(frames, width_s, detector.model.columns)
        frames = (one for one in smoothed if one.time_s >= start_s and (end_s is None or one.time_s < end_s))
    before_s, apart_s = -inf, inf
    people: set[int] = set()
    try:
        for result in frames:
            before_s, apart_s = result.time_s, min(apart_s, result.time_s - before_s)
            people.update(face.number for face in result.faces if not face.face.flag)
            yield result
    finally:
        if width_s and width_s / 2 + 1e-9 < apart_s < inf:
            found.notes.append(
                f"the frames that were read are {apart_s:g} s apart, so --smooth-s {width_s:g} changes nothing"
            )
        if common is not None and len(people) > 1:
            found.notes.append(
                f"shows {len(people)} people, and the resting face of {settings.baseline} was subtracted from all of "
                "them; only the values of that person mean anything"
            )
    if broken:  # in the resting face alone: what is wrong before `end_s` was raised by then
        raise broken[0]


def _own_rest(
    job: Job, detector: Detector, settings: DetectSettings, window: tuple[float, float], found: Found,
    broken: list[InputError],
) -> Baseline:  # fmt: skip
    """The resting faces of an input, from its own seconds.

    Raises:
        InputError: when it shows none there: a picture has no time, and would be its own.
    """
    looked, number = Found(), 0
    resting = detector.frames(
        job.path, every=settings.every, start_s=window[0], end_s=window[1], assembly=job.assembly, found=looked
    )

    def counted() -> Iterator[FrameResult]:
        nonlocal number
        for result in _readable(resting, broken):
            number += 1
            yield result

    own = resting_faces(counted())
    if not broken and looked.end_s == 0:
        raise InputError(
            f"{job.path}: is a picture and has no seconds {settings.baseline}; give a picture or recording of the "
            "resting face as --baseline (or --sequence, where pictures are the frames of a recording)."
        )
    if not own:
        what = "shows no face in"
        if looked.end_s <= window[0]:
            what = f"ends at {looked.end_s:.2f} s, before"
        elif not number:
            what = f"has no frame{' that --every reads' if settings.every > 1 else ''} in"
        nobody = InputError(f"{job.path}: {what} seconds {settings.baseline}; choose another --baseline.")
        raise next(iter(broken), nobody)
    if looked.end_s < window[1] - _ROUNDED_S:
        found.notes.append(f"ends at {looked.end_s:.2f} s, so its resting face is that from {window[0]:g} s to there")
    return Baseline({face: values for face, values in own.items()})


def _readable(frames: Iterable[FrameResult], broken: list[InputError]) -> Iterator[FrameResult]:
    """The frames that can be read; why there are no more goes to a list, so that the input is still read itself."""
    try:
        yield from frames
    except InputError as error:
        broken.append(error)


def run_job(
    job: Job,
    detector: Detector,
    settings: DetectSettings,
    common: Baseline | None,
    write: Callable[[pd.DataFrame], None],
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Reads one input; gives its rows to `write`, in order, and draws what is asked for.

    Args:
        job: the input.
        detector: finds and scores.
        settings: how.
        common: the resting face from a recording of its own; None where there is none.
        write: takes pieces of the table.
        advance: called once per frame.

    Returns:
        What was read; an input that breaks gives its frames before the break, and the reason.

    Raises:
        InputError: when an output cannot be written.
    """
    outcome, found = Outcome(shown_name(job.path)), Found()
    with ExitStack() as stack:
        rows = RowSink(write, settings, detector.model, piece_frames=_PIECE_FRAMES)
        sinks: list[Sink] = []
        if job.overlay is not None:
            sinks.append(open_overlay(stack, job.overlay, settings, detector.model))
        page = None
        if job.report is not None:
            from duchenne.detection.report import ReportCollector

            page = ReportCollector(detector.model, anonymous=settings.anonymous, settings=settings)
            sinks.append(page)

        # What is drawn and written is made while the next frames are looked at.
        rested = page.rested if page is not None else lambda _: None
        reading = read_frames(job, detector, settings, common, found, rested)
        frames = stack.enter_context(closing(ahead(reading, _AHEAD)))
        while True:
            # Only what reading raises is this input's failure; what writing raises ends the run.
            try:
                result = next(frames, None)
            except InputError as error:
                outcome.failure = str(error)
                result = None
            except Exception as error:  # what ran out is told by libraries in errors of their own
                short = starved(error)
                if short is None:
                    raise
                outcome.failure = f"{job.path}: {short}"
                result = None
            if result is None:
                break
            outcome.count(result)
            for sink in (*sinks, rows):
                sink.add(result)
            advance()
        rows.flush()
        outcome.start_s, outcome.notes = found.start_s, found.notes
        if not outcome.frames and outcome.failure is None:
            outcome.failure = (
                f"{job.path}: has no frame in the time that was asked for, it goes from 0 to {found.end_s:.2f} s; "
                "change --start-s and --end-s."
            )
        if page is not None and job.report is not None:
            page.write(job.report, outcome.source, outcome.failure)
    return outcome
