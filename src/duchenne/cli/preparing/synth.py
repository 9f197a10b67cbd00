"""`duchenne synth`: synthetic faces with exact action units, as prepared data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.cli.parsing import parse
from duchenne.plain import tell as print


@dataclass(frozen=True, kw_only=True)
class SynthArguments:
    """Makes synthetic faces with exact action units, as prepared data."""

    out: Path
    """the folder to write"""
    subjects: int = 32
    """number of people; the last quarter is the test split"""
    clips: int = 8
    """clips of each person"""
    frames: int = 64
    """frames of each clip, at 25 a second"""
    size: int = 128
    """side of the crops in pixels"""
    seed: int = 0
    """determines everything; two seeds share no person"""
    head: Literal["natural", "still", "fixed"] = "natural"
    """what moves besides action units: everything (natural), gaze and blinks (still), nothing (fixed)"""
    style: Literal["mixed", "natural", "drawn", "modelled"] = "mixed"
    """how faces are rendered; mixed draws natural or drawn for each clip; modelled: heads in 3-D, [faces]"""
    aus: Literal["on", "off", "hidden"] = "on"
    """off keeps every action unit at 0 in otherwise identical clips; hidden too, but with the labels of on"""
    workers: int = 0
    """processes, 0 for one per core; the result does not depend on it"""
    stats: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """measure how the set could mislead: print it and write stats.csv beside it"""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """show no progress"""


def main(arguments: list[str]) -> int:
    """Parses, renders, prints one closing line."""
    given = parse(SynthArguments, args=arguments, prog="duchenne synth")

    from duchenne.synthetic.stats import read_stats
    from duchenne.synthetic.synth import synth

    data = synth(
        given.out, subjects=given.subjects, clips=given.clips, frames=given.frames, size_px=given.size,
        seed=given.seed, head=given.head, style=given.style, aus=given.aus, workers=given.workers, stats=given.stats,
        quiet=given.quiet,
    )  # fmt: skip
    counts = data.infos[0].counts
    print(f"{given.out}: {counts['crops']} crops of {given.subjects} subjects in {counts['clips']} clips.")
    if given.stats:
        print(read_stats(given.out).text())
    return 0
