"""Sampling clips: which frames of a video a method sees together.

Intervals are in units of 1/25 s by time stamp. A sequence never crosses a missing face, a change of face id or a shot
cut: prepared clips end there, and a gap in the time stamps ends a run as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.stored.making import clip_pieces
from duchenne.data.stored.spilled import spilled
from duchenne.data.stored.used import Used, ranges, used_clips
from duchenne.errors import InputError

DEFAULT_UNIT_S: Final = 1 / 25
_SLOW_S: Final = 1.001 * DEFAULT_UNIT_S
"""Frame spacing above which a clip has fewer than 25 frames/s; up to it, its time stamps are merely not exact."""


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
    """The runs of one clip that a sequence fits into; or of a recording that was cut into clips.

    Attributes:
        number: of the clip, see `Prepared.clip_ids`; of a recording: of its first clip, and so are subject and unit.
        subject: number of the subject, -1 where unknown.
        unit_s: seconds per interval unit in this clip.
        runs: at least one.
        parts: of a recording its clips. All that is drawn together is of one of them: another may show another person.
    """

    number: int
    subject: int
    unit_s: float
    runs: tuple[Run, ...]
    parts: tuple[Clip, ...] = ()

    def clip_of(self, row: int) -> Clip:
        """The clip itself; of a recording the clip that holds the row."""
        return next((part for part in self.parts if any(row in run.rows for run in part.runs)), self)


class ClipTable(Sequence[Clip]):
    """Clips as a few numbers each, made when asked for: millions of them need no object of their own.

    A run is a stretch of `Prepared.in_clips`, or of `others` where only some of a clip's frames may be used.

    Args:
        data: the frames.
        facts: (C,) each: `number`, `subject` and `unit` of every clip, and `runs`, how many it has.
        runs: (R,) each: `first` (from 0 in `in_clips`; -1 and below: -1 - the place in `others`), `length`, `starts`.
        others: rows, clip by clip.
        timed: whether the frames are in order of time; else they are in order of the table, their times are 0.
    """

    def __init__(
        self,
        data: Prepared,
        facts: Mapping[str, NDArray[Any]],
        runs: Mapping[str, NDArray[np.int64]],
        others: NDArray[np.int64],
        *,
        timed: bool,
    ) -> None:
        self._data, self._facts, self._runs, self._others, self._timed = data, facts, runs, others, timed
        self._end = np.cumsum(facts["runs"])

    def __len__(self) -> int:
        return len(self._end)

    @overload
    def __getitem__(self, place: int) -> Clip: ...
    @overload
    def __getitem__(self, place: slice) -> ClipTable: ...
    def __getitem__(self, place: int | slice) -> Clip | ClipTable:
        """The clip at a place, or a part of them."""
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        place = range(len(self))[place]
        end = int(self._end[place])
        runs = range(end - int(self._facts["runs"][place]), end)
        number, subject, unit = (self._facts[name][place] for name in ("number", "subject", "unit"))
        return Clip(int(number), int(subject), float(unit), tuple(self._run(run) for run in runs))

    @property
    def units(self) -> NDArray[np.float64]:
        """(C,) seconds per interval unit."""
        return self._facts["unit"]

    def take(self, places: NDArray[np.int64]) -> ClipTable:
        """The clips at some places."""
        facts = {name: values[places] for name, values in self._facts.items()}
        chosen = ranges(self._end[places] - facts["runs"], facts["runs"])
        runs = {name: values[chosen] for name, values in self._runs.items()}
        return ClipTable(self._data, facts, runs, self._others, timed=self._timed)

    def first_rows(self) -> NDArray[np.int64]:
        """(C,) the first row of every clip."""
        first = self._end - self._facts["runs"]
        if self._timed:
            return np.concatenate(
                [self._rows(first[part], np.ones(len(first[part]), np.int64)) for part in self._parts()]
            )
        begin = np.concatenate([[0], np.cumsum(self._runs["length"])])[:-1]
        return np.concatenate(
            [self.rows(part)[begin[first[part]] - begin[first[part.start]]] for part in self._parts()]
        )

    def pieces(self) -> Iterator[NDArray[np.int64]]:
        """The rows of all clips one after another, some clips at a time."""
        for part in self._parts():
            yield self.rows(part)

    def rows(self, part: slice) -> NDArray[np.int64]:
        """The rows of some clips one after another."""
        end, count = self._end[part], self._facts["runs"][part]
        runs = ranges(end - count, count)
        found = self._rows(runs, self._runs["length"][runs])
        if self._timed:
            return found
        return found[np.lexsort((found, np.repeat(np.arange(len(runs)), self._runs["length"][runs])))]

    def _parts(self) -> list[slice]:
        frames = np.concatenate([[0], np.cumsum(self._runs["length"])])[self._end]
        return [slice(*part) for part in clip_pieces(np.concatenate([[0], frames]))] or [slice(0, 0)]

    def _rows(self, runs: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first rows of some runs, as many as `lengths` says."""
        first = self._runs["first"][runs]
        own = ranges(np.where(first < 0, -1 - first, first), lengths)
        other = np.repeat(first < 0, lengths)
        out = np.empty(len(own), dtype=np.int64)
        out[other] = self._others[own[other]]
        out[~other] = self._data.in_clips(own[~other])
        return out

    def _run(self, run: int) -> Run:
        first, length, starts = (int(self._runs[name][run]) for name in ("first", "length", "starts"))
        stored = (
            self._data.in_clips(slice(first, first + length)) if first >= 0 else self._others[-1 - first :][:length]
        )
        rows = np.asarray(stored)
        return (
            Run(rows, self._data.times(rows), starts) if self._timed else Run(np.sort(rows), np.zeros(length), starts)
        )


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

    def usable_clips(self, data: Prepared, rows: NDArray[np.int64]) -> tuple[ClipTable, int]:
        """The clips that hold at least one sequence.

        Args:
            data: the frames.
            rows: those that may be used, e.g. without the test split.

        Returns:
            The usable clips in order of appearance, and how many were too short.

        Raises:
            InputError: when none is long enough.
        """
        found, short, sparse, longest = Found(), 0, 0, 0.0
        spacing, gap = data.clip_column("spacing"), data.clip_column("gap")
        for used in used_clips(data, rows):
            times, begin = data.times(used.rows), used.begin
            longest = max(longest, float(np.fmax.reduce(times[begin + used.lengths - 1] - times[begin], initial=0.0)))
            middle, widest = spacing[used.numbers], gap[used.numbers]
            for place in np.flatnonzero(~used.whole & (used.lengths > 1)):
                steps = np.diff(times[begin[place] : begin[place] + used.lengths[place]])
                middle[place], widest[place] = np.median(steps), steps.max()
            unit = self._units(np.where(used.lengths > 1, middle, 0.0))
            long = used.lengths >= max(2, len(self.offsets))
            even = long & (widest <= 1.5 * np.maximum(middle, unit))
            last = times[begin + used.lengths - 1] - self.offsets[-1] * unit + unit / 2
            starts = np.add.reduceat(times <= np.repeat(last, used.lengths), begin, dtype=np.int64)
            dense = self._dense(unit, middle)
            sparse += int((long & ~dense).sum())
            fits = even & (starts > 0) & dense
            runs = {
                int(place): [(0, int(used.lengths[place]), int(starts[place]))]
                for place in np.flatnonzero(fits & ~used.whole)
            }
            for place in np.flatnonzero(long & ~even):
                part = times[begin[place] : begin[place] + used.lengths[place]]
                runs[int(place)] = self._runs(part, float(unit[place]), float(middle[place]))
            kept = fits.copy()
            kept[[place for place, own in runs.items() if own]] = True
            short += int((~kept).sum())
            found.add(used, np.flatnonzero(kept), unit, starts, runs, data.subject_ids(used.rows[begin]))
        if not found.clips:
            if sparse and self.unit_s is not None:
                raise InputError(
                    f"{data.paths[0]}: none of its clips is usable: {sparse} have too few frames for an interval unit "
                    f"of {self.unit_s} s, others are too short; use a longer --interval-unit or none."
                )
            need = int(self.offsets[-1]) * (self.unit_s or DEFAULT_UNIT_S)
            raise InputError(
                f"{data.paths[0]}: none of its {short} clips is long enough: a sequence spans {need:.2f} s and "
                f"{len(self.offsets)} frames, the longest clip {longest:.2f} s; use longer clips or a smaller interval."
            )
        return found.table(data, timed=True), short

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(frames,) rows of one sequence that starts at a random place, all of a clip or recording equally likely."""
        if self.fixed_seed is not None:
            rng = np.random.default_rng([self.fixed_seed, clip.number])
        start = int(rng.integers(sum(run.starts for run in clip.runs)))
        for part in clip.parts or (clip,):
            for run in part.runs:
                if start < run.starts:
                    return self.rows_from(run, start, part.unit_s)
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
            sparse = ", or have too few frames for the interval unit," if self.unit_s is not None else ""
            notes.append(f"{left_out} of {total} clips are too short for one sequence{sparse} and were left out.")
        units = clips.units if isinstance(clips, ClipTable) else np.array([clip.unit_s for clip in clips])
        slow = sorted({round(float(unit), 4) for unit in np.unique(units[units > _SLOW_S])})
        if slow and self.unit_s is None:
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

    def _units(self, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.unit_s is not None:
            return np.full(len(spacing), float(self.unit_s))
        return np.where(spacing > _SLOW_S, spacing, DEFAULT_UNIT_S)

    def _dense(self, unit: NDArray[np.float64], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(C,) whether frames that far apart are near enough to what is wanted, and no two of a sequence the same."""
        near: NDArray[np.bool_] = spacing <= 1.25 * unit
        if self.unit_s is None:  # the clip's own, of which a part may still be sparser
            return near
        frames = np.divide(unit, spacing, out=np.ones(len(unit)), where=spacing > 0)[:, None] * self.offsets
        apart = np.diff(np.ceil(frames - 0.5 - 1e-6)) >= 1
        return np.asarray(near & apart.all(axis=1))

    def _runs(self, times: NDArray[np.float64], unit: float, middle: float) -> list[tuple[int, int, int]]:
        """Of the runs of a clip that a sequence fits into: where each begins, its length, and its starts."""
        limit = 1.5 * max(middle, unit)
        runs, span = [], self.offsets[-1] * unit
        for places in np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > limit) + 1):
            part = times[places]
            starts = int(np.searchsorted(part, part[-1] - span + unit / 2, side="right")) if len(part) > 1 else 0
            spacing = np.median(np.diff(part)) if len(part) > 1 else 0.0
            dense = self._dense(np.array([unit]), np.array([spacing]))[0]
            if starts > 0 and dense and len(part) >= len(self.offsets):
                runs.append((int(places[0]), len(part), starts))
        return runs


