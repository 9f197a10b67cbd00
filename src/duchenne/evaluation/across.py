"""From one data set to another: common action units at one level, and nobody and nothing on both sides."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.folds import Fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.facs import intensity_column


def occurrence_from(data: Prepared, positive_from: float | None) -> NDArray[np.float32]:
    """(N, A) occurrence of the common AUs: 0, 1 or NaN.

    Args:
        data: with labels.
        positive_from: the lowest intensity that counts as present, for every data set that codes intensities; None:
            as each data set says.

    Raises:
        UsageError: when a data set codes occurrence only, so that its level cannot be chosen.
    """
    labels = data.occurrence()
    if positive_from is None:
        return labels
    for number, info in enumerate(data.infos):
        if info.label_kind != "intensity":
            raise UsageError(
                f"--positive-from {positive_from:g}: {info.name} codes {info.label_kind} only, so its level cannot be "
                "chosen; leave the flag out."
            )
        rows = (data.frames["dataset"] == number).to_numpy()
        columns = [intensity_column(au) for au in data.aus]
        values = data.frames.loc[rows, columns].to_numpy(dtype=np.float32, na_value=np.nan)
        labels[rows] = np.where(np.isnan(values), labels[rows], values >= positive_from)
    return labels


def common_level(data: Prepared) -> float | None:
    """The level at which all data sets can be read alike: the highest of theirs, if all code intensities.

    None where some code occurrence only, or all have the same level anyway.
    """
    levels = {info.positive_from for info in data.infos}
    same = len(levels) == 1 or any(info.label_kind != "intensity" for info in data.infos)
    return None if same else max(levels)


def across(data: Prepared, rows: NDArray[np.int64], subjects: pd.Series[str], trained: int) -> list[Fold]:
    """One fold: the first `trained` data sets against the others.

    Args:
        data: all data sets.
        rows: (N,) of the data that take part.
        subjects: (N,) `dataset:subject`, null where unknown.
        trained: number of data sets to train on.

    Raises:
        InputError: when a side has no labelled rows, or the same person, a namesake or the same picture lies on
            both sides.
    """
    train = data.frames["dataset"].to_numpy()[rows] < trained
    if train.all() or not train.any():
        empty = data.infos[0 if not train.any() else trained].name
        raise InputError(f"--train-data: {empty} has no frame with a label that all data sets code; choose others.")
    people = people_of(subjects)
    both = set(people[train].dropna()) & set(people[~train].dropna())
    if both:
        raise InputError(
            f"--train-data: {len(both)} names lie in the data to train on and in the data to test on (first: "
            f"{min(both)}); people of one name in different data sets may be the same, so choose others, or give "
            "others other names."
        )
    same = _common_pictures(data, rows[train], rows[~train])
    if same:
        raise InputError(
            f"--train-data: {same} pictures lie in the data to train on and in the data to test on; choose others."
        )
    return [Fold(train=train, test=~train)]


def levels(data: Prepared, positive_from: float | None) -> dict[str, Any]:
    """Data set -> the intensity from which an AU is present, or `as coded`, for `summary.json`."""
    return {
        info.name: (positive_from or info.positive_from) if info.label_kind == "intensity" else "as coded"
        for info in data.infos
    }


def _common_pictures(data: Prepared, one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many pictures of the second set are, byte for byte, in the first; only those of equal length are read."""
    size = data.frames["size"].to_numpy()
    one, other = one[np.isin(size[one], size[other])], other[np.isin(size[other], size[one])]
    known = {hashlib.blake2b(data.jpeg(int(row)), digest_size=16).digest() for row in one}
    return sum(hashlib.blake2b(data.jpeg(int(row)), digest_size=16).digest() in known for row in other)
