"""`duchenne synth`: synthetic faces with exact action units, as prepared data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from duchenne.plain import tell as print


def main(arguments: list[str]) -> int:
    """Parses, renders, prints one closing line."""

    def run(
        out: Path,
        subjects: int = 32,
        clips: int = 8,
        frames: int = 64,
        size: int = 128,
        seed: int = 0,
        head: Literal["natural", "still", "fixed"] = "natural",
        style: Literal["mixed", "natural", "drawn", "modelled"] = "mixed",
        aus: Literal["on", "off"] = "on",
        workers: int = 0,
        stats: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
        quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    ) -> int:
        """Makes synthetic faces with exact action units, as prepared data.

        Args:
            out: the folder to write.
            subjects: number of people; the last quarter is the test split.
            clips: clips of each person.
            frames: frames of each clip, at 25 a second.
            size: side of the crops in pixels.
            seed: determines everything; two seeds share no person.
            head: what moves besides action units: everything (natural), gaze and blinks (still), nothing (fixed).
            style: how faces are rendered; mixed draws natural or drawn for each clip; modelled: heads in 3-D, [faces].
            aus: off keeps every action unit at 0 in otherwise identical clips.
            workers: processes, 0 for one per core; the result does not depend on it.
            stats: measure how the set could mislead: print it and write stats.csv beside it.
            quiet: show no progress.
        """
        from duchenne.synthetic.stats import read_stats
        from duchenne.synthetic.synth import synth

        data = synth(
            out, subjects=subjects, clips=clips, frames=frames, size_px=size, seed=seed, head=head, style=style,
            aus=aus, workers=workers, stats=stats, quiet=quiet,
        )  # fmt: skip
        counts = data.infos[0].counts
        print(f"{out}: {counts['crops']} crops of {subjects} subjects in {counts['clips']} clips.")
        if stats:
            print(read_stats(out).text())
        return 0

    return tyro.cli(run, prog="duchenne synth", args=arguments)
