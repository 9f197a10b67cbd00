"""`duchenne prepare`: the faces of videos or of a data set, found, aligned and stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(kw_only=True)
class PrepareArguments:
    """Finds, follows, aligns and stores the faces of videos or of a data set; run again, it goes on where it stopped.

    Inputs that cannot be read are listed with their reasons in OUT/failures.csv; the rest is complete.
    """

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """a reader's name: `videos` (every video in a folder, plain or coded) or `table` (images named by a CSV)"""
    root: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the data"""
    out: Annotated[Path, tyro.conf.arg(metavar="PREPARED")]
    """folder to write"""
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")] = None
    """videos: codes per frame or with onset and offset; a CSV, or text exports of ELAN, BORIS, The Observer"""
    coder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """videos: whose codes to take where several coded the same video"""
    table: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """table: the list of images, with a column `path` and any of subject, clip, frame, time_s, AUxx, emotion, split"""
    detect: bool = True
    """table: find and align a face in every image, or take images that are aligned crops already"""
    names: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """videos: names for the faces found (equal ones are merged, empty ones left out); needs no new search"""
    workers: int = 0
    """processes, 0 for one per core; any number writes the same bytes"""
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 256
    """side of the crops in pixels"""
    min_face: Annotated[float, tyro.conf.arg(metavar="PX")] = 32
    """faces narrower than this many pixels are counted and not kept"""
    fps: Annotated[float | None, tyro.conf.arg(metavar="FPS")] = None
    """videos: frames per second to keep, by time stamp (all by default)"""
    alignment: Literal["frame", "smooth"] = "frame"
    """align every frame by itself, or (videos) smoothed over time"""
    positive_from: Annotated[float, tyro.conf.arg(metavar="X")] = 2
    """lowest coded intensity, 0 to 5, that counts as present"""
    name: str | None = None
    """name of the data set (that of the folder by default)"""
    licence: str = "not stated"
    """licence of the data; it travels into checkpoints and model cards"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne prepare`; returns its exit status."""
    given = vars(tyro.cli(PrepareArguments, prog="duchenne prepare", args=arguments))
    from duchenne.faces.prepare import prepare

    done = prepare(given.pop("dataset"), size_px=given.pop("size"), **given)
    for note in done.notes:
        print(f"duchenne prepare: {note}", file=sys.stderr)
    print(done)
    failures = done.counts["failures"]
    if failures:
        what = "1 file failed" if failures == 1 else f"{failures} files failed"
        print(f"duchenne prepare: {what}; {done.out / 'failures.csv'} says why.", file=sys.stderr)
    return 1 if failures else 0
