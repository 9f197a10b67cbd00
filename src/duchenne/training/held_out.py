"""Which rows a training may use, what of them is held out to validate on, and the record of what was seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.config import to_mapping
from duchenne.data.clip_samplers import Clip, ClipTable
from duchenne.data.epochs import check_people, copied_recordings, first_rows
from duchenne.data.folds import from_partition, hold_out, is_partition, k_fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.data.single_frames import FrameClips
from duchenne.data.stored.binding import facts_of
from duchenne.data.stored.frames import FRAMES_FILE
from duchenne.data.stored.spilled import distinct, parts_of, spilled
from duchenne.errors import InputError, UsageError
from duchenne.methods.base import Method
from duchenne.training.runs import TrainedOn


def training_rows(data: Prepared, exclude_fold: str | None = None) -> NDArray[np.int64]:
    """The rows whose split is not `test`, without the subjects of one fold.

    Args:
        data: prepared.
        exclude_fold: `I/K` or `I/PARTITION`, see `pretrain`; drawn folds are those of the rows that have labels, or of
            all rows where none has any.

    Raises:
        UsageError: when `exclude_fold` is malformed, or there are fewer subjects than folds.
        InputError: when nothing is left, or a row has no subject to tell folds by, or people have names in one folder
            and numbers in another.
    """
    tested = None if exclude_fold is None else _tested(data, exclude_fold)

    def used() -> Iterator[NDArray[np.int64]]:
        for part in parts_of(len(data)):
            splits, words = data.codes("split", part)
            kept = splits != (words.index("test") if "test" in words else len(words))
            if tested is not None:
                kept &= ~np.isin(tested.of(part), tested.numbers)
            yield np.flatnonzero(kept) + part.start

    rows = spilled(used())
    if not len(rows):
        raise InputError(
            f"{data.paths[0]}: no row is left to train on; rows of the test split and of the excluded fold never are."
        )
    return rows


class _Tested(NamedTuple):
    """Who is tested in a fold: the numbers, and which numbers are meant."""

    numbers: NDArray[np.int64]
    of: Callable[[slice], NDArray[np.int64]]


def _tested(data: Prepared, exclude_fold: str) -> _Tested:
    """The subjects of a fold with their namesakes in other data sets, or where nobody's name is known, its clips."""
    number, _, folds = exclude_fold.partition("/")
    drawn = folds.isdigit() and number.isdigit() and int(number) < int(folds) > 1
    if not drawn and not (number.isdigit() and is_partition(folds)):
        raise UsageError(
            f"--exclude-fold {exclude_fold}: must be I/K with I from 0 to K - 1, e.g. 0/3, or I/PARTITION, e.g. "
            "0/bp4d:jaa."
        )
    check_people(data, "nobody can be left out")
    coded = sorted({au for info in data.infos for au in info.aus})
    parts = parts_of(len(data))
    labelled = spilled(
        np.flatnonzero(~np.isnan(data.occurrence(coded, part)).all(axis=1)) + part.start for part in parts
    )
    rows = labelled if len(labelled) else None
    names = data.subject_names(rows)
    if drawn:
        fold = k_fold(names, int(folds), pictures=data.clip_ids(rows))
    else:
        fold = from_partition(folds, data.infos, names, data.column("split", rows))
    places = np.flatnonzero(fold == int(number))
    if not len(places):
        raise UsageError(f"--exclude-fold {exclude_fold}: nobody is tested in that fold; count from 0.")
    found = places if rows is None else rows[places]
    if names.isna().all():
        return _Tested(np.unique(data.clip_ids(found)), data.clip_ids)
    people = people_of(pd.Series(data.subject_list(), dtype="string"))
    tested = people[np.unique(data.subject_ids(found))]
    return _Tested(np.flatnonzero(people.isin(tested)), data.subject_ids)


