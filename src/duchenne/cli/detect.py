"""`duchenne detect`: the action units of images and videos, as a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from duchenne.detection.detect import Detection


@dataclass(kw_only=True)
class DetectArguments:
    """Action units of everyone in images and videos: one row per face per frame.

    Inputs are files, folders and patterns. Without -o, NAME_aus.csv is written into the working folder for each.
    """

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT [INPUT ...]")]
    """images, videos, folders, patterns"""
    model: str = "blendshapes"
    """the detector; `blendshapes` gives raw scores, AUxx_s, and needs no training"""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.csv|FILE.parquet|DIR/")] = None
    """one table of all inputs, or a folder for one table per input (those finished by an earlier run are kept)"""
    format: Literal["duchenne", "openface", "fex"] = "duchenne"
    """column names: our own, OpenFace's, or those of py-feat's Fex"""
    min_face: int = 32
    """faces narrower than this many pixels are listed without action units"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne detect`; returns its exit status."""
    given = tyro.cli(DetectArguments, prog="duchenne detect", args=arguments)
    from duchenne.detection.detect import detect_files

    done = detect_files(
        given.inputs,
        model=given.model,
        output=given.output,
        format=given.format,
        min_face=given.min_face,
        quiet=given.quiet,
    )
    for outcome in done.outcomes:
        if outcome.failure:
            print(f"duchenne detect: {outcome.failure}", file=sys.stderr)
        elif outcome.faceless == outcome.frames:
            what = "it" if outcome.frames == 1 else f"any of its {outcome.frames} frames"
            print(f"duchenne detect: {outcome.source}: no face was found in {what}.", file=sys.stderr)
    print(_closing(done))
    return 1 if done.failures else 0


def _closing(done: Detection) -> str:
    """What was done, in two lines."""
    frames, faceless, faces, unread = (
        sum(getattr(outcome, name) for outcome in done.outcomes) for name in ("frames", "faceless", "faces", "unread")
    )
    earlier = f" ({done.finished} finished by an earlier run)" if done.finished else ""
    counts = (
        f"{_number(len(done.outcomes), 'input')}{earlier}, {_number(frames, 'frame')} ({faceless} without a face), "
        f"{_number(faces, 'face')} ({unread} without action units), {_number(len(done.failures), 'failure')}"
    )
    shown = [str(table) for table in done.tables[:5]]
    more = [f"and {len(done.tables) - 5} more"] if len(done.tables) > 5 else []
    return "\n".join([counts, "-> " + ", ".join([*shown, *more]) if done.tables else "nothing was written"])


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
