"""What is held out of a training to validate on: clips, recordings or people, and a sample of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.clip_samplers import Clip
from duchenne.data.folds import hold_out, people_of
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameClips
from duchenne.errors import InputError


def split_subjects(
    data: Prepared, rows: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Holds out all rows of a random share of the subjects, rounded up, for validation; namesakes count as one.

    Raises:
        InputError: when a row has no subject, or there are fewer than two subjects.
    """
    subjects, _ = pd.factorize(people_of(data.subject_names().iloc[rows]))
    if (subjects < 0).any() or len(np.unique(subjects)) < 2:
        what = "some frames have no subject" if (subjects < 0).any() else "there is only one subject"
        raise InputError(
            f"{data.paths[0]}: {what}, so people cannot be held out for validation; use --validation-by clip, or "
            "--validation-share 0 with --schedule constant."
        )
    held = hold_out(subjects, np.ones(len(rows), dtype=bool), share=share, seed=seed)
    return rows[~held], rows[held]


def split_clips(
    clips: Sequence[Clip], share: float, seed: int, recordings: NDArray[np.int64] | None = None
) -> tuple[Sequence[Clip], Sequence[Clip]]:
    """Holds out a random share of the clips for validation, at least one of each kind where `share` is above 0.

    Args:
        clips: the usable ones.
        share: held out.
        seed: of the draw.
        recordings: (N,) the recording of each row of the data; where given, all clips of a recording stay together, and
            the share is that of the recordings.

    Raises:
        InputError: when there is only one clip, or one recording.
    """
    if not share:
        return clips, []
    groups = np.arange(len(clips)) if recordings is None else recordings[[clip.runs[0].rows[0] for clip in clips]]
    there = np.unique(groups)
    if len(there) < 2:
        what = "clip" if recordings is None else "recording"
        raise InputError(f"there is only one usable {what}, so none can be held out; set --validation-share 0.")
    number = min(max(1, round(share * len(there))), len(there) - 1)
    held = np.isin(groups, np.random.default_rng([seed, 3]).permutation(there)[:number])
    return _take(clips, np.flatnonzero(~held)), _take(clips, np.flatnonzero(held))


def sample_clips(clips: Sequence[Clip], number: int | None, seed: int) -> Sequence[Clip]:
    """At most `number` of the clips, drawn once by the seed; None: all."""
    if number is None or len(clips) <= number:
        return clips
    return _take(clips, np.sort(np.random.default_rng([seed, 4]).permutation(len(clips))[:number]))


def _take(clips: Sequence[Clip], places: NDArray[np.int64]) -> Sequence[Clip]:
    return clips.take(places) if isinstance(clips, FrameClips) else [clips[place] for place in places]
