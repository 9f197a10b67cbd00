"""Which rows are trained on and which are tested: subjects never on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.partitions import PARTITIONS, fold_of_subjects
from duchenne.data.prepared import DatasetInfo
from duchenne.data.spreadsheets import read_csv_table
from duchenne.errors import InputError, UsageError

DRAWS: Final = 200
CLOSE_ENOUGH: Final = 0.005


@dataclass(frozen=True)
class Fold:
    """One fold: disjoint masks over the rows; a row may be in neither.

    Attributes:
        train: (N,) bool.
        test: (N,) bool.
        unlabelled: (N,) bool, rows of people to train on whose labels must not be used; None: there are none.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    unlabelled: NDArray[np.bool_] | None = None


def assign_subjects(frames_of: Mapping[str, int], number: int, *, seed: int = 0) -> dict[str, int]:
    """Assigns whole subjects to folds: equal numbers of subjects, nearly equal numbers of frames.

    Of up to 200 random assignments, the one with the smallest difference in frames is taken. The same subjects, counts,
    number and seed always give the same folds, in whatever order the subjects come.

    Args:
        frames_of: subject -> how many frames it has.
        number: of folds, at least 2.
        seed: of the random assignments.

    Returns:
        subject -> fold, from 0.

    Raises:
        UsageError: when there are fewer subjects than folds, or fewer than two folds.
    """
    if number < 2:
        raise UsageError(f"--folds {number}: needs at least 2 folds; give 2 or more, or `split`.")
    if len(frames_of) < number:
        raise UsageError(
            f"--folds {number}: only {len(frames_of)} subjects have labels, fewer than folds; "
            f"give at most --folds {len(frames_of)} or prepare more subjects."
        )
    names = sorted(frames_of)
    counts = np.array([frames_of[name] for name in names], dtype=np.float64)
    places = np.arange(len(names)) % number
    generator = np.random.default_rng(seed)
    best, smallest = places, np.inf
    for _ in range(DRAWS):
        drawn = generator.permutation(places)
        sums = np.bincount(drawn, weights=counts, minlength=number)
        difference = (sums.max() - sums.min()) / max(1.0, sums.mean())
        if difference < smallest:
            best, smallest = drawn, difference
        if smallest <= CLOSE_ENOUGH:
            break
    return {name: int(fold) for name, fold in zip(names, best)}


