"""Sampling single frames: what the methods see that look at one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from duchenne.data.clip_samplers import DEFAULT_UNIT_S, Clip, Run
from duchenne.data.labels import LabelSpec, known
from duchenne.data.prepared import Prepared
from duchenne.data.stored.spilled import parts_of, spilled
from duchenne.errors import InputError


class FrameClips(Sequence[Clip]):
    """Frames as clips of one frame each, made when asked for: millions of them are an array.

    Args:
        data: the frames.
        rows: (N,) rows of the prepared table.
        groups: (N,) the number that `FrameSampler` with `balance` draws evenly, e.g. of the emotion; None for none.
    """

    def __init__(self, data: Prepared, rows: NDArray[np.int64], groups: NDArray[np.int64] | None = None) -> None:
        self.data, self.rows, self.groups = data, rows, groups

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Clip: ...
    @overload
    def __getitem__(self, place: slice) -> FrameClips: ...
    def __getitem__(self, place: int | slice) -> Clip | FrameClips:
        """The frame at a place as a clip numbered by its row, or a part of them."""
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        place = range(len(self))[place]
        row = np.array(self.rows[place : place + 1])
        return Clip(int(row[0]), int(self.data.subject_ids(row)[0]), DEFAULT_UNIT_S, (Run(row, np.zeros(1), 1),))

    def take(self, places: NDArray[np.int64]) -> FrameClips:
        """The frames at some places."""
        rows = spilled(self.rows[places[part]] for part in parts_of(len(places)))
        return FrameClips(self.data, rows, None if self.groups is None else self.groups[places])


class FrameSampler:
    """Single frames whose labels are known.

    Args:
        labels: what the method reads; a frame is usable where all of them are known (of `aus`: at least one).
        balance: draw an epoch with equal shares of the values of this label (`emotion`), rare ones repeated; None: each
            frame once.
    """

    frames = 1

    def __init__(self, labels: LabelSpec, balance: str | None = None) -> None:
        self.labels, self.balance = labels, balance

    def usable_clips(self, data: Prepared, rows: NDArray[np.int64]) -> tuple[FrameClips, int]:
        """The frames that have the labels, each as a clip of one frame, and how many have not.

        Raises:
            InputError: when none has.
        """
        self.labels.check(data)
        groups: list[NDArray[np.int64]] = []

        def usable() -> Iterator[NDArray[np.int64]]:
            for part in parts_of(len(rows)):
                own = rows[part]
                values = self.labels.read(data, own)
                fits = np.ones(len(own), dtype=bool)
                for name, value in values.items():
                    fits &= known(name, value)
                if self.balance:
                    groups.append(values[self.balance][fits])
                yield own[fits]

        found = spilled(usable())
        if not len(found):
            wanted = " and ".join(self.labels.words())
            raise InputError(f"{data.paths[0]}: no frame that may be used has {wanted}; prepare data that has.")
        return FrameClips(data, found, np.concatenate(groups) if groups else None), len(rows) - len(found)

    def draw(self, clip: Clip, rng: np.random.Generator) -> NDArray[np.int64]:
        """(1,) the row of the frame."""
        return clip.runs[0].rows

    def order(self, clips: Sequence[Clip], rng: np.random.Generator) -> NDArray[np.int64]:
        """(len(clips),) the order of an epoch, see `balance`."""
        if self.balance is None or not isinstance(clips, FrameClips) or clips.groups is None:
            return rng.permutation(len(clips))
        values, sizes = np.unique(clips.groups, return_counts=True)
        share = (1 / sizes / len(values))[np.searchsorted(values, clips.groups)]
        return rng.choice(len(clips), size=len(clips), p=share)

    def notes(self, clips: Sequence[Clip], left_out: int) -> list[str]:
        """What a user should know about the usable frames, one sentence each."""
        if not left_out:
            return []
        lacking = " or ".join(self.labels.words())
        return [f"{left_out} of {left_out + len(clips)} frames lack {lacking} and were left out."]
