"""`duchenne detect`: the action units of images and videos, as a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro

from duchenne.detection.settings import DetectSettings
from duchenne.devices import Precision
from duchenne.errors import UsageError

if TYPE_CHECKING:
    from duchenne.detection.detect import Detection


_SHOWN = 6


@dataclass(kw_only=True)
class DetectArguments:
    """Action units of everyone in images and videos: one row per face per frame.

    Inputs are files, folders and patterns. Without -o, NAME_aus.csv is written into the working folder for each.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT [INPUT ...]")] = ()
    """images, videos, folders, patterns"""
    camera: Annotated[str | None, tyro.conf.arg(metavar="N|DEVICE")] = None
    """a camera in place of inputs, 0 for the first; q stops"""
    model: str = "duchenne"
    """a detector: `duchenne`, which comes with the package, a folder made by `fit`, an ONNX file; or `blendshapes`"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.csv|FILE.parquet|DIR/")] = None
    """one table of all inputs, or a folder for one table per input (those finished by an earlier run are kept)"""
    overlay: Annotated[str | None, tyro.conf.arg(metavar="FILE.mp4|DIR/")] = None
    """the video again, with boxes, landmarks and bars of action units"""
    report: Annotated[str | None, tyro.conf.arg(metavar="FILE.html|DIR/")] = None
    """a page to look through the action units over time"""
    workers: int = 1
    """processes, over files"""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="tcp://HOST:PORT")] = None
    """a Dask cluster that shares the files instead"""
    device: str = "auto"
    """where an encoder computes: auto, cpu, cuda, cuda:N or mps; faces are found on the processor"""
    precision: Precision = "float32"
    """of an encoder; bf16 is faster where the device computes it"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""
    settings: Annotated[DetectSettings, tyro.conf.arg(name="")] = field(default_factory=DetectSettings)
    """what is read"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne detect`; returns its exit status."""
    given = tyro.cli(DetectArguments, prog="duchenne detect", args=arguments)
    if given.camera is not None:
        return _watch(given, given.camera)
    from duchenne.detection.detect import detect_files
    from duchenne.tables.writing import is_folder

    try:
        done = detect_files(
            given.inputs, given.settings, model=given.model, output=given.output, overlay=given.overlay,
            report=given.report, workers=given.workers, scheduler=given.scheduler, device=given.device,
            precision=given.precision, quiet=given.quiet,
        )  # fmt: skip
    except KeyboardInterrupt:
        if given.output is None or not is_folder(given.output):
            raise  # it starts over
        print("duchenne detect: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    for outcome in done.outcomes:
        if outcome.failure:
            print(f"duchenne detect: {outcome.failure}", file=sys.stderr)
        elif outcome.faceless == outcome.frames:
            what = "it" if outcome.frames == 1 else f"any of its {outcome.frames} frames"
            print(f"duchenne detect: {outcome.source}: no face was found in {what}.", file=sys.stderr)
    print(_closing(done))
    return 1 if done.failures else 0


def _watch(given: DetectArguments, source: str) -> int:
    from duchenne.detection.camera import camera, stop_key, watch
    from duchenne.detectors.opening import load_model

    words = {
        "inputs": given.inputs,
        "--overlay": given.overlay,
        "--report": given.report,
        "--scheduler": given.scheduler,
        "--workers": given.workers != 1,
    }
    for word, value in words.items():
        if value:
            raise UsageError(f"--camera goes without {word}; record a video for that.")
    settings = given.settings
    model = load_model(
        given.model, sides=settings.sides, device=given.device, precision=given.precision, all_aus=settings.all_aus,
        decisions=settings.baseline is None,
    )  # fmt: skip
    with stop_key() as pressed:
        outcome, interrupted = watch(
            camera(source), f"camera {source}", settings, model,
            output=given.output, quiet=given.quiet, should_stop=pressed,
        )  # fmt: skip
    print(f"{_number(outcome.frames, 'frame')} ({outcome.faceless} without a face), {_number(outcome.faces, 'face')}")
    if given.output is not None and outcome.frames:
        print(f"-> {given.output}")
    return 130 if interrupted else 0


def _closing(done: Detection) -> str:
    """What was done, in two or three lines."""
    frames, faceless, faces, unread = (
        sum(getattr(outcome, name) for outcome in done.outcomes) for name in ("frames", "faceless", "faces", "unread")
    )
    earlier = f" ({done.finished} finished by an earlier run)" if done.finished else ""
    counts = (
        f"{_number(len(done.outcomes), 'input')}{earlier}, {_number(frames, 'frame')} ({faceless} without a face), "
        f"{_number(faces, 'face')} ({unread} without action units), {_number(len(done.failures), 'failure')}"
    )
    written = [*done.tables, *done.drawings]
    shown = [str(path) for path in written[:_SHOWN]]
    more = [f"and {len(written) - _SHOWN} more"] if len(written) > _SHOWN else []
    lines = [counts, "-> " + ", ".join([*shown, *more]) if written else "nothing was written"]
    if done.passed_over:
        overlays = _number(len(done.passed_over), "overlay")
        lines.append(f"{overlays} of these inputs passed over, as {done.passed_over[0]}")
    return "\n".join(lines)


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
