"""What `evaluate` predicts and on which rows: labels, folds, and how scores become decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.across import across, occurrence_from
from duchenne.data.folds import (
    Fold,
    check_apart,
    from_assignment,
    from_file,
    from_partition,
    from_split,
    is_partition,
    k_fold,
    people_of,
)
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.arguments import DEFAULT_FOLDS, Target
from duchenne.evaluation.scoring import Predictions
from duchenne.facs import EMOTIONS, au_column


@dataclass(frozen=True)
class Task:
    """What is to be predicted on which rows of the prepared data.

    Attributes:
        items: names of the A items: AU columns or emotions.
        rows: (N,) rows of the prepared data with at least one known label.
        labels: (N, A) 0, 1 or NaN.
        exclusive: whether one item is true per row; then the highest score is predicted, else those over the threshold.
        subjects: (N,) `dataset:subject`, null where unknown.
        group: (N,) a number per subject, a number of its own per row where unknown.
        pictures: (N,) `dataset:source`, or the clip and frame where the source is unknown.
    """

    items: tuple[str, ...]
    rows: NDArray[np.int64]
    labels: NDArray[np.float32]
    exclusive: bool
    subjects: pd.Series[str]
    group: NDArray[np.int64]
    pictures: pd.Series[str] = field(default_factory=lambda: pd.Series(dtype="string"))

    @property
    def units(self) -> pd.Series[str]:
        """(N,) what folds are made of: subjects, or pictures where nobody's name is known."""
        return self.pictures if self.subjects.isna().all() else self.subjects

    @property
    def knows_subjects(self) -> bool:
        """Whether every row has one; else intervals are over images."""
        return not bool(self.subjects.isna().any())

    @property
    def people(self) -> NDArray[np.int64]:
        """(N,) as `group`, but namesakes of different data sets are one: for whom to hold out."""
        return _numbers(people_of(self.subjects))


def make_task(data: Prepared, target: Target, positive_from: float | None = None) -> Task:
    """The rows with a known label, and what is to be predicted there.

    Args:
        data: with labels.
        target: `au` (occurrence) or `emotion`.
        positive_from: see `duchenne.data.across.occurrence_from`; None: as each data set says.

    Raises:
        InputError: when the data hold no such labels.
        UsageError: when occurrence cannot be taken from intensities.
    """
    if target == "au":
        if not data.aus:
            raise InputError(f"{data.paths[0]}: codes no action units; use --target emotion or prepare it with labels.")
        items, labels = tuple(au_column(au) for au in data.aus), occurrence_from(data, positive_from)
    else:
        emotions = data.column("emotion")
        present = set(emotions.dropna())
        if len(present) < 2:
            raise InputError(f"{data.paths[0]}: has {len(present)} emotions; --target emotion needs at least 2.")
        items = (*[name for name in EMOTIONS if name in present], *sorted(present - set(EMOTIONS)))
        labels = np.stack([emotions.eq(item).to_numpy(np.float32, na_value=np.nan) for item in items], axis=1)
    rows = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if not len(rows):
        raise InputError(f"{data.paths[0]}: no frame has a known label; prepare it with labels.")
    subjects = data.subject_names(rows).reset_index(drop=True)
    pictures = _pictures(data).iloc[rows].reset_index(drop=True)
    return Task(items, rows, labels[rows], target == "emotion", subjects, _numbers(subjects), pictures)


def _pictures(data: Prepared) -> pd.Series[str]:
    """(N,) a name per picture, see `Task.pictures`."""
    sets = data.column("dataset").map(dict(enumerate(info.name for info in data.infos))).astype("string")
    places = data.column("clip") + "/" + data.column("frame").astype("string")
    source = data.column("source").astype("string").fillna(places)
    return sets + ":" + source.where(~source.duplicated(keep=False), places)


def _numbers(names: pd.Series[str]) -> NDArray[np.int64]:
    """(N,) a number per name, one of its own for each row without."""
    codes, known = pd.factorize(names)
    group, unknown = codes.astype(np.int64), codes < 0
    group[unknown] = len(known) + np.arange(int(unknown.sum()))
    return group


def make_plans(
    data: Prepared, task: Task, folds: str, seeds: int, repeats: int, *, trained: int
) -> dict[int, list[Fold]]:
    """The folds of every seed; seeds `s * repeats` to `(s + 1) * repeats - 1` repeat the split of the s-th.

    Args:
        data: what the task was made from.
        task: its rows and subjects.
        folds: see `make_plan`.
        seeds: how often everything is drawn.
        repeats: how often folds are drawn per seed.
        trained: how many data sets, from the first, are trained on while the others are tested; 0: folds.

    Raises:
        UsageError: when the settings exclude each other; see also `make_plan`.
        InputError: see `make_plan` and `across`.
    """
    if repeats > 1 and (trained or folds == "split" or is_partition(folds)):
        raise UsageError(f"--repeats {repeats}: there is only one split; use --seeds, or folds (--folds K).")
    if not trained:
        plans = {seed: make_plan(data, task, folds, seed) for seed in range(seeds * repeats)}
        check_apart([fold for plan in plans.values() for fold in plan], task.subjects)
        return plans
    if folds != DEFAULT_FOLDS:
        raise UsageError(f"--folds {folds}: with --train-data whole data sets are tested; leave one of the two out.")
    fold = across(data, task.rows, task.subjects, trained)
    return dict.fromkeys(range(seeds), fold)


