"""From test scores to `scores.csv` and `summary.json`: cells, both aggregates, intervals, paired differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.metrics import (
    RESAMPLES,
    Floats,
    GroupTable,
    confusion,
    f1_always_positive,
    f1_from_counts,
    interval,
    json_number,
    ratio,
    resample,
    roc_auc,
    weighted_sums,
    where_known,
)

COLUMNS: Final = (
    "model", "target", "item", "fold", "seed", "f1", "auc", "precision", "recall", "positives", "negatives",
    "f1_always_positive",
)  # fmt: skip
AGGREGATES: Final = ("mean_of_folds", "pooled")
METRICS: Final = ("f1", "auc")
DIGITS: Final = 6
INTERVAL: Final = {"level": 0.95, "resamples": RESAMPLES, "resampled": "over all folds"}
"""What `summary.json` says of intervals; those of files that do not say `resampled` were resampled within folds."""


@dataclass(frozen=True)
class Predictions:
    """What one model gave for one seed.

    Attributes:
        score: (N, A) higher means more likely present; NaN where an item could not be trained or a row is not tested.
        predicted: (N, A) bool.
        fold: (N,) the fold that tests the row, -1 where none does.
    """

    score: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    fold: NDArray[np.int64]


@dataclass(frozen=True)
class Statistics:
    """Scores under R weightings of the subjects; each array is (R, A), averaged over folds and seeds.

    Attributes:
        values: (aggregate, metric) -> (R, A).
        exclusive: aggregate -> (R, 2 + A) accuracy, mean recall and the recall of each item, for targets of which one
            item is true; empty else. An item that does not occur has no recall and no part in the mean.
    """

    values: Mapping[tuple[str, str], Floats]
    exclusive: Mapping[str, Floats]


def cells(
    model: str, target: str, items: Sequence[str], labels: NDArray[np.floating], runs: Mapping[int, Predictions]
) -> list[dict[str, Any]]:
    """The rows of `scores.csv` of one model: one per item, fold and seed.

    Args:
        model: its name.
        target: `au` or `emotion`.
        items: names of the A items.
        labels: (N, A) 0, 1 or NaN.
        runs: seed -> what was tested.
    """
    rows = []
    for seed, run in runs.items():
        for fold in np.unique(run.fold[run.fold >= 0]):
            here = run.fold == fold
            truth, score = labels[here], run.score[here]
            tp, fp, fn, tn = confusion(truth, run.predicted[here])
            auc = roc_auc(np.where(np.isnan(score), np.nan, truth), score)
            counted = (f1_from_counts(tp, fp, fn), ratio(tp, tp + fp), ratio(tp, tp + fn))
            f1, precision, recall = (where_known(values, tp + fp + fn + tn) for values in counted)
            numbers, always = (f1, auc, precision, recall), f1_always_positive(tp + fn, fp + tn)
            for au, item in enumerate(items):
                values = [round(float(column[au]), DIGITS) for column in numbers]
                counts = [int((tp + fn)[au]), int((fp + tn)[au])]
                row = [model, target, item, int(fold), seed, *values, *counts, round(float(always[au]), DIGITS)]
                rows.append(dict(zip(COLUMNS, row)))
    return rows


def statistics(
    labels: NDArray[np.floating],
    runs: Mapping[int, Predictions],
    group: NDArray[np.int64],
    weights: NDArray[np.integer],
    *,
    exclusive: bool = False,
) -> Statistics:
    """Both aggregates of F1 and AUC under each weighting of the groups (subjects).

    Mean of folds: each fold's score, averaged over the folds where it is defined; a fold weighs by how often its groups
    with known labels count, relative to how many they are (1 where every group counts once). Pooled: the predictions
    of all folds together. Several seeds are averaged.

    Args:
        labels: (N, A) 0, 1 or NaN.
        runs: seed -> what was tested; a group's rows lie in one fold.
        group: (N,) 0 to G - 1.
        weights: (R, G) how often each group counts.
        exclusive: whether one item is true per row (emotions), so that accuracy exists.
    """
    collected: dict[tuple[str, str], list[Floats]] = {(a, m): [] for a in AGGREGATES for m in METRICS}
    shares: dict[str, list[Floats]] = {aggregate: [] for aggregate in AGGREGATES}
    count = weights.shape[1]
    for run in runs.values():
        rows = run.fold >= 0
        table = GroupTable.build(labels[rows], run.score[rows], run.predicted[rows], group[rows], count)
        fold_of = np.full(count, -1)
        fold_of[group[rows]] = run.fold[rows]
        members = [fold_of == fold for fold in np.unique(run.fold[rows])]
        everyone = fold_of >= 0
        known = (table.positives + table.negatives > 0).astype(np.float64)
        drawn = np.stack([ratio(weighted_sums(weights, m, known), known[m].sum(axis=0)) for m in members])
        for metric, measure in (("f1", table.f1), ("auc", table.areas)):
            by_fold = np.stack([measure(weights, m) for m in members])
            collected["mean_of_folds", metric].append(mean_defined(by_fold, weights=drawn))
            collected["pooled", metric].append(measure(weights, everyone))
        if exclusive:
            by_fold = np.stack([_shares(table, weights, m) for m in members])
            shares["mean_of_folds"].append(mean_defined(by_fold, weights=drawn[:, :, :1]))  # of all items the same
            shares["pooled"].append(_shares(table, weights, everyone))
    means = {key: mean_defined(np.stack(values)) for key, values in collected.items()}
    return Statistics(means, {key: mean_defined(np.stack(values)) for key, values in shares.items() if values})


def _shares(table: GroupTable, weights: NDArray[np.integer], members: NDArray[np.bool_]) -> Floats:
    right, known = (weighted_sums(weights, members, counts) for counts in (table.true_positives, table.positives))
    total, recall = known.sum(axis=1), where_known(ratio(right, known), known)
    accuracy = where_known(ratio(right.sum(axis=1), total), total)
    return np.concatenate([accuracy[:, None], mean_defined(recall, axis=1)[:, None], recall], axis=1)


def mean_defined(values: Floats, axis: int = 0, weights: Floats | float = 1.0) -> Floats:
    """The mean, with weights (broadcast), over an axis without the undefined (NaN) values; NaN where all are."""
    known = ~np.isnan(values)
    counted = np.where(known, weights, 0.0)
    amount = counted.sum(axis=axis)
    return where_known(ratio((np.where(known, values, 0.0) * counted).sum(axis=axis), amount), amount)


class Summariser:
    """Point values and bootstrap intervals of several models on the same rows, with the same resamples.

    All tested groups are resampled together: resampling within folds would keep fixed how folds of few groups differ,
    down to an interval without width where each fold tests a single one. There is no interval for an item that is known
    of fewer than two groups.

    Args:
        labels: (N, A) 0, 1 or NaN.
        items: names of the A items.
        group: (N,) 0 to G - 1: the subject, or the image where subjects are unknown.
        fold: (G,) the fold of the first seed that tests each group, -1 where none does.
        resamples: number of bootstrap samples.
        exclusive: whether one item is true per row.
    """

    def __init__(
        self,
        labels: NDArray[np.floating],
        items: Sequence[str],
        group: NDArray[np.int64],
        fold: NDArray[np.int64],
        *,
        resamples: int,
        exclusive: bool,
    ) -> None:
        self._labels, self._items, self._group, self._exclusive = labels, items, group, exclusive
        tested = fold >= 0
        self._weights = np.concatenate([np.ones((1, len(fold)), dtype=np.int16), resample(tested, resamples=resamples)])
        known = ~np.isnan(labels) & tested[group][:, None]
        self._several = np.array([len(np.unique(group[rows])) > 1 for rows in known.T])
        self._statistics: dict[str, Statistics] = {}

    def add(self, model: str, runs: Mapping[int, Predictions]) -> dict[str, Any]:
        """Summarises one model; see `docs/evaluation.md` for the keys."""
        found = statistics(self._labels, runs, self._group, self._weights, exclusive=self._exclusive)
        self._statistics[model] = found
        out: dict[str, Any] = {}
        for aggregate in AGGREGATES:
            out[aggregate] = {metric: self._mean(found.values[aggregate, metric]) for metric in METRICS}
            if self._exclusive:
                accuracy, recall = np.split(found.exclusive[aggregate][:, :2], 2, axis=1)
                out[aggregate] |= {"accuracy": self._mean(accuracy), "mean_recall": self._mean(recall)}
        out["items"] = {
            item: {
                aggregate: {metric: self._item(found.values[aggregate, metric], au) for metric in METRICS}
                for aggregate in AGGREGATES
            }
            for au, item in enumerate(self._items)
        }
        if self._exclusive:
            for place, item in enumerate(self._items):
                for aggregate in AGGREGATES:
                    recalls = found.exclusive[aggregate][:, 2:]
                    out["items"][item][aggregate]["recall"] = self._item(recalls, place)
        return out

    def means(self, runs: Mapping[int, Predictions]) -> dict[str, Any]:
        """F1 and AUC as means of folds over items, with intervals, of predictions that are not compared with others."""
        found = statistics(self._labels, runs, self._group, self._weights, exclusive=False)
        return {metric: self._mean(found.values[AGGREGATES[0], metric]) for metric in METRICS}

    def differences(self, beside: Collection[str] = ()) -> list[dict[str, Any]]:
        """Paired differences, first minus second, of every two models added, on the same resamples.

        Args:
            beside: models that are not compared with each other (baselines).
        """
        out = []
        for first, second in combinations(self._statistics, 2):
            if first in beside and second in beside:
                continue
            row: dict[str, Any] = {"first": first, "second": second}
            pairs = {
                (aggregate, metric): self._statistics[first].values[aggregate, metric]
                - self._statistics[second].values[aggregate, metric]
                for aggregate in AGGREGATES
                for metric in METRICS
            }
            for aggregate in AGGREGATES:
                row[aggregate] = {metric: self._mean(pairs[aggregate, metric]) for metric in METRICS}
            row["items"] = {
                item: {metric: self._item(pairs["mean_of_folds", metric], au) for metric in METRICS}
                for au, item in enumerate(self._items)
            }
            out.append(row)
        return out

    def _mean(self, values: Floats) -> dict[str, float | None]:
        """The estimate of the mean over items of values (R, A)."""
        return _estimate(mean_defined(values, axis=1), bool(self._several.any()))

    def _item(self, values: Floats, place: int) -> dict[str, float | None]:
        """The estimate of one item of values (R, A)."""
        return _estimate(values[:, place], bool(self._several[place]))


def model_means(table: pd.DataFrame) -> pd.DataFrame:
    """Per model the mean AUC, F1 and always-positive F1: over folds, seeds, then items, as in `summary.json`.

    Args:
        table: of `scores.csv`.
    """
    columns = ["auc", "f1", "f1_always_positive"]
    by_seed = table.groupby(["model", "item", "seed"], sort=False)[columns].mean()
    return by_seed.groupby(["model", "item"], sort=False).mean().groupby("model", sort=False).mean()


def spread(rows: Sequence[Mapping[str, Any]], *, one_split: bool = False) -> dict[str, Any]:
    """How far the means over items differ from split to split; of one split, from seed to seed or fold to fold.

    Args:
        rows: the cells of one model.
        one_split: whether all seeds test the same folds, as with the data's own split.

    Returns:
        `over` (`splits`, `seeds` or `folds`), `number`, and per metric `values`, `sd` (sample), `low` and `high`.
    """
    table = pd.DataFrame(rows)
    over = "seed" if table["seed"].nunique() > 1 else "fold"
    by_item = table.groupby([over, "item"], sort=False)[list(METRICS)].mean()
    means = by_item.groupby(over).mean()
    what = "folds" if over == "fold" else "seeds" if one_split else "splits"
    out: dict[str, Any] = {"over": what, "number": len(means)}
    for metric in METRICS:
        values = means[metric].dropna()
        few = len(values) < 2
        out[metric] = {
            "values": [json_number(value) for value in means[metric]],
            "sd": None if few else json_number(values.std(ddof=1)),
            "low": None if few else json_number(values.min()),
            "high": None if few else json_number(values.max()),
        }
    return out


def always_positive(items: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The F1 of calling every item present everywhere, from the cells of any one model."""
    by_item: dict[str, Any] = {}
    for item in items:
        mine = [row for row in rows if row["item"] == item]
        positives, negatives = (sum(row[name] for row in mine) for name in ("positives", "negatives"))
        by_item[item] = {
            "mean_of_folds": json_number(mean_defined(np.array([row["f1_always_positive"] for row in mine]))),
            "pooled": json_number(f1_always_positive(positives, negatives)),
        }
    means = {
        name: json_number(mean_defined(np.array([values[name] for values in by_item.values()], dtype=np.float64)))
        for name in AGGREGATES
    }
    return {**means, "items": by_item}


def undefined(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cells without an AUC (no known positive or no known negative, in training or in the test)."""
    found = [[row["item"], row["fold"], row["seed"]] for row in rows if np.isnan(row["auc"])]
    return {"auc": len(found), "of": len(rows), "cells": found}


def _estimate(values: Floats, several: bool) -> dict[str, float | None]:
    """The first value (all subjects once) with the percentile interval of the others, where there are several."""
    low, high = interval(values[1:]) if several else (np.nan, np.nan)
    return {"value": json_number(values[0]), "low": json_number(low), "high": json_number(high)}
