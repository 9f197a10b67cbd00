"""Labelled pictures without a crop, counted as predicted absent (`prepare --missing negative`).

A detector that finds no face says that nothing is there. Leaving such pictures out makes scores better than what people
who use it see, and the pictures left out are not random ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.prepared import MISSING_FILE, Prepared
from duchenne.data.stored.frames import read_table
from duchenne.evaluation.scoring import Predictions
from duchenne.evaluation.tasks import Task
from duchenne.facs import au_column, intensity_column


@dataclass(frozen=True)
class Missing:
    """Labelled rows without a crop, beside the N rows of a task.

    Attributes:
        labels: (M, A) 0, 1 or NaN.
        group: (M,) as in the task; a new number for each row of nobody known.
        tested: (M,) bool, of nobody known: whether the data's own split tests them.
        known: number of groups of the task; higher ones are new.
        left_out: rows of people of whom there is no crop at all, so that no fold has them.
    """

    labels: NDArray[np.float32]
    group: NDArray[np.int64]
    tested: NDArray[np.bool_]
    known: int
    left_out: int

    def folds(self, task: Task, fold: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N + M,) the fold that tests each row, from that of the task's rows: people stay whole."""
        of_group = np.full(int(max(self.known, self.group.max(initial=-1) + 1)), -1)
        of_group[task.group] = fold
        mine = np.where(self.group < self.known, of_group[self.group], np.where(self.tested, 0, -1))
        return np.concatenate([fold, mine])

    def count(self, task: Task, run: Predictions) -> Predictions:
        """Predictions of N + M rows: those without a crop have the lowest score of their fold and are called absent."""
        if not len(self.group):
            return run
        fold = self.folds(task, run.fold)
        score = np.concatenate([run.score, np.full(self.labels.shape, np.nan, dtype=np.float32)])
        for number in np.unique(fold[fold >= 0]):
            here = run.score[run.fold == number]
            known = ~np.isnan(here).all(axis=0)
            lowest = np.where(known, np.where(np.isnan(here), np.inf, here).min(axis=0) - 1, np.nan)
            score[len(run.fold) :][fold[len(run.fold) :] == number] = lowest
        absent = np.zeros(self.labels.shape, dtype=bool)
        return replace(run, score=score, predicted=np.concatenate([run.predicted, absent]), fold=fold)


def missing_rows(data: Prepared, task: Task, positive_from: float | None) -> Missing:
    """The labelled rows without a crop of the folders that were prepared to count them.

    Args:
        data: what the task was made from.
        task: its items, rows and subjects.
        positive_from: see `duchenne.data.across.occurrence_from`.
    """
    columns = ["subject", "split", *task.items] if not task.exclusive else ["subject", "split", "emotion"]
    tables = []
    for path, info in zip(data.paths, data.infos):
        if info.settings.get("missing") != "negative" or not (path / MISSING_FILE).exists():
            continue
        table = read_table(path / MISSING_FILE, info.layout(), pictures=False)
        if positive_from is not None and not task.exclusive:
            for au in info.aus:
                strength = table[intensity_column(au)]
                level = (strength >= positive_from).astype("Int8")
                table[au_column(au)] = level.where(strength.notna(), table[au_column(au)].astype("Int8"))
        table["subject"] = info.name + ":" + table["subject"].astype("string")
        tables.append(table[columns])
    if not tables:
        none = np.empty((0, len(task.items)), dtype=np.float32)
        return Missing(none, np.empty(0, dtype=np.int64), np.empty(0, dtype=bool), int(task.group.max()) + 1, 0)
    table = pd.concat(tables, ignore_index=True)
    if task.exclusive:
        labels = np.stack([table["emotion"].eq(item).to_numpy(np.float32) for item in task.items], axis=1)
        labels[table["emotion"].isna().to_numpy()] = np.nan
    else:
        labels = np.array(
            [pd.to_numeric(table[item]).to_numpy(dtype=np.float32, na_value=np.nan) for item in task.items]
        ).T
    numbers = dict(zip(task.subjects, task.group))
    named = table["subject"].notna().to_numpy()
    group = table["subject"].map(numbers).fillna(-1).to_numpy(dtype=np.int64)
    used = ~np.isnan(labels).all(axis=1) & ((group >= 0) | ~named)
    labels, group, named = labels[used], group[used], named[used]
    known = int(task.group.max()) + 1
    group[~named] = known + np.arange(int((~named).sum()))
    tested = table["split"].eq("test").fillna(False).to_numpy(dtype=bool)[used]
    return Missing(labels.astype(np.float32), group, tested, known, int((~used).sum()))
