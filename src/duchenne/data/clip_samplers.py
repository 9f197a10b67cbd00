"""Sampling clips: which frames of a video a method sees together.

Intervals are in units of 1/25 s by time stamp. A sequence never crosses a missing face, a change of face id or a shot
cut: prepared clips end there, and a gap in the time stamps ends a run as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.errors import InputError

DEFAULT_UNIT_S: Final = 1 / 25


@dataclass(frozen=True)
class Run:
    """Consecutive frames of one clip.

    Attributes:
        rows: (n,) rows of the prepared table, in order of time.
        times_s: (n,) their time stamps.
        starts: number of first positions from which the sampler's sequence fits.
    """

    rows: NDArray[np.int64]
    times_s: NDArray[np.float64]
    starts: int


@dataclass(frozen=True)
class Clip:
    """The runs of one clip that a sequence fits into.

    Attributes:
        number: of the clip, see `Prepared.clip_ids`.
        subject: number of the subject, -1 where unknown.
        unit_s: seconds per interval unit in this clip.
        runs: at least one.
    """

    number: int
    subject: int
    unit_s: float
    runs: tuple[Run, ...]


class SequenceSampler:
    """Draws sequences whose frames lie at fixed offsets from the first one.

    Args:
        offsets: in interval units, ascending from 0, e.g. (0, 1, 2, ..., 11) for temporal ranking at interval 1.
        unit_s: seconds per interval unit; None for 1/25 s, or a clip's own frame spacing where that is longer.
        fixed_seed: draw one sequence per clip for ever, from this seed; None for a new one each time.

    Raises:
        ValueError: when the offsets do not ascend from 0.
    """

    def __init__(self, offsets: Sequence[int], unit_s: float | None = None, fixed_seed: int | None = None) -> None:
        if not offsets or offsets[0] != 0 or any(b <= a for a, b in pairwise(offsets)):
            raise ValueError("offsets must ascend from 0")
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.unit_s = unit_s
        self.fixed_seed = fixed_seed

    @property
    def frames(self) -> int:
        """Frames per sequence."""
        return len(self.offsets)

    def usable_clips(self, data: Prepared, rows: NDArray[np.int64]) -> tuple[list[Clip], int]:
        """The clips that hold at least one sequence.

        Args:
            data: the frames.
            rows: those that may be used, e.g. without the test split.

        Returns:
            The usable clips in order of appearance, and how many were too short.

        Raises:
            InputError: when none is long enough.
        """
        numbers, subjects = data.clip_ids()[rows], data.subject_ids()[rows]
        times = data.frames["time_s"].to_numpy(dtype=np.float64)[rows]
        order = np.lexsort((times, numbers))
        edges = np.flatnonzero(np.diff(numbers[order])) + 1
        clips, short, longest = [], 0, 0.0
        for places in np.split(order, edges):
            unit = self._unit(times[places])
            runs = tuple(self._runs(rows[places], times[places], unit))
            longest = max(longest, float(np.ptp(times[places])))
            if runs:
                clips.append(Clip(int(numbers[places[0]]), int(subjects[places[0]]), unit, runs))
            else:
                short += 1
        if not clips:
            need = int(self.offsets[-1]) * (self.unit_s or DEFAULT_UNIT_S)
            raise InputError(
                f"{data.paths[0]}: none of its {short} clips is long enough: a sequence spans {need:.2f} s and "
                f"{len(self.offsets)} frames, the longest clip {longest:.2f} s; use longer clips or a smaller interval."
            )
        return clips, short

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(frames,) rows of one sequence that starts at a random place of a clip, all places equally likely."""
        if self.fixed_seed is not None:
            rng = np.random.default_rng([self.fixed_seed, clip.number])
        start = int(rng.integers(sum(run.starts for run in clip.runs)))
        for run in clip.runs:
            if start < run.starts:
                return self.rows_from(run, start, clip.unit_s)
            start -= run.starts
        raise AssertionError("a clip without starts")

    def order(self, clips: Sequence[Clip], rng: np.random.Generator) -> NDArray[np.int64]:
        """(len(clips),) the order of an epoch: each clip once, at random."""
        return rng.permutation(len(clips))

    def notes(self, clips: Sequence[Clip], left_out: int) -> list[str]:
        """What a user should know about the usable clips, one sentence each."""
        notes = []
        if left_out:
            total = left_out + len(clips)
            notes.append(f"{left_out} of {total} clips are too short for one sequence and were left out.")
        slow = sorted({round(clip.unit_s, 4) for clip in clips if clip.unit_s > 0.041})
        if slow:
            notes.append(
                f"Some clips have fewer than 25 frames/s; one interval is one of their frames there "
                f"({slow[0]:g} to {slow[-1]:g} s)."
            )
        return notes

    def rows_from(self, run: Run, start: int, unit_s: float) -> NDArray[np.int64]:
        """(frames,) the rows nearest in time to `start` plus the offsets."""
        wanted = run.times_s[start] + self.offsets * unit_s
        right = np.clip(np.searchsorted(run.times_s, wanted), 1, len(run.times_s) - 1)
        nearer_left = wanted - run.times_s[right - 1] <= run.times_s[right] - wanted
        chosen: NDArray[np.int64] = run.rows[right - nearer_left]
        return chosen

    def _unit(self, times: NDArray[np.float64]) -> float:
        if self.unit_s is not None:
            return self.unit_s
        spacing = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        return spacing if spacing > 1.25 * DEFAULT_UNIT_S else DEFAULT_UNIT_S

    def _runs(self, rows: NDArray[np.int64], times: NDArray[np.float64], unit: float) -> list[Run]:
        if len(rows) < len(self.offsets):
            return []
        gaps = np.diff(times)
        limit = 1.5 * max(float(np.median(gaps)), unit)
        runs = []
        span = self.offsets[-1] * unit
        for places in np.split(np.arange(len(rows)), np.flatnonzero(gaps > limit) + 1):
            part = times[places]
            starts = int(np.searchsorted(part, part[-1] - span + unit / 2, side="right")) if len(part) > 1 else 0
            spaced = len(part) > 1 and float(np.median(np.diff(part))) <= 1.25 * unit
            if starts > 0 and spaced and len(part) >= len(self.offsets):
                runs.append(Run(rows[places], part, starts))
        return runs
