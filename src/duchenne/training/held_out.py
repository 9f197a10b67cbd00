"""What a training may use, and what is held out of it to validate on: clips, recordings or people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.clip_samplers import Clip
from duchenne.data.folds import from_partition, hold_out, is_partition, k_fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameClips
from duchenne.errors import InputError, UsageError
from duchenne.facs import au_column


def training_rows(data: Prepared, exclude_fold: str | None = None) -> NDArray[np.int64]:
    """The rows whose split is not `test`, without the subjects of one fold.

    Args:
        data: prepared.
        exclude_fold: `I/K` or `I/PARTITION`, see `pretrain`; drawn folds are those of the rows that have labels, or of
            all rows where none has any.

    Raises:
        UsageError: when `exclude_fold` is malformed, or there are fewer subjects than folds.
        InputError: when nothing is left, or a row has no subject to tell folds by.
    """
    used = (data.frames["split"] != "test").fillna(True).to_numpy(dtype=bool)
    if exclude_fold is not None:
        number, _, folds = exclude_fold.partition("/")
        drawn = folds.isdigit() and number.isdigit() and int(number) < int(folds) > 1
        if not drawn and not (number.isdigit() and is_partition(folds)):
            raise UsageError(
                f"--exclude-fold {exclude_fold}: must be I/K with I from 0 to K - 1, e.g. 0/3, or I/PARTITION, e.g. "
                "0/bp4d:jaa."
            )
        names = data.subject_names()
        coded = sorted({au_column(au) for info in data.infos for au in info.aus})
        labelled = data.frames[coded].notna().any(axis=1).to_numpy()
        tellable = names.iloc[np.flatnonzero(labelled) if labelled.any() else np.arange(len(data))]
        units = data.clip_ids()[tellable.index]
        if drawn:
            fold = k_fold(tellable, int(folds), pictures=units)
        else:
            fold = from_partition(folds, data.infos, tellable, data.frames["split"].iloc[tellable.index])
        tested = np.flatnonzero(fold == int(number))
        if not len(tested):
            raise UsageError(f"--exclude-fold {exclude_fold}: nobody is tested in that fold; count from 0.")
        if tellable.isna().all():
            used &= ~np.isin(data.clip_ids(), units[tested])
        else:
            used &= ~names.isin(set(tellable.iloc[tested])).to_numpy(dtype=bool)
    rows = np.flatnonzero(used)
    if not len(rows):
        raise InputError(
            f"{data.paths[0]}: no row is left to train on; rows of the test split and of the excluded fold never are."
        )
    return rows


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
