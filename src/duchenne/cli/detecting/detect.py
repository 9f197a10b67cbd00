"""`duchenne detect`: the action units of images and videos, as a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro

from duchenne.cli.parsing import parse
from duchenne.detection.settings import DetectArguments
from duchenne.errors import UsageError
from duchenne.files import shown_name
from duchenne.plain import tell as print

if TYPE_CHECKING:
    from duchenne.detection.detect import Detection


_SHOWN = 6


@dataclass(kw_only=True)
class CommandArguments:
    """Action units of everyone in images and videos: one row per face per frame.

    Inputs are files, folders and patterns. Without -o, NAME_aus.csv is written into the working folder for each.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT [INPUT ...]")] = ()
    """images, videos, folders, patterns"""
    camera: Annotated[str | None, tyro.conf.arg(metavar="N|DEVICE")] = None
    """a camera instead of inputs, 0 for the first; q stops"""
    camera_address: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """--camera may be an address or a file that OpenCV opens, which may use the network"""
    model: str = "duchenne"
    """a detector: `duchenne`, which comes with the package, a folder made by `fit`, an ONNX file; or `blendshapes`"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""
    job: Annotated[DetectArguments, tyro.conf.arg(name="")] = field(default_factory=DetectArguments)
    """what is read and written"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne detect`; returns its exit status."""
    given = parse(CommandArguments, prog="duchenne detect", args=arguments)
    if given.camera is not None:
        return _watch(given, given.camera)
    if given.camera_address:
        raise UsageError("--camera-address: says what --camera may be; name a camera, or leave it out.")
    from duchenne.detection.detect import detect_files
    from duchenne.tables.writing import is_folder

    try:
        done = detect_files(given.inputs, given.job, model=given.model, quiet=given.quiet)
    except KeyboardInterrupt:
        if given.job.output is None or not is_folder(given.job.output):
            raise  # it starts over
        print("duchenne detect: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    for sentence in done.empty if done.tables else ():
        print(f"duchenne detect: {sentence}", file=sys.stderr)
    for outcome in done.outcomes:
        for note in outcome.notes:
            print(f"duchenne detect: {outcome.source}: {note}.", file=sys.stderr)
        if outcome.failure:
            print(f"duchenne detect: {outcome.failure}", file=sys.stderr)
        elif outcome.faceless == outcome.frames:
            what = "it" if outcome.frames == 1 else f"any of its {outcome.frames} frames"
            print(f"duchenne detect: {outcome.source}: no face was found in {what}.", file=sys.stderr)
    for sentence in done.left_out:
        print(f"duchenne detect: {sentence}", file=sys.stderr)
    print(_closing(done))
    return 1 if done.failures else 0


def _watch(given: CommandArguments, source: str) -> int:
    from duchenne.detection.camera import camera, stop_key, watch
    from duchenne.detection.detect import model_for

    job = given.job
    words = {
        "inputs": given.inputs,
        "--overlay": job.overlay,
        "--report": job.report,
        "--scheduler": job.scheduler,
        "--workers": job.workers != 1,
        "--sequence": job.sequence,
        "--chapters": job.chapters,
    }
    for word, value in words.items():
        if value:
            raise UsageError(f"--camera goes without {word}; record a video for that.")
    model = model_for(given.model, job, job)
    with stop_key() as pressed:
        outcome, interrupted = watch(
            camera(source, address=given.camera_address), f"camera {source}", job.settings, model,
            output=job.output, quiet=given.quiet, should_stop=pressed,
        )  # fmt: skip
    print(f"{_number(outcome.frames, 'frame')} ({outcome.faceless} without a face), {_number(outcome.faces, 'face')}")
    if job.output is not None and outcome.frames:
        print(f"-> {job.output}")
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
    shown = [shown_name(path) for path in written[:_SHOWN]]
    more = [f"and {len(written) - _SHOWN} more"] if len(written) > _SHOWN else []
    lines = [counts, "-> " + ", ".join([*shown, *more]) if written else "nothing was written"]
    if done.passed_over:
        overlays = _number(len(done.passed_over), "overlay")
        lines.append(f"{overlays} of these inputs passed over, as {shown_name(done.passed_over[0])}")
    return "\n".join(lines)


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
