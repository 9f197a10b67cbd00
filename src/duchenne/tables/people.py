"""Per person, trial and action unit: a mean, where the value lay half of the time, and means over people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.tables.episodes import Measure, is_present
from duchenne.tables.study import BASELINE_COLUMNS, Track

WHOLE: Final = "whole recording"
"""What stands for a trial where there are none."""
VALUES: Final = ("mean", "change", "share")
"""What a page can show of a person in a trial."""
PERSON_COLUMNS: Final = (
    "person", "trial", "au", "measure", "seconds", "mean", "low", "high", "change", "change_low", "change_high",
    "share",
)  # fmt: skip
GROUP_COLUMNS: Final = ("trial", "au", "measure", "value", "people", "mean", "low", "high")
_HALF: Final = (0.25, 0.75)
_LEVEL: Final = 0.95


class Appearance(NamedTuple):
    """Where a person can be looked at: a recording, the number of the face in it, and from when on.

    Attributes:
        source: as in the table. face: as in the table, before faces were named. onset_s: of the first trial there.
    """

    source: str
    face: int | str
    onset_s: float


class People(NamedTuple):
    """Everybody in a study.

    Attributes:
        values: a row per person, trial, AU and measure, `PERSON_COLUMNS`: seconds with a value, their mean and
            quartiles (`low`, `high`), the same of the difference from the mean of the trial's baseline, and the share
            of time in which the AU is present where the model decides that itself; NaN where something is not known.
        groups: a row per trial, AU, measure and one of `VALUES`, `GROUP_COLUMNS`: the mean over people and its 95 %
            interval (Student's t; NaN of one person).
        appearances: person -> trial -> where.
    """

    values: pd.DataFrame
    groups: pd.DataFrame
    appearances: Mapping[str, Mapping[str, Appearance]]


class _Pool:
    """The frames of one person, trial and measure, of one or several recordings."""

    def __init__(self) -> None:
        self.parts: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []

    def row(self) -> dict[str, float]:
        values, weights, changes, present = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        known = np.isfinite(values)
        compared, decided = np.isfinite(changes), known & np.isfinite(present)
        mean, low, high = _spread(values[known], weights[known])
        change, change_low, change_high = _spread(changes[compared], weights[compared])
        share, _, _ = _spread(present[decided], weights[decided])
        return {
            "seconds": float(weights[known].sum()), "mean": mean, "low": low, "high": high, "change": change,
            "change_low": change_low, "change_high": change_high, "share": share,
        }  # fmt: skip


def study_people(
    tracks: Sequence[Track],
    measures: Mapping[str, Sequence[Measure]],
    trials: pd.DataFrame | None,
    numbers: Mapping[tuple[str, int | str], int | str],
) -> People:
    """Sums up every person in every trial.

    A name is one person in all recordings; a number is another person in each.

    Args:
        tracks: of all faces.
        measures: source -> its measures.
        trials: from `read_trials`; None takes each recording as one.
        numbers: (source, face) -> the number of the face before it was named.
    """
    labels = _labels(tracks)
    pools: dict[tuple[str, str, int, str], _Pool] = {}
    appearances: dict[str, dict[str, Appearance]] = {}
    order = [WHOLE] if trials is None else list(dict.fromkeys(map(str, trials["trial"])))
    for track, person in zip(tracks, labels, strict=True):
        for trial, during_s, before_s, onset_s in _windows(track, trials):
            during = np.isfinite(during_s)
            number = numbers.get((track.source, track.face), track.face)
            appearances.setdefault(person, {}).setdefault(trial, Appearance(track.source, number, onset_s))
            for measure in measures[track.source]:
                values = np.asarray(track.rows[measure.column].to_numpy(dtype=np.float64, na_value=np.nan))
                if not np.isfinite(values).any():
                    continue
                compared = np.isfinite(before_s) & np.isfinite(values)
                rest = _spread(values[compared], before_s[compared])[0]
                pools.setdefault((person, trial, measure.au, measure.column), _Pool()).parts.append(
                    (values[during], during_s[during], values[during] - rest, _decided(track, measure)[during])
                )
    rows = [
        {"person": person, "trial": trial, "au": au, "measure": column, **pool.row()}
        for (person, trial, au, column), pool in pools.items()
    ]
    table = pd.DataFrame(rows, columns=list(PERSON_COLUMNS))
    table["trial"] = pd.Categorical(table["trial"], categories=order)
    table = table.sort_values(["au", "measure", "trial"], kind="stable", ignore_index=True)
    return People(table, _groups(table), appearances)


def _labels(tracks: Sequence[Track]) -> list[str]:
    """A name for each track: that of the person, or that of the recording and of the face where it shows several."""
    sources = list(dict.fromkeys(track.source for track in tracks))
    stems = [PurePath(source).stem for source in sources]
    short = dict(zip(sources, stems if len(set(stems)) == len(stems) else sources, strict=True))
    shown = {source: sum(track.source == source for track in tracks) for source in sources}
    names = {str(track.face) for track in tracks if track.is_named}
    return [
        str(track.face) if track.is_named
        else short[track.source] if shown[track.source] == 1 and short[track.source] not in names
        else f"{short[track.source]}, face {track.face}"
        for track in tracks
    ]  # fmt: skip


def _windows(
    track: Track, trials: pd.DataFrame | None
) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64], float]]:
    """The trials of a track: name, how long its frames and those of its baseline are shown, and when it begins."""
    none = np.full(len(track.rows), np.nan)
    if trials is None:
        return [(WHOLE, track.seconds, none, float(track.rows["time_s"].iloc[0]))]
    return [
        (
            str(window["trial"]), track.within(window["onset_s"], window["offset_s"]),
            track.within(*(window[name] for name in BASELINE_COLUMNS)) if BASELINE_COLUMNS[0] in window else none,
            float(window["onset_s"]),
        )
        for window in trials[trials["source"] == track.source].to_dict("records")
    ]  # fmt: skip


def _decided(track: Track, measure: Measure) -> NDArray[np.float64]:
    """1 and 0 where the model decides, NaN elsewhere: of a score nobody knows from where on it is presence."""
    if measure.decision is None:
        return np.full(len(track.rows), np.nan)
    known = track.rows[measure.decision].notna().to_numpy()
    return np.where(known, is_present(track.rows, measure).astype(float), np.nan)


def _spread(values: NDArray[np.float64], seconds: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and quartiles, weighted by how long values are shown; NaN of none."""
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    weights = seconds if seconds.sum() > 0 else np.ones(len(values))
    low, high = np.quantile(values, _HALF, weights=weights, method="inverted_cdf")
    return float(np.average(values, weights=weights)), float(low), float(high)


def _groups(values: pd.DataFrame) -> pd.DataFrame:
    from scipy import stats  # here: detection, and tables without this page, do without it

    rows = []
    for (au, measure, trial), own in values.groupby(["au", "measure", "trial"], observed=True, sort=False):
        for value in VALUES:
            known = own[value].dropna().to_numpy(dtype=float)
            if not len(known):
                continue
            low, high = float("nan"), float("nan")
            if len(known) > 1:
                error = known.std(ddof=1) / np.sqrt(len(known))
                reach = float(stats.t.ppf((1 + _LEVEL) / 2, len(known) - 1) * error)
                low, high = known.mean() - reach, known.mean() + reach
            rows.append(
                {"trial": trial, "au": au, "measure": measure, "value": value, "people": len(known),
                 "mean": float(known.mean()), "low": low, "high": high}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS))