class Found:
    """Gathers usable clips and their runs, some clips at a time."""

    def __init__(self) -> None:
        self.clips = 0
        self._facts: list[dict[str, NDArray[Any]]] = []
        self._runs: list[dict[str, NDArray[np.int64]]] = []
        self._others: list[NDArray[np.int64]] = []
        self._length = 0

    def add(
        self,
        used: Used,
        kept: NDArray[np.int64],
        unit: NDArray[np.float64],
        starts: NDArray[np.int64],
        runs: Mapping[int, Sequence[tuple[int, int, int]]],
        subject: NDArray[np.int64],
    ) -> None:
        """Adds clips.

        Args:
            used: some clips.
            kept: places of the usable ones.
            unit: (C,) seconds per interval.
            starts: (C,) of clips that are one run.
            runs: place -> begin, length and starts of each run, of clips that are not one whole run.
            subject: (C,) their subjects' numbers.
        """
        self.clips += len(kept)
        begin, count = used.begin, np.ones(len(used.numbers), dtype=np.int64)
        for place, own in runs.items():
            count[place] = len(own)
        facts = {"number": used.numbers, "subject": subject, "unit": unit, "runs": count}
        self._facts.append({name: values[kept] for name, values in facts.items()})
        at = np.cumsum(count[kept]) - count[kept]
        first, length, begins = (
            np.repeat(used.first[kept], count[kept]),
            *(np.repeat(v[kept], count[kept]) for v in (used.lengths, starts)),
        )
        places = dict(zip(kept.tolist(), at.tolist()))
        for place in kept[np.isin(kept, list(runs))].tolist():
            base = int(used.first[place])
            if not used.whole[place]:
                base = -1 - self._length
                self._others.append(used.rows[begin[place] : begin[place] + used.lengths[place]])
                self._length += int(used.lengths[place])
            for number, (shift, own_length, own_starts) in enumerate(runs[place], places[place]):
                first[number] = base + shift if base >= 0 else base - shift
                length[number], begins[number] = own_length, own_starts
        self._runs.append({"first": first, "length": length, "starts": begins})

    def table(self, data: Prepared, *, timed: bool) -> ClipTable:
        """All of them."""
        facts, runs = (
            {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
            for pieces in (self._facts, self._runs)
        )
        return ClipTable(data, facts, runs, spilled(self._others), timed=timed)