def k_fold(
    subjects: Iterable[str | None], number: int, *, seed: int = 0, pictures: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:
    """The fold that tests each row, subjects kept whole (see `assign_subjects`), namesakes of other data sets too.

    Where nobody's name is known, as in sets of pictures from the web, the pictures are dealt at random.

    Args:
        subjects: (N,) the subject of each row.
        number: of folds.
        seed: of the assignment.
        pictures: (N,) a number per picture (of the frames of one clip the same), dealt where no row has a subject;
            None: every row must have one.

    Returns:
        (N,) fold, from 0.

    Raises:
        InputError: when a row has no subject and others have, or there are no `pictures`.
        UsageError: when there are fewer subjects than folds.
    """
    names = _texts(subjects)
    unknown = int(names.isna().sum())
    if pictures is not None and len(names) and unknown == len(names):
        return deal(pictures, number, seed=seed)
    if unknown:
        raise InputError(
            f"--folds {number}: {unknown} of {len(names)} labelled frames have no subject, so subjects cannot be kept "
            "apart; name all of them, or none (then pictures are dealt), or use --folds split."
        )
    people = people_of(names)
    assigned = assign_subjects(
        {str(name): int(count) for name, count in people.value_counts().items()}, number, seed=seed
    )
    return np.asarray(people.map(assigned), dtype=np.int64)


def deal(pictures: NDArray[np.integer], number: int, *, seed: int = 0) -> NDArray[np.int64]:
    """The fold that tests each row where nobody's name is known: pictures at random, as many in each fold.

    Args:
        pictures: (N,) a number per picture.
        number: of folds.
        seed: of the deal.

    Returns:
        (N,) fold, from 0.

    Raises:
        UsageError: when there are fewer pictures than folds, or fewer than two folds.
    """
    known, place = np.unique(pictures, return_inverse=True)
    if number < 2 or len(known) < number:
        raise UsageError(f"--folds {number}: needs at least 2 folds and at most as many as the {len(known)} pictures.")
    dealt = np.random.default_rng([seed, 7]).permutation(np.arange(len(known)) % number)
    return np.asarray(dealt[place], dtype=np.int64)


def from_picture_parts(parts: Iterable[str | None]) -> NDArray[np.int64]:
    """The fold that tests each row, by the parts that `prepare --parts` gave to pictures of unknown people.

    Args:
        parts: (N,) the part of each row (column `split`).

    Returns:
        (N,) fold, by the parts' names in order.

    Raises:
        InputError: when a row has no part, or all have the same.
    """
    names = _texts(parts)
    known = sorted(names.dropna().unique())
    if names.isna().any() or len(known) < 2:
        raise InputError("--folds parts: some pictures have no part, or all the same; prepare with --parts again.")
    return np.asarray(names.map({name: fold for fold, name in enumerate(known)}), dtype=np.int64)


def _texts(values: Iterable[str | None]) -> pd.Series[str]:
    """Texts numbered from 0; those of a series are taken as they are, not one by one."""
    if isinstance(values, pd.Series):
        return values.astype("string").reset_index(drop=True)
    return pd.Series(list(values), dtype="string")


def check_apart(folds: Iterable[Fold], subjects: pd.Series[str]) -> None:
    """Makes sure that nobody is on both sides of a fold, nor two people of the same name in different data sets.

    Data sets share people (DISFA and DISFA+) and names (BP4D and BP4D+); which of both it is cannot be told.

    Args:
        folds: to check.
        subjects: (N,) `dataset:subject` of each row, null where unknown.

    Raises:
        InputError: when somebody lies on both sides.
    """
    people = people_of(subjects)
    for number, fold in enumerate(folds):
        both = set(people[fold.train].dropna()) & set(people[fold.test].dropna())
        if both:
            raise InputError(
                f"--folds: {len(both)} names lie on both sides of fold {number} (first: {min(both)}); people of one "
                "name in different data sets may be the same, so keep them together, or give others other names."
            )


def people_of(names: pd.Series[str]) -> pd.Series[str]:
    """Subjects without the data set, so that namesakes are one: (N,) `dataset:subject` -> `subject`."""
    return names.str.replace(r"^[^:]*:", "", n=1, regex=True)


def from_assignment(assigned: NDArray[np.integer]) -> list[Fold]:
    """One fold per number in `assigned` (N,): tested there, trained on everywhere else; -1 is never tested."""
    return [Fold(train=assigned != fold, test=assigned == fold) for fold in np.unique(assigned[assigned >= 0])]


def from_split(split: Iterable[str | None]) -> list[Fold]:
    """The data set's own split as one fold: `train` and `validation` rows against `test` rows.

    Raises:
        InputError: when no row is marked `test`, or none `train` or `validation`.
    """
    names = _texts(split)
    test, train = (
        names.eq("test").fillna(False).to_numpy(bool),
        names.isin(["train", "validation", "val"]).to_numpy(bool),
    )
    if not test.any() or not train.any():
        missing = "test" if not test.any() else "train"
        raise InputError(f"--folds split: no labelled frame has split `{missing}`; use --folds K instead.")
    return [Fold(train=train, test=test)]


def is_partition(folds: str) -> bool:
    """Whether `folds` names parts of subjects: `parts`, or a published partition such as `bp4d:jaa`."""
    return folds == "parts" or (":" in folds and not Path(folds).is_file())


def from_partition(
    name: str, infos: Sequence[DatasetInfo], subjects: Iterable[str | None], splits: Iterable[str | None] = ()
) -> NDArray[np.int64]:
    """The fold that tests each row, by a published partition or by the parts that `prepare --parts` was given.

    Args:
        name: of `partitions.PARTITIONS`, or `parts`.
        infos: what each data set says of itself.
        subjects: (N,) `dataset:subject` of each row.
        splits: (N,) column `split` of each row, which holds the parts of pictures of unknown people.

    Returns:
        (N,) fold, -1 where the subject is never tested.

    Raises:
        UsageError: for an unknown name, or one of another data set.
        InputError: when there are no parts, or they lack a subject.
    """
    if name == "parts" and all(info.settings.get("parts_of") == "pictures" for info in infos):
        return from_picture_parts(splits)
    fold_of: dict[str, int] = {}
    for info in infos:
        if name == "parts":
            parts = info.settings.get("parts")
            if not isinstance(parts, Mapping):
                raise InputError(
                    f"--folds parts: {info.name} was prepared without parts; prepare it with --parts FILE."
                )
            own = {str(subject): fold for fold, part in enumerate(parts.values()) for subject in part}
        else:
            own = fold_of_subjects(name)
            if info.settings.get("reader") != PARTITIONS[name].reader:
                raise UsageError(
                    f"--folds {name}: is of {PARTITIONS[name].reader}, and {info.name} is not; give others."
                )
        fold_of |= {f"{info.name}:{subject}": fold for subject, fold in own.items()}
    names = _texts(subjects)
    found = names.map(fold_of)
    if found.isna().any():
        lacking = names[found.isna()].fillna("without a name").iloc[0]
        raise InputError(f"--folds {name}: has no fold for subject {lacking}; use --folds FILE or K.")
    return np.asarray(found, dtype=np.int64)


def from_file(path: str | Path, subjects: Iterable[str | None], *, seed: int = 0) -> NDArray[np.int64]:
    """The fold that tests each row, as a table says.

    Args:
        path: a CSV with columns `subject` (`dataset:subject`, or without the data set) and `fold` (a whole number;
            empty: trained on only), and optionally `seed`, of which the rows of `seed` are taken: `folds.csv` of an
            evaluation is such a table.
        subjects: (N,) `dataset:subject` of each row; of pictures of unknown people `dataset:source`.
        seed: see `path`.

    Returns:
        (N,) fold, -1 where the subject is never tested.

    Raises:
        InputError: when the file cannot be read, lacks a column, a subject or a seed, or names a subject twice.
    """
    names = _texts(subjects)
    try:
        table = read_csv_table(Path(path), {"subject": "string", "fold": "Int64"})
    except (OSError, ValueError, TypeError) as error:  # TypeError: a fold that is no whole number
        raise InputError(f"{path}: cannot be read as a table of folds ({' '.join(str(error).split())}).") from error
    for column in ("subject", "fold"):
        if column not in table:
            raise InputError(f"{path}: has no column `{column}`; it needs subject and fold.")
    if "seed" in table:
        table = table[table["seed"] == seed]
        if not len(table):
            raise InputError(f"{path}: has no rows for seed {seed}; lower --seeds.")
    if table["subject"].duplicated().any():
        twice = table["subject"][table["subject"].duplicated()].iloc[0]
        raise InputError(f"{path}: names subject {twice} more than once; keep one row for each.")
    fold_of = table.set_index("subject")["fold"].fillna(-1)
    plain = names.str.partition(":")[2] if names.str.contains(":").all() else names
    found = names.map(fold_of).fillna(plain.map(fold_of))
    if found.isna().any():
        lacking = names[found.isna()].fillna("without a name").iloc[0]
        raise InputError(
            f"{path}: has no fold for subject {lacking}; add a row, with an empty fold to train on it only."
        )
    assigned = np.asarray(found, dtype=np.int64)
    if len(np.unique(assigned)) < 2 or assigned.max() < 0:
        raise InputError(f"{path}: the labelled subjects are all in one fold; give them at least two.")
    return assigned


def hold_out(
    groups: NDArray[np.integer], rows: NDArray[np.bool_], *, share: float = 0.2, seed: int = 0
) -> NDArray[np.bool_]:
    """Picks whole groups (subjects) out of `rows` for validation.

    Args:
        groups: (N,) a number per subject.
        rows: (N,) the training rows to pick from.
        share: of the groups, rounded up; at least one is picked and at least one stays.
        seed: of the pick.

    Returns:
        (N,) the rows of the picked groups; a subset of `rows`.

    Raises:
        UsageError: when `rows` hold fewer than two groups.
    """
    present = np.unique(groups[rows])
    if len(present) < 2:
        raise UsageError(
            "the training rows hold only one subject, so none can be held out; give the L2 strength (--l2)."
        )
    number = min(len(present) - 1, max(1, round(share * len(present) + 0.4999)))
    picked = np.random.default_rng(seed).permutation(present)[:number]
    return rows & np.isin(groups, picked)
