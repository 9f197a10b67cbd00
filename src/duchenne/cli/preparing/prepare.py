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
    """a reader's name: `videos` (every video in a folder, plain or coded), `table` (images named by a CSV), or a
    data set (bp4d, disfa ...; `duchenne info` lists them)"""
    root: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder of the data"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PREPARED")] = None
    """folder to write; needed unless --check"""
    check: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """data sets: only say what was found, what is missing and how the counts compare with the published ones; takes
    seconds, reads no pictures, writes nothing"""
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
    aus: Literal["protocol", "all"] | None = None
    """data sets: the action units of the published protocol (default), or all that are coded and known"""
    frames: Literal["coded", "all"] | None = None
    """data sets: those with labels (default), or all"""
    emotions: Literal[7, 8] | None = None
    """affectnet: 8 (default), or 7 to leave out contempt"""
    camera: Literal["left", "right"] | None = None
    """disfa: which of the two (left by default)"""
    parts: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """data sets: a table with subject and part; train, validation and test give the split, others folds"""
    missing: Literal["drop", "negative"] = "drop"
    """labelled images without a crop: left out of evaluations, or counted as predicted absent"""
    workers: int = 0
    """processes, 0 for one per core; any number writes the same bytes"""
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 256
    """side of the crops in pixels"""
    min_face: Annotated[float, tyro.conf.arg(metavar="PX")] = 32
    """faces narrower than this many pixels are counted and not kept"""
    fps: Annotated[float | None, tyro.conf.arg(metavar="FPS")] = None
    """videos: frames per second to keep, by time stamp (all by default)"""
    alignment: Literal["frame", "smooth", "five", "all68", "dataset", "none"] = "frame"
    """every frame by its eye corners and nose; that, smoothed over time (videos); by eye centres, nose tip and mouth
    corners; by all 68 landmarks; by the data set's own landmarks; or not at all, for images that are aligned crops"""
    positive_from: Annotated[float | None, tyro.conf.arg(metavar="X")] = None
    """lowest coded intensity, 0 to 5, that counts as present (2, unless the data set says otherwise)"""
    name: str | None = None
    """name of the data set (that of the reader, or of the folder)"""
    licence: str | None = None
    """licence of the data; it travels into checkpoints and model cards"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """no progress bar"""


def main(arguments: list[str]) -> int:
    """Runs `duchenne prepare`; returns its exit status."""
    given = vars(tyro.cli(PrepareArguments, prog="duchenne prepare", args=arguments))
    from duchenne.preparing.prepare import prepare

    done = prepare(given.pop("dataset"), size_px=given.pop("size"), **given)
    for note in done.notes:
        print(f"duchenne prepare: {note}", file=sys.stderr)
    print(done)
    if done.out is None:
        return 1 if done.survey and done.survey.missing else 0
    failures = done.counts["failures"]
    if failures:
        what = "1 file failed" if failures == 1 else f"{failures} files failed"
        print(f"duchenne prepare: {what}; {done.out / 'failures.csv'} says why.", file=sys.stderr)
    return 1 if failures else 0
