"""Scores of a detector by group of people or frames (`fit --by`): does it perform equally well in all groups?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.prepared import Prepared
from duchenne.data.spreadsheets import read_csv_table
from duchenne.detectors.calibrating.calibrated import FEWEST_SHOWING, HeldOut
from duchenne.detectors.coded import Coded
from duchenne.errors import InputError, UsageError
from duchenne.metrics import GroupTable, cohen_kappa, confusion, interval, resample, weighted_sums

MOST_GROUPS: Final = 20
FIGURES: Final = ("auc", "f1", "kappa")


@dataclass(frozen=True)
class ByGroup:
    """Who belongs to which group.

    Attributes:
        by: column, without folders.
        group: (N,) of the labelled rows, null where it is not known.
    """

    by: str
    group: pd.Series[str]


def group_rows(by: str, data: Prepared, coded: Coded) -> ByGroup:
    """Reads the groups.

    Args:
        by: a column of `frames.parquet`; or a CSV file with `subject` (as stored, or `dataset:subject`) and `group`.
        data: the prepared data.
        coded: its labelled rows.

    Raises:
        UsageError: when there is no such column, or it does not make 2 to 20 groups.
        InputError: when the file cannot be used.
    """
    if by.lower().endswith(".csv"):
        name, group = "group", _from_file(Path(by), data, coded)
    elif by in data.columns:
        name, group = by, data.column(by, coded.rows).reset_index(drop=True).astype("string")
    else:
        known = ", ".join(name for name in data.columns if not name.startswith("AU"))
        raise UsageError(f"--by {by}: is no column ({known}) and no CSV file with `subject` and `group`.")
    number = group.nunique()
    if not 2 <= number <= MOST_GROUPS:
        raise UsageError(f"--by {by}: makes {number} groups of the labelled frames; 2 to {MOST_GROUPS} are compared.")
    return ByGroup(name, group)


def _from_file(path: Path, data: Prepared, coded: Coded) -> pd.Series[str]:
    try:
        table = read_csv_table(path, {"subject": "str", "group": "str"})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); check the path of --by.") from error
    if not {"subject", "group"} <= set(table.columns):
        raise InputError(f"{path}: needs the columns `subject` and `group`.")
    table = table[["subject", "group"]].dropna().astype("string").apply(lambda column: column.str.strip())
    clash = table.groupby("subject")["group"].nunique()
    if (clash > 1).any():
        raise InputError(f"{path}: puts subject {clash.index[clash > 1][0]} into two groups; leave one of them out.")
    group_of = dict(table.itertuples(index=False))
    own = data.column("subject", coded.rows).reset_index(drop=True).astype("string")
    found = coded.subjects.map(group_of).fillna(own.map(group_of)).astype("string")
    if found.isna().all():
        raise InputError(
            f"{path}: names none of the labelled subjects ({', '.join(sorted(own.dropna().unique())[:3])})."
        )
    return found


def group_scores(coded: Coded, result: HeldOut, by: ByGroup, *, seed: int = 0) -> dict[str, Any]:
    """Figures on subjects left out, by group and action unit.

    Args:
        coded: the labelled rows.
        result: what was said of them.
        by: their groups.
        seed: of the resampling.

    Returns:
        `by`, `unknown` (frames without a group) and `scores`: per group and action unit `group, au, frames, present,
        subjects, showing` and `auc, f1, kappa`, each with `_low` and `_high`: the 95 % interval over resampled
        subjects of the group, None where fewer than 6 show it. All are None where nobody does. AUC is a mean over
        folds as everywhere in `fit`.
    """
    truth = np.where(np.isnan(result.probability), np.nan, coded.labels)
    scores = []
    for name in sorted(by.group.dropna().unique()):
        rows = by.group.eq(name).fillna(False).to_numpy(dtype=bool)
        figures = _figures(truth[rows], result, rows, coded.groups[rows], bootstrap=coded.known, seed=seed)
        for column, au in enumerate(coded.aus):
            known = ~np.isnan(truth[rows, column])
            if known.any():
                own = {key: _plain(values[column]) for key, values in figures.items()}
                there = truth[rows, column] == 1
                people, showing = (len(np.unique(coded.groups[rows][mask])) for mask in (known, there))
                if not showing:  # nothing there is to be found
                    own = dict.fromkeys(own)
                elif showing < FEWEST_SHOWING:
                    own |= {key: None for key in own if key not in FIGURES}
                number = {"frames": int(known.sum()), "present": int(there.sum())}
                scores.append({"group": name, "au": au, **number, "subjects": people, "showing": showing, **own})
    return {"by": by.by, "unknown": int(by.group.isna().sum()), "scores": scores}


def _figures(
    truth: NDArray[np.floating],
    result: HeldOut,
    rows: NDArray[np.bool_],
    subjects: NDArray[np.integer],
    *,
    bootstrap: bool,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """`auc, f1, kappa` (A,) of one group's rows, and their bounds."""
    names, subject = np.unique(subjects, return_inverse=True)
    chance, present, fold = result.probability[rows], result.present[rows], result.fold[rows]
    cells = np.array([confusion(truth[subject == one], present[subject == one]) for one in range(len(names))], float)
    everyone = np.ones(len(names), dtype=bool)
    table = GroupTable.build(truth, chance, present, subject, len(names))
    once = np.ones((1, len(names)), dtype=np.int16)
    draws = resample(everyone, seed=seed) if bootstrap else once

    def all_figures(weights: NDArray[np.int16]) -> dict[str, NDArray[np.float64]]:
        folds = [np.isin(np.arange(len(names)), subject[fold == one]) for one in np.unique(fold)]
        areas = np.stack([table.areas(weights, members) for members in folds])
        defined = (~np.isnan(areas)).sum(axis=0)
        return {
            "auc": np.where(defined > 0, np.nansum(areas, axis=0) / np.maximum(defined, 1), np.nan),
            "f1": table.f1(weights, everyone),
            "kappa": cohen_kappa(*(weighted_sums(weights, everyone, cells[:, cell]) for cell in range(4))),
        }

    out: dict[str, NDArray[np.float64]] = {}
    single, many = all_figures(once), all_figures(draws)
    for key in FIGURES:
        low, high = interval(many[key])
        nothing = np.full_like(low, np.nan)
        out |= {key: single[key][0]}
        out |= {f"{key}_low": low if bootstrap else nothing, f"{key}_high": high if bootstrap else nothing}
    return out


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