def labelled_rows(
    method: type[Method], config: Any, data: Prepared, rows: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Rows of all people with labels that a method learns from, as nobody else can be validated on.

    Args:
        method: the class.
        config: complete, see `Method.complete`.
        data: the frames.
        rows: those that may be used.

    Returns:
        At least one of each of them; None where the method learns without action units and emotions.

    Raises:
        InputError: when there are none.
    """
    labels = method.labels(config)
    if not (labels.aus or labels.emotions):
        return None
    return first_rows(method.sampler(config).usable_clips(data, rows)[0])


def split_subjects(
    data: Prepared, rows: NDArray[np.int64], share: float, seed: int, among: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Holds out all rows of a random share of the subjects, rounded up, for validation; namesakes count as one.

    Args:
        data: the frames.
        rows: to split.
        share: of the subjects.
        seed: of the draw.
        among: those of the rows whose subjects are drawn from, e.g. the labelled ones; None: all.

    Raises:
        InputError: when a row has no subject, or there are fewer than two subjects to draw from.
    """
    names = pd.Series(data.subject_list(), dtype="string")
    person, _ = pd.factorize(people_of(names))
    seen = np.zeros(0, dtype=np.int64)  # people in order of appearance
    unknown = False
    for part in parts_of(len(rows)):
        subjects = pd.unique(data.subject_ids(rows[part]))
        unknown |= bool((subjects < 0).any())
        seen = pd.unique(np.concatenate([seen, person[subjects[subjects >= 0]]]))
    what = "some frames have no subject" if unknown else "there is only one subject"
    if among is not None and not unknown:
        seen, what = seen[np.isin(seen, person[distinct(data.subject_ids, among)])], f"{what} with labels"
    if unknown or len(seen) < 2:
        raise InputError(
            f"{data.paths[0]}: {what}, so people cannot be held out for validation; use --validation-by clip, or "
            "--validation-share 0 with --schedule constant."
        )
    chosen = hold_out(np.arange(len(seen)), np.ones(len(seen), dtype=bool), share=share, seed=seed)
    held = np.isin(person, seen[chosen])

    def side(wanted: bool) -> Iterator[NDArray[np.int64]]:
        for part in parts_of(len(rows)):
            own = rows[part]
            yield own[held[data.subject_ids(own)] == wanted]

    return spilled(side(False)), spilled(side(True))


def split_clips(
    clips: Sequence[Clip],
    share: float,
    seed: int,
    recordings: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> tuple[Sequence[Clip], Sequence[Clip]]:
    """Holds out a random share of the clips for validation, at least one of each kind where `share` is above 0.

    Args:
        clips: the usable ones.
        share: held out.
        seed: of the draw.
        recordings: gives the recordings of rows; where given, all clips of a recording stay together, and the share is
            that of the recordings.

    Raises:
        InputError: when there is only one clip, or one recording.
    """
    if not share:
        return clips, []
    groups = np.arange(len(clips)) if recordings is None else recordings(first_rows(clips))
    there = np.unique(groups)
    if len(there) < 2:
        what = "clip" if recordings is None else "recording"
        raise InputError(f"there is only one usable {what}, so none can be held out; set --validation-share 0.")
    number = min(max(1, round(share * len(there))), len(there) - 1)
    held = np.isin(groups, np.random.default_rng([seed, 3]).permutation(there)[:number])
    return _take(clips, np.flatnonzero(~held)), _take(clips, np.flatnonzero(held))


def folder_notes(data: Prepared) -> list[str]:
    """Sentences on recordings that lie in several folders, and on rows of nobody knows which split."""
    names = copied_recordings(data)
    found = [
        f"{len(names):,} recordings lie in several of the folders (first: {names[0]}), so their pictures are seen more "
        "often; name one folder of a data set to have each recording once."
    ] if names else []  # fmt: skip
    lacking, tested = np.zeros((2, len(data.paths)), dtype=np.int64)
    for part in parts_of(len(data)):
        folders, (splits, words) = data.datasets(part), data.codes("split", part)
        lacking += np.bincount(folders[splits < 0], minlength=len(lacking))
        if "test" in words:
            tested += np.bincount(folders[splits == words.index("test")], minlength=len(tested))
    return found + [
        f"{number:,} rows of {path} have no split, beside others that are `test`, and are trained on; prepare it again "
        "if they should not be."
        for path, number, others in zip(data.paths, lacking.tolist(), tested) if number and others
    ]  # fmt: skip


def sample_clips(clips: Sequence[Clip], number: int | None, seed: int) -> Sequence[Clip]:
    """At most `number` of the clips, drawn once by the seed; None: all."""
    if number is None or len(clips) <= number:
        return clips
    return _take(clips, np.sort(np.random.default_rng([seed, 4]).permutation(len(clips))[:number]))


def _take(clips: Sequence[Clip], places: NDArray[np.int64]) -> Sequence[Clip]:
    return clips.take(places) if isinstance(clips, ClipTable | FrameClips) else [clips[place] for place in places]


def seen(data: Prepared, rows: NDArray[np.int64], *, labels: bool) -> tuple[TrainedOn, ...]:
    """The record of which data sets and subjects an encoder was trained on."""
    names, found = data.subject_list(), [set[int]() for _ in data.infos]
    for part in parts_of(len(rows)):
        subjects, numbers = data.subject_ids(rows[part]), data.datasets(rows[part])
        for number in np.unique(numbers).tolist():
            found[number] |= set(np.unique(subjects[numbers == number]).tolist()) - {-1}
    return tuple(
        TrainedOn(
            dataset=info.name,
            subjects=tuple(sorted(names[subject] for subject in own)),
            labels=labels,
            licence=info.licence,
        )
        for info, own in zip(data.infos, found, strict=True)
    )


def data_sum(data: Prepared, rows: NDArray[np.int64]) -> str:
    """SHA-256 of all that a training sees: what the folders say of themselves, their tables, and which rows it may use.

    The tables hold checksums of the pictures. The licence may be put right between two parts of a training.

    Raises:
        InputError: when a table cannot be read any more.
    """
    infos = [to_mapping(replace(info, licence="")) for info in data.infos]
    tables = [facts_of(path / FRAMES_FILE)["sha256"] for path in data.paths]
    found = hashlib.sha256(json.dumps([infos, tables], sort_keys=True, default=str).encode())
    for part in parts_of(len(rows)):
        found.update(np.ascontiguousarray(rows[part], dtype="<i8").data)
    return found.hexdigest()
