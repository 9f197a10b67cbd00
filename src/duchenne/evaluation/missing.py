"""Labelled pictures without a crop, counted as predicted absent (`prepare --missing negative`).

A detector that finds no face says that nothing is there. Leaving such pictures out makes scores better than what people
who use it see, and the pictures left out are not random ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.folds import Fold, from_file, is_partition
from duchenne.data.prepared import MISSING_FILE, Prepared
from duchenne.data.stored.frames import read_table
from duchenne.errors import InputError
from duchenne.evaluation.scoring import Predictions
from duchenne.evaluation.tasks import Task, fold_of
from duchenne.facs import au_column, intensity_column


@dataclass(frozen=True)
class Missing:
    """Labelled rows without a crop that are tested, beside the N rows of a task.

    Attributes:
        labels: (M, A) 0, 1 or NaN.
        group: (M,) as in the task; a new number for each row of nobody known.
        fold: seed -> (M,) the fold that tests each row, -1 where none of this seed does. People stay whole.
        pictures: (M,) as in the task where folds are made of pictures, else null.
        left_out: labelled rows that no fold has: of people without any crop, or of nobody known among known people.
    """

    labels: NDArray[np.float32]
    group: NDArray[np.int64]
    fold: Mapping[int, NDArray[np.int64]]
    pictures: pd.Series[str]
    left_out: int

    @property
    def counted(self) -> int:
        """How many the first seed tests."""
        return int((self.fold[0] >= 0).sum())

    def count(self, run: Predictions, seed: int) -> Predictions:
        """Predictions of N + M rows: those without a crop have the lowest score of their fold and are called absent."""
        if not len(self.group):
            return run
        score = np.full(self.labels.shape, np.nan, dtype=np.float32)
        for number in np.unique(run.fold[run.fold >= 0]):
            here = run.score[run.fold == number]
            known = ~np.isnan(here).all(axis=0)
            lowest = np.where(known, np.where(np.isnan(here), np.inf, here).min(axis=0) - 1, np.nan)
            score[self.fold[seed] == number] = lowest
        absent = np.zeros(self.labels.shape, dtype=bool)
        return replace(
            run, score=np.concatenate([run.score, score]), predicted=np.concatenate([run.predicted, absent]),
            fold=np.concatenate([run.fold, self.fold[seed]]),
        )  # fmt: skip

    def add_to(self, folds: pd.DataFrame) -> pd.DataFrame:
        """The table of `folds_table` with the pictures without a crop, so that it gives the same folds again."""
        parts = [
            pd.DataFrame({"subject": self.pictures, "fold": fold, "seed": seed, "frames": 0})
            for seed, fold in self.fold.items()
        ]
        found = pd.concat(parts).dropna(subset=["subject"]).drop_duplicates(["subject", "seed"])
        found = found[~found["subject"].isin(folds["subject"])]
        found["fold"] = found["fold"].where(found["fold"] >= 0).astype("Int64")
        return pd.concat([folds, found], ignore_index=True) if len(found) else folds


def missing_rows(
    data: Prepared,
    task: Task,
    positive_from: float | None,
    plans: Mapping[int, Sequence[Fold]],
    folds: str,
    *,
    trained: int,
) -> Missing:
    """The labelled rows without a crop of the folders that were prepared to count them.

    Args:
        data: what the task was made from.
        task: its items, rows and subjects.
        positive_from: see `duchenne.data.across.occurrence_from`.
        plans: seed -> the folds of the task's rows.
        folds: what they were made by, see `duchenne.evaluation.tasks.make_plan`.
        trained: how many data sets, from the first, are trained on alone; 0: folds.

    Raises:
        InputError: when `folds` is a file that lacks a picture of nobody known.
    """
    columns = ["subject", "split", "picture", "number", *(["emotion"] if task.exclusive else task.items)]
    tables = []
    for number, (path, info) in enumerate(zip(data.paths, data.infos)):
        if info.settings.get("missing") != "negative" or not (path / MISSING_FILE).exists():
            continue
        table = read_table(path / MISSING_FILE, info.layout(), pictures=False)
        if positive_from is not None and not task.exclusive:
            for au in info.aus:
                strength = table[intensity_column(au)]
                level = (strength >= positive_from).astype("Int8")
                table[au_column(au)] = level.where(strength.notna(), table[au_column(au)].astype("Int8"))
        table["subject"] = info.name + ":" + table["subject"].astype("string")
        places = table["clip"].astype("string") + "/" + table["frame"].astype("string")
        table["picture"] = info.name + ":" + table["source"].astype("string").fillna(places)
        table["number"] = number
        tables.append(table[columns])
    if not tables:
        none = np.empty(0, dtype=np.int64)
        return Missing(
            np.empty((0, len(task.items)), dtype=np.float32), none, dict.fromkeys(plans, none),
            pd.Series(dtype="string"), 0,
        )  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    labels = _labels(table, task)
    labelled: NDArray[np.bool_] = np.any(~np.isnan(labels), axis=1)
    table, labels = table.loc[labelled].reset_index(drop=True), labels[labelled]
    unnamed = table["subject"].isna().to_numpy()
    known = int(task.group.max()) + 1
    numbers = dict(zip(task.subjects, task.group))
    group = np.array(table["subject"].map(numbers).fillna(-1), dtype=np.int64)
    group[unnamed] = known + np.arange(int(unnamed.sum()))
    tested: dict[int, NDArray[np.float64]] = {}
    for seed, plan in plans.items():
        rows = fold_of(plan, len(task.rows))
        of_group = np.full(known + int(unnamed.sum()), np.nan)
        of_group[task.group] = rows
        of_group[group[unnamed]] = _of_pictures(table[unnamed], data, task, rows, folds, trained, seed)
        tested[seed] = np.where(group >= 0, of_group[group], np.nan)
    every = np.stack(list(tested.values()))
    used: NDArray[np.bool_] = np.any(every >= 0, axis=0)
    by_picture = unnamed & bool(task.subjects.isna().all())
    return Missing(
        labels[used], group[used], {seed: fold[used].astype(np.int64) for seed, fold in tested.items()},
        table["picture"].where(by_picture).loc[used].reset_index(drop=True), int(np.isnan(every).all(axis=0).sum()),
    )  # fmt: skip


def _labels(table: pd.DataFrame, task: Task) -> NDArray[np.float32]:
    """(M, A) 0, 1 or NaN."""
    if task.exclusive:
        columns = [table["emotion"].eq(item).to_numpy(dtype=np.float32, na_value=np.nan) for item in task.items]
    else:
        columns = [pd.to_numeric(table[item]).to_numpy(dtype=np.float32, na_value=np.nan) for item in task.items]
    return np.stack(columns, axis=1).astype(np.float32)


def _of_pictures(
    table: pd.DataFrame, data: Prepared, task: Task, rows: NDArray[np.int64], folds: str, trained: int, seed: int
) -> NDArray[Any]:
    """(M,) the fold that tests each picture of nobody known, -1 where none does, NaN where none can be told.

    Args:
        table: the pictures.
        data: what the task was made from.
        task: its rows and subjects.
        rows: (N,) the fold that tests each row of the task.
        folds: see `missing_rows`.
        trained: likewise.
        seed: of the folds.
    """
    if trained:
        return np.where(table["number"] >= trained, 0, -1)
    if folds == "split":
        return np.where(table["split"].eq("test").fillna(False).to_numpy(dtype=bool), 0, -1)
    if not task.subjects.isna().all():  # folds of people, and who this is nobody knows
        return np.full(len(table), np.nan)
    if folds.isdigit():
        return np.random.default_rng([seed, 8]).permutation(np.arange(len(table)) % int(folds))
    if is_partition(folds):
        fold_of_part = dict(zip(data.column("split", task.rows), rows.tolist()))
        return table["split"].map(fold_of_part).to_numpy(dtype=np.float64, na_value=np.nan)
    try:  # the task's own units were found there when its folds were made
        return from_file(folds, pd.concat([task.units, table["picture"]]), seed=seed)[len(task.units) :]
    except InputError as error:
        raise InputError(
            f"{folds}: lacks some of the {len(table)} labelled pictures without a crop (--missing negative), such as "
            f"{table['picture'].iloc[0]}; add a row for each, with its fold, or an empty one not to count it."
        ) from error
