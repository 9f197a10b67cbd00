"""Action units of a camera while it runs: `duchenne.camera` gives its pictures, `--camera` shows and writes them."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from duchenne.detection.detector import Detector
from duchenne.detection.job import Outcome, settings_record
from duchenne.detection.overlay import bars
from duchenne.detection.results import FrameResult
from duchenne.detection.settings import DetectSettings
from duchenne.detection.sinks import RowSink
from duchenne.detectors.base import AuModel, score_scale
from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import Picture, turned_round
from duchenne.tables.writing import check_record, is_folder, table_writer, write_record

_PIECE_FRAMES: Final = 64
_MOST_FACES: Final = 4  # shown; all are written
_BAR: Final = 12  # characters
_WAIT_S: Final = 0.2
_GIVE_UP_S: Final = 2.0


class Capture(Protocol):
    """What is needed of a camera: `cv2.VideoCapture` has it."""

    def read(self) -> tuple[bool, Any]:
        """Whether there is a next picture, and that picture, (H, W, 3) BGR uint8."""
        ...

    def release(self) -> None:
        """Lets go of the camera."""
        ...


def camera(source: int | str = 0, *, address: bool = False) -> Generator[Picture]:
    """Pictures from a camera, each the latest available when it is requested.

    Pictures that come while an earlier one is looked at are passed over, so that nothing lags behind: `frame` counts
    all that came, `time_s` is the time since the first.

    Example:
        >>> for frame in duchenne.detect_frames(duchenne.camera(0)):
        ...     print(frame.time_s, [face.scores for face in frame.faces])

    Args:
        source: number of the camera, or its device, as `/dev/video0`.
        address: `source` may be an address, a file or a pipeline that OpenCV opens, which may use the network.

    Raises:
        UsageError: when `source` is no device, and nothing else was allowed.
        InputError: when there is no such camera.
    """
    number = int(source) if str(source).isdecimal() else source
    if isinstance(number, str) and not address and not _is_device(number):
        raise UsageError(
            f"camera {source}: is not a device; give a number or a device such as /dev/video0, name a file without "
            "--camera, or allow addresses (--camera-address)."
        )
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would print what it tried, over ten lines
    try:
        capture: Any = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(f"camera {source}: cannot be opened; check its number, and that no other program uses it.")
    return latest_pictures(capture)


def _is_device(name: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


def latest_pictures(capture: Capture) -> Generator[Picture]:
    """See `camera`; the capture is released at the end."""
    come, over = threading.Condition(), threading.Event()
    waiting: list[Picture] = []
    ended = False

    def read() -> None:
        nonlocal ended
        frame, start_s = 0, 0.0
        while not over.is_set():
            is_there, image = capture.read()
            now_s = time.perf_counter()
            start_s = start_s if frame else now_s
            with come:
                if is_there:
                    rgb = np.ascontiguousarray(image[:, :, ::-1])
                    waiting[:] = [Picture(rgb, frame, now_s - start_s)]
                else:
                    ended = True
                come.notify()
            if not is_there:
                return
            frame += 1

    thread = threading.Thread(target=read, daemon=True, name="duchenne camera")
    thread.start()
    try:
        while True:
            with come:
                while not waiting and not ended:
                    come.wait(_WAIT_S)
                if not waiting:
                    return
                picture = waiting.pop()
            yield picture
    finally:
        over.set()
        thread.join(_GIVE_UP_S)
        if not thread.is_alive():  # a camera that hangs is let go with the process
            capture.release()


def watch(
    pictures: Generator[Picture],
    name: str,
    settings: DetectSettings,
    model: AuModel,
    *,
    output: str | Path | None = None,
    quiet: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Outcome, bool]:
    """Reads pictures as they come until they end, `end_s`, `should_stop` or Ctrl-C; the table is written in any case.

    Args:
        pictures: from `camera`.
        name: for the column `source`.
        settings: which frames and what the rows look like.
        model: opened.
        output: `FILE.csv` or `FILE.parquet`; None writes nothing.
        quiet: show no table of the latest frame.
        should_stop: asked after every frame.

    Returns:
        What was read, and whether Ctrl-C ended it.

    Raises:
        UsageError: when a setting needs a recording.
        InputError: when the output cannot be written.
    """
    outcome, interrupted, shown = Outcome(name), False, bars(model.columns, score_scale(model))
    with ExitStack() as stack:
        stack.enter_context(closing(pictures))
        _check(settings, output)
        rows = None
        if output is not None:
            writer = stack.enter_context(table_writer(Path(output)))
            rows = RowSink(writer.write, settings, model, piece_frames=_PIECE_FRAMES)
        console = Console()
        live = None
        if not quiet and console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        detector = stack.enter_context(Detector(model, min_face=settings.min_face))
        taken = map(turned_round, pictures) if settings.mirrored else pictures
        frames = detector.frames(taken, every=settings.every, start_s=settings.start_s, end_s=settings.end_s)
        before_s = 0.0
        try:
            for result in frames:
                outcome.count(result)
                if rows is not None:
                    rows.add(replace(result, source=name))
                if live is not None:
                    live.update(live_table(result, shown, result.time_s - before_s), refresh=True)
                before_s = result.time_s
                if should_stop():
                    break
        except KeyboardInterrupt:
            interrupted = True
        if rows is not None:
            rows.flush()
    if output is not None and outcome.frames:
        write_record(Path(output), {**settings_record(settings, model), "inputs": [asdict(outcome)]})
    return outcome, interrupted


def _check(settings: DetectSettings, output: str | Path | None) -> None:
    if settings.smooth_s or settings.baseline is not None or settings.anonymous:
        raise UsageError("--smooth-s, --baseline and --anonymous need a recording; leave them out with --camera.")
    if output is not None and is_folder(output):
        raise UsageError(f"-o {output}: a camera gives one table; name FILE.csv or FILE.parquet.")
    if output is not None:
        check_record(Path(output))


def live_table(result: FrameResult, shown: Sequence[tuple[str, int, float]], step_s: float) -> Table:
    """The latest frame for the terminal: a bar per action unit and face.

    Args:
        result: the frame.
        shown: from `overlay.bars`: label, column and value of a full bar.
        step_s: since the frame before.
    """
    faces = sorted(result.faces, key=lambda face: -face.face.box[2])[:_MOST_FACES]
    rate = f", {1 / step_s:.0f} frames/s" if step_s > 0 else ""
    table = Table(title=f"{result.time_s:.1f} s{rate}; q stops", title_justify="left")
    table.add_column("")
    for face in faces:
        words = face.face.flag or " ".join(face.face.quality)
        table.add_column(f"face {face.number}" + (f"\n{words}" if words else ""), min_width=_BAR + 6)
    for label, column, full in shown if faces else ():
        values = [float(face.scores[column]) for face in faces]
        table.add_row(label, *("" if np.isnan(value) else _bar(value, full) for value in values))
    return table


def _bar(value: float, full: float) -> str:
    return f"{value:5.2f} " + "█" * round(_BAR * min(max(value / full, 0), 1))


@contextmanager
def stop_key() -> Iterator[Callable[[], bool]]:
    """A function that says whether q was pressed since it was last asked; never, where there is no keyboard."""
    try:
        import select
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
    except (ImportError, OSError, ValueError, termios.error):  # not a terminal, or Windows, where Ctrl-C stops
        yield lambda: False
        return

    def pressed() -> bool:
        return bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.read(1).lower() == "q"

    tty.setcbreak(sys.stdin)
    try:
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
