"""Sampling a few separate frames of a clip: for the methods that compare views of single pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from duchenne.data.clip_samplers import DEFAULT_UNIT_S, Clip, ClipTable, Found
from duchenne.data.prepared import Prepared
from duchenne.data.stored.used import used_clips
from duchenne.errors import InputError


class ClipFrames:
    """Draws different frames of a clip, each set equally likely; an epoch is one draw of every clip.

    A picture without a clip of its own is a clip of one frame.

    Args:
        frames: per draw, at least 1.
    """

    def __init__(self, frames: int = 1) -> None:
        self._frames = frames

    @property
    def frames(self) -> int:
        """Frames per draw."""
        return self._frames

    def usable_clips(self, data: Prepared, rows: NDArray[np.int64]) -> tuple[ClipTable, int]:
        """The clips with enough frames in order of appearance, and how many have too few.

        Raises:
            InputError: when none has enough.
        """
        found, few = Found(), 0
        for used in used_clips(data, rows):
            enough = used.lengths >= self.frames
            few += int((~enough).sum())
            partly, one = np.flatnonzero(enough & ~used.whole).tolist(), np.ones(len(enough), dtype=np.int64)
            found.add(
                used, np.flatnonzero(enough), np.full(len(one), DEFAULT_UNIT_S), one,
                {place: [(0, int(used.lengths[place]), 1)] for place in partly},
                data.subject_ids(np.minimum.reduceat(used.rows, used.begin)),
            )  # fmt: skip
        if not found.clips:
            raise InputError(
                f"{data.paths[0]}: none of its {few} clips has the {self.frames} frames that the method needs "
                "of each; prepare videos, or choose a method for single pictures."
            )
        return found.table(data, timed=False), few

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(frames,) different rows of a clip, in random order."""
        return draw_frames(clip, self.frames, rng)

    def order(self, clips: Sequence[Clip], rng: np.random.Generator) -> NDArray[np.int64]:
        """(len(clips),) the order of an epoch: each clip once, at random."""
        return rng.permutation(len(clips))

    def notes(self, clips: Sequence[Clip], left_out: int) -> list[str]:
        """What a user should know about the usable clips, one sentence each."""
        if not left_out:
            return []
        return [f"{left_out} of {left_out + len(clips)} clips have under {self.frames} frames and were left out."]


def draw_frames(clip: Clip, number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(number,) different rows of a clip, in random order; of a recording those of one clip, which all frames draw."""
    if clip.parts:
        frames = np.array([sum(len(run.rows) for run in part.runs) for part in clip.parts])
        clip = clip.parts[int(rng.choice(len(frames), p=frames / frames.sum()))]
    rows = np.concatenate([run.rows for run in clip.runs])
    return rng.choice(rows, size=number, replace=False)