def make_plan(data: Prepared, task: Task, folds: str, seed: int) -> list[Fold]:
    """The folds of one seed.

    Args:
        data: what the task was made from.
        task: its rows and subjects.
        folds: a number, `split`, `parts`, a published partition (`bp4d:jaa`) or a CSV file.
        seed: of what is drawn.

    Raises:
        UsageError: when `folds` means nothing, or there are fewer subjects than folds.
        InputError: when subjects lie on both sides of the split, or the file lacks some.
    """
    if folds.isdigit():
        return from_assignment(k_fold(task.subjects, int(folds), seed=seed, pictures=data.clip_ids(task.rows)))
    if is_partition(folds):
        return from_assignment(from_partition(folds, data.infos, task.subjects, data.column("split", task.rows)))
    if folds != "split":
        if not Path(folds).is_file():
            raise UsageError(
                f"--folds {folds}: must be a number of folds, `split`, `parts`, a published partition such as "
                "bp4d:jaa, or a CSV file that exists."
            )
        return from_assignment(from_file(folds, task.units, seed=seed))
    plan = from_split(data.column("split", task.rows))
    both = set(task.group[plan[0].train]) & set(task.group[plan[0].test])
    if both:
        name = task.subjects[task.group == min(both)].iloc[0]
        raise InputError(
            f"--folds split: {len(both)} subjects lie in both train and test (first: {name}); use --folds K."
        )
    return plan


def decide(
    task: Task, plan: Sequence[Fold], score: NDArray[np.float32], limits: NDArray[np.float64] | None
) -> Predictions:
    """From scores to what is called present.

    Args:
        task: whether one item is true per row.
        plan: the folds that tested.
        score: (N, A) log odds; NaN where a row is not tested or an item could not be trained.
        limits: (F, A) log odds above which an item is present; None for items that exclude each other.
    """
    known, fold = ~np.isnan(score), fold_of(plan, len(task.rows))
    if limits is None:
        best = np.where(known, score, -np.inf).argmax(axis=1)
        predicted = known & (np.arange(len(task.items)) == best[:, None])
    else:
        predicted = known & (np.nan_to_num(score) > limits[fold])
    return Predictions(score, predicted, fold)


def fold_of(plan: Sequence[Fold], rows: int) -> NDArray[np.int64]:
    """(rows,) the fold that tests each row, -1 where none does."""
    out = np.full(rows, -1)
    for number, fold in enumerate(plan):
        out[fold.test] = number
    return out


def one_split(plans: Mapping[int, list[Fold]], rows: int) -> bool:
    """Whether all seeds test the same rows in the same folds."""
    first, *others = (fold_of(plan, rows) for plan in plans.values())
    return all(np.array_equal(first, other) for other in others)


def folds_table(task: Task, plans: Mapping[int, list[Fold]]) -> pd.DataFrame:
    """Which fold tests each subject, or each picture of unknown people (empty: trained on only); reproduces the folds
    without the seed."""
    parts = []
    for seed, plan in plans.items():
        part = pd.DataFrame({"subject": task.units, "fold": fold_of(plan, len(task.rows)), "seed": seed})
        part["fold"] = part["fold"].where(part["fold"] >= 0).astype("Int64")
        parts.append(part.groupby(["subject", "fold", "seed"], dropna=False).size().rename("frames").reset_index())
    return pd.concat(parts, ignore_index=True)


def describe_folds(task: Task, plans: Mapping[int, list[Fold]], folds: str, repeats: int) -> dict[str, Any]:
    """How many frames and subjects each fold of the first seed trains on and tests, as plain values."""
    sizes: list[dict[str, int]] = []
    for fold in plans[0]:
        parts = {"train": fold.train, "test": fold.test}
        size = {f"{name}_frames": int(rows.sum()) for name, rows in parts.items()}
        if task.knows_subjects:
            size |= {f"{name}_subjects": len(np.unique(task.group[rows])) for name, rows in parts.items()}
        sizes.append(size)
    return {
        "folds": folds,
        "seeds": len(plans) // repeats,
        "repeats": repeats,
        "first_seed_folds": sizes,
        "frames": len(task.rows),
    }
