"""The labelled faces that `fit` learns from, and who is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.across import level_of
from duchenne.data.folds import people_of
from duchenne.data.prepared import Prepared
from duchenne.detectors.calibrating.intensity import Intensities
from duchenne.errors import InputError
from duchenne.facs import au_column


@dataclass(frozen=True)
class Coded:
    """The labelled rows.

    Attributes:
        rows: (N,) of the prepared data. labels: (N, A) 0, 1 or NaN. aus: names of the A columns.
        intensity: of the same rows; NaN for an action unit that counts as present from different
            levels in different folders. None where none is left.
        subjects: (N,) `dataset:subject`, null where unknown.
        groups: (N,) a number per subject, namesakes of other data sets being one; per clip where it is unknown.
        known: whether every row has a subject.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.float32]
    intensity: Intensities | None
    aus: tuple[str, ...]
    subjects: pd.Series[str]
    groups: NDArray[np.int64]
    known: bool


def coded_rows(data: Prepared) -> Coded:
    """All rows with a known label.

    Raises:
        InputError: when nothing is labelled, or only one person.
    """
    numbers = _coded_aus(data)
    if not numbers:
        raise InputError(f"{data.paths[0]}: codes no action units; prepare it with labels (prepare videos --labels).")
    labels = data.occurrence(numbers)
    rows = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if not len(rows):
        raise InputError(f"{data.paths[0]}: no frame has a known label; prepare it with labels.")
    subjects = data.subject_names(rows).reset_index(drop=True)
    unknown = subjects.isna()
    clips = pd.Series(data.clip_ids(rows), dtype="string")
    alone = data.column("clip", rows).isna().to_numpy()
    clips[alone] = [f"image {row}" for row in rows[alone]]
    groups, names = pd.factorize(people_of(subjects).where(~unknown, "\0" + clips))
    if len(names) < 2:
        what = "subject" if not unknown.any() else "clip, of an unknown subject,"
        raise InputError(
            f"{data.paths[0]}: only one {what} has labels, so nothing shows how a detector does on anybody else; code "
            "another person, or say who is who with `prepare --names`."
        )
    aus, known = tuple(map(au_column, numbers)), not bool(unknown.any())
    return Coded(rows, labels[rows], _intensity(data, numbers, rows), aus, subjects, groups.astype(np.int64), known)


def _coded_aus(data: Prepared) -> tuple[int, ...]:
    return tuple(sorted(set().union(*(info.aus for info in data.infos))))


def levels_of_presence(data: Prepared) -> dict[str, tuple[float, ...]]:
    """Action unit -> from which intensities the folders that code them count it as present, ascending.

    A folder that codes the presence of an action unit by itself, as BP4D of most, has no level for it.
    """
    aus = _coded_aus(data)
    dataset, known = data.datasets(), ~np.isnan(data.intensity(aus))
    graded = np.stack([known[dataset == number].any(axis=0) for number in range(len(data.infos))])
    levels = np.array([info.positive_from for info in data.infos])
    return {au_column(au): tuple(np.unique(levels[own]).tolist()) for au, own in zip(aus, graded.T, strict=True)}


def _intensity(data: Prepared, numbers: tuple[int, ...], rows: NDArray[np.int64]) -> Intensities | None:
    levels = np.array([own[0] if len(own) == 1 else np.nan for own in levels_of_presence(data).values()])
    values = np.where(np.isnan(levels), np.nan, data.intensity(numbers, rows))
    return None if np.isnan(values).all() else Intensities(values, levels)


def counts(coded: Coded, column: int) -> dict[str, int]:
    """Known frames and subjects of an action unit, and those that show it."""
    labels = coded.labels[:, column]
    known = ~np.isnan(labels)
    return {
        "frames": int(known.sum()),
        "present": int((labels == 1).sum()),
        "subjects": len(np.unique(coded.groups[known])),
        "showing": len(np.unique(coded.groups[labels == 1])),
    }


def lacks(coded: Coded, column: int) -> str:
    """Why an action unit could not be learned."""
    labels = coded.labels[:, column]
    for value, word in ((1, "present"), (0, "absent")):
        number = len(np.unique(coded.groups[labels == value]))
        if number < 2:
            return f"is {word} in {'no subject' if not number else 'only one subject'}, two are needed"
    return "is not both present and absent among the other subjects when some are left out; more are needed"


def trained_on(data: Prepared, coded: Coded) -> tuple[dict[str, Any], ...]:
    """What detector.json says of each data set."""
    dataset = data.datasets(coded.rows)
    return tuple(
        {
            "dataset": info.name, "subjects": sorted(coded.subjects[dataset == number].dropna().unique()),
            "frames": int((dataset == number).sum()), "licence": info.licence, "label_kind": info.label_kind,
            "positive_from": level_of(data, number, info.aus),
            "alignment": info.alignment, "size_px": info.size_px,
        }
        for number, info in enumerate(data.infos)
    )  # fmt: skip
