"""From one data set to another: common action units at one level, and no person or picture on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.folds import Fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.facs import au_column


def occurrence_from(data: Prepared, positive_from: float | None) -> NDArray[np.float32]:
    """(N, A) occurrence of the common AUs: 0, 1 or NaN.

    Args:
        data: with labels.
        positive_from: the lowest intensity that counts as present, in every data set; None: as each data set says.
            What is coded without an intensity here and there stays as coded.

    Raises:
        UsageError: when a data set codes the presence of an AU by itself, so that its level cannot be chosen.
    """
    labels = data.occurrence()
    if positive_from is None:
        return labels
    for number, info in enumerate(data.infos):
        alone = coded_alone(data, number)
        if alone:
            raise UsageError(
                f"--positive-from {positive_from:g}: {info.name} codes the presence of {', '.join(alone)} without "
                "intensity, so its level cannot be chosen; leave the flag out."
            )
    values = data.intensity(data.aus)
    return np.where(np.isnan(values), labels, values >= positive_from).astype(np.float32)


def coded_alone(data: Prepared, number: int, aus: Sequence[int] | None = None) -> tuple[str, ...]:
    """The AUs whose presence one data set codes by itself: there is no intensity that it could follow from.

    BP4D codes the presence of all its AUs and the intensity of five: the level of the others cannot be changed.

    Args:
        data: with labels.
        number: of the data set.
        aus: to look at; None: those that all data sets code.
    """
    aus = data.aus if aus is None else aus
    rows = np.flatnonzero(data.datasets() == number)
    without = np.isnan(data.intensity(aus, rows)).all(axis=0)
    present = (data.occurrence(aus, rows) == 1).any(axis=0) | (data.infos[number].label_kind != "intensity")
    return tuple(au_column(au) for au, alone in zip(aus, without & present, strict=True) if alone)


def common_level(data: Prepared) -> float | None:
    """The level at which all data sets can be read alike: the highest of theirs, if all AUs have intensities in all.

    None where an AU's presence is coded by itself, so that one of the others' levels would not be its own, or where
    all have the same level anyway.
    """
    levels = {info.positive_from for info in data.infos}
    fixed = any(coded_alone(data, number) for number in range(len(data.infos)))
    return None if len(levels) == 1 or fixed else max(levels)


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
    train = data.datasets(rows) < trained
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
    """Data set -> the intensity from which all its AUs are present, or `as coded`, for `summary.json`."""
    return {info.name: positive_from or level_of(data, number) or "as coded" for number, info in enumerate(data.infos)}


def level_of(data: Prepared, number: int, aus: Sequence[int] | None = None) -> float | None:
    """The intensity from which one data set calls all of its AUs present; None where it is as coded.

    That is its `positive_from`, unless an AU's presence is coded by itself, or against a known intensity.

    Args:
        data: with labels.
        number: of the data set.
        aus: to look at; None: those that all data sets code.
    """
    aus = data.aus if aus is None else aus
    rows = np.flatnonzero(data.datasets() == number)
    labels, values = data.occurrence(aus, rows), data.intensity(aus, rows)
    known, level = ~np.isnan(labels) & ~np.isnan(values), data.infos[number].positive_from
    same = bool((labels[known] == (values[known] >= level)).all())
    return level if same and not coded_alone(data, number, aus) else None


def _common_pictures(data: Prepared, one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many pictures of the second set are, byte for byte, in the first; only those of equal length are read."""
    size = data.column("size").to_numpy()
    one, other = one[np.isin(size[one], size[other])], other[np.isin(size[other], size[one])]
    known = {hashlib.blake2b(data.jpeg(int(row)), digest_size=16).digest() for row in one}
    return sum(hashlib.blake2b(data.jpeg(int(row)), digest_size=16).digest() in known for row in other)
