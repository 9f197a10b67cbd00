"""Two codings, frame by frame: which rows belong together, and how far they agree on each action unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.metrics import (
    cohen_kappa,
    f1_from_counts,
    gwet_ac1,
    icc,
    interval,
    json_number,
    ratio,
    resample,
    roc_auc,
)
from duchenne.tables.codings import Coding, Floats

Joining = Literal["auto", "time", "frame"]
"""What rows of two codings are joined by: `time` where both have it, or `frame`."""
COLUMNS: Final = (
    "au", "first", "second", "frames", "first_present", "second_present", "kappa", "kappa_low", "kappa_high", "ac1",
    "f1", "icc_absolute", "icc_consistency", "correlation", "auc", "first_events", "second_events", "event_f1", "lag_s",
)  # fmt: skip


Event = tuple[int, float, float]
"""Group, onset and offset in seconds."""


class NothingShared(InputError):
    """Two codings have no action unit or no frame in common."""


class Limits(NamedTuple):
    """From which probability and intensity an action unit counts as present, and how far events may lie apart."""

    threshold: float
    intensity_from: float
    tolerance_s: float
    max_lag_s: float


@dataclass(frozen=True)
class Joined:
    """Which rows of two codings are the same face at the same moment.

    Attributes:
        first, second: (N,) row numbers.
        group: (N,) a number per source and face.
        source: (N,) a number per source.
        time_s: (N,) time of the first coding, NaN where it has none.
        by: what joined them.
        counts: matched and unmatched rows and sources.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    group: NDArray[np.int64]
    source: NDArray[np.int64]
    time_s: Floats
    by: str
    counts: dict[str, int]


def compare_pair(
    first: Coding, second: Coding, limits: Limits, by: Joining = "auto"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row per action unit that both codings have, see `agree`, and what is to be said of the pair.

    Raises:
        NothingShared: when the two share no action unit or no frame.
        InputError: when they cannot be joined.
    """
    codings = (first, second)
    aus = sorted(set(first.aus) & set(second.aus))
    if not aus:
        raise NothingShared(f"{first.name} and {second.name} have no action unit in common.")
    joined = join(*codings, by=by)
    rows, cells = [], {}
    for au in aus:
        measures = [coding.strength(au)[1][rows_] for coding, rows_ in zip(codings, (joined.first, joined.second))]
        kinds = [coding.strength(au)[0] for coding in codings]
        coded = [
            coding.present(au, threshold=limits.threshold, intensity_from=limits.intensity_from) for coding in codings
        ]
        present = [None if p is None else p[r] for p, r in zip(coded, (joined.first, joined.second))]
        seen = [measure if there is None else there for there, measure in zip(present, measures)]
        coded_by_both = ~np.isnan(seen[0]) & ~np.isnan(seen[1])
        row: dict[str, Any] = {"au": au_column(au), "first": kinds[0], "second": kinds[1]}
        row["frames"] = int(coded_by_both.sum())
        if present[0] is not None and present[1] is not None and coded_by_both.any():
            cells[au] = _cells(present[0], present[1], joined.source)
            one, other = (np.where(coded_by_both, there, np.nan) for there in (present[0], present[1]))
            row |= _presence(cells[au]) | _events(one, other, joined, limits.tolerance_s)
        if present[0] is not None and kinds[1] != "occurrence":
            truth = np.where(np.isnan(measures[1]), np.nan, present[0])
            row["auc"] = roc_auc(truth[:, None], np.nan_to_num(measures[1])[:, None])[0]
        graded = ~np.isnan(measures[0]) & ~np.isnan(measures[1])
        row |= _strengths(measures, kinds, graded) | {"lag_s": _lag(measures, graded, joined, limits.max_lag_s)}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.astype(dict.fromkeys(COLUMNS[4:], "float64")).round(6)
    summary = {
        "first": first.name, "second": second.name, "joined_by": joined.by, **joined.counts,
        "facs_agreement": _facs_agreement(list(cells.values())),
        "mean_kappa": json_number(table["kappa"].mean()), "mean_ac1": json_number(table["ac1"].mean()),
        "only_first": [au_column(au) for au in first.aus if au not in aus],
        "only_second": [au_column(au) for au in second.aus if au not in aus],
    }  # fmt: skip
    return table, summary


def join(first: Coding, second: Coding, *, by: Joining = "auto") -> Joined:
    """Finds the rows of two codings that belong together: same source (by file stem), same face, same moment.

    Where both have one face in a source, its names or numbers need not be equal; rows of nobody are no other face.

    Raises:
        NothingShared: when nothing matches.
        InputError: when a table lacks what they are joined by.
    """
    keys = [first.keys.copy(), second.keys.copy()]
    if any((key["source"] == "").all() for key in keys):
        if any(key["source"].nunique() > 1 for key in keys):
            raise InputError(f"{first.name} and {second.name}: one has several sources, the other no column `source`.")
        for key in keys:
            key["source"] = ""
    seen = [coding.seen for coding in (first, second)]
    faces = [{**_faces(key), **_faces(key[there])} for key, there in zip(keys, seen)]
    alone = [source for source, own in faces[0].items() if len(own) == 1 == len(faces[1].get(source, ()))]
    for number, (key, there) in enumerate(zip(keys, seen)):
        key["row"] = np.arange(len(key))
        key.loc[key["source"].isin(alone), "face"] = "0"
        nobody = key.duplicated(["source", "face", "frame", "time_s"], keep=False) & ~there
        keys[number] = key.loc[~nobody]
    timed = all(key["time_s"].notna().all() for key in keys)
    framed = all(key["frame"].notna().all() for key in keys)
    chosen = ("time" if timed else "frame") if by == "auto" else by
    if (chosen == "time" and not timed) or (chosen == "frame" and not framed):
        raise InputError(
            f"{first.name} and {second.name}: not both have {chosen} for every row; join by the other (--by)."
        )
    column = "time_s" if chosen == "time" else "frame"
    parts = []
    groups = keys[1].groupby(["source", "face"])
    for number_, (name, mine) in enumerate(keys[0].groupby(["source", "face"])):
        if name in groups.groups:
            pairs = _match(mine, groups.get_group(name), column)
            parts.append(pairs.assign(group=number_, source=str(name[0])))
    matched = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if not len(matched):
        raise NothingShared(
            f"{first.name} and {second.name}: no frame of one is in the other; check source, face and {column}."
        )
    sources = [set(key["source"]) for key in keys]
    counts = {
        "frames": len(matched),
        "only_first_frames": len(first.keys) - len(matched),
        "only_second_frames": len(second.keys) - len(matched),
        "sources": int(matched["source"].nunique()),
        "only_first_sources": len(sources[0] - sources[1]),
        "only_second_sources": len(sources[1] - sources[0]),
    }
    rows = (matched["row_first"].to_numpy(np.int64), matched["row_second"].to_numpy(np.int64))
    codes = pd.factorize(matched["source"])[0].astype(np.int64)
    time_s = first.keys["time_s"].to_numpy(np.float64)[rows[0]]
    return Joined(*rows, matched["group"].to_numpy(np.int64), codes, time_s, chosen, counts)


def _faces(keys: pd.DataFrame) -> dict[str, set[str]]:
    """Source -> its faces."""
    found: dict[str, set[str]] = {}
    for source, face in keys[["source", "face"]].drop_duplicates().itertuples(index=False):
        found.setdefault(str(source), set()).add(str(face))
    return found


def _match(mine: pd.DataFrame, other: pd.DataFrame, column: str) -> pd.DataFrame:
    """Row numbers of nearest moments, each used once, in time order."""
    mine, other = (part.sort_values(column)[[column, "row"]] for part in (mine, other))
    if column == "frame":
        return mine.merge(other, on="frame", suffixes=("_first", "_second"))
    steps = [float(np.median(np.diff(part[column]))) if len(part) > 1 else 0.04 for part in (mine, other)]
    pairs = pd.merge_asof(
        mine.assign(at=mine[column]), other.rename(columns={"row": "row_second"}).assign(there=other[column]),
        on=column, direction="nearest", tolerance=0.5 * max(steps) + 1e-6,  # type: ignore[arg-type]
    ).dropna(subset=["row_second"])  # fmt: skip
    pairs["apart"] = (pairs["at"] - pairs["there"]).abs()
    pairs = pairs.sort_values(["apart", "at"]).drop_duplicates("row_second").sort_values("at")
    return pairs.rename(columns={"row": "row_first"}).astype({"row_second": np.int64})


def _cells(first: Floats, second: Floats, source: NDArray[np.int64]) -> Floats:
    """(S, 4) frames per source: both present, only first, only second, neither."""
    masks = ((first == 1) & (second == 1), (first == 1) & (second == 0), (first == 0) & (second == 1),
             (first == 0) & (second == 0))  # fmt: skip
    return np.stack([np.bincount(source, weights=mask, minlength=int(source.max()) + 1) for mask in masks], axis=1)


def _presence(cells: Floats) -> dict[str, Any]:
    total = cells.sum(axis=0)
    cells = cells[cells.sum(axis=1) > 0]  # drawing a source in which it is not coded would draw nothing
    low, high = np.nan, np.nan
    if len(cells) > 1:
        drawn = resample(np.ones(len(cells), dtype=bool)) @ cells
        low, high = (float(bound) for bound in interval(cohen_kappa(*drawn.T)))
    return {
        "first_present": float(ratio(total[0] + total[1], total.sum())),
        "second_present": float(ratio(total[0] + total[2], total.sum())),
        "kappa": float(cohen_kappa(*total)), "kappa_low": low, "kappa_high": high, "ac1": float(gwet_ac1(*total)),
        "f1": float(f1_from_counts(total[0], total[2], total[1])),
    }  # fmt: skip


def _facs_agreement(cells: Sequence[Floats]) -> float | None:
    """Twice the action units that both coded, over all that either coded (Ekman, Friesen & Hager 2002)."""
    total = np.sum([cell.sum(axis=0) for cell in cells], axis=0) if cells else np.zeros(4)
    return json_number(f1_from_counts(*total[:3])) if total[:3].sum() else None


def _strengths(measures: Sequence[Floats], kinds: Sequence[str], known: NDArray[np.bool_]) -> dict[str, float]:
    pair = np.stack([measure[known] for measure in measures])
    out = {"correlation": _correlation(pair)}
    if kinds[0] == kinds[1] == "intensity":
        out["icc_absolute"], out["icc_consistency"] = icc(pair.T)
    return out


def _correlation(pair: Floats) -> float:
    """Pearson's r of two rows (2, N); NaN where it is undefined."""
    if pair.shape[1] < 3 or bool((np.ptp(pair, axis=1) == 0).any()):
        return float("nan")
    return float(np.asarray(np.corrcoef(pair))[0, 1])


def _runs(present: Floats, joined: Joined) -> Iterator[Event]:
    """(group, onset, offset) in seconds of every stretch of presence; unknown frames end one."""
    for group in np.unique(joined.group):
        rows = np.flatnonzero(joined.group == group)
        on = np.r_[False, present[rows] == 1, False]
        starts, ends = np.flatnonzero(~on[:-1] & on[1:]), np.flatnonzero(on[:-1] & ~on[1:]) - 1
        for start, end in zip(joined.time_s[rows[starts]], joined.time_s[rows[ends]]):
            yield int(group), float(start), float(end)


def _events(first: Floats, second: Floats, joined: Joined, tolerance_s: float) -> dict[str, Any]:
    if np.isnan(joined.time_s).any():
        return {}
    mine, others = (sorted(_runs(present, joined)) for present in (first, second))
    matched = _most_pairs(mine, others, tolerance_s + 1e-9)  # 1.1 - 0.6 is a little over 0.5
    f1 = float(f1_from_counts(matched, len(others) - matched, len(mine) - matched))
    return {"first_events": len(mine), "second_events": len(others), "event_f1": f1 if mine or others else np.nan}


def _most_pairs(mine: Sequence[Event], others: Sequence[Event], close_s: float) -> int:
    """As many pairs as there can be of events that overlap or begin within `close_s` of each other, each used once.

    An event lasts for that to its end, or to `close_s` after its beginning if that is later: two are near where these
    stretches touch. In both codings stretches begin and end in the same order, so that taking the first that is still
    free and near loses no pair (Glover 1967, convex bipartite graphs).

    Args:
        mine, others: (group, onset, offset), in order.
    """

    def over(event: Event, begun: Event) -> bool:
        group, onset, offset = event
        return (group, max(offset, onset + close_s)) < begun[:2]

    pairs = first = 0
    for event in mine:
        while first < len(others) and over(others[first], event):
            first += 1
        if first < len(others) and not over(event, others[first]):
            pairs, first = pairs + 1, first + 1
    return pairs


def _lag(measures: Sequence[Floats], known: NDArray[np.bool_], joined: Joined, max_lag_s: float) -> float:
    """The shift of the second table, in seconds, at which the two measures correlate most; NaN without time.

    Shifts that leave less than half of the frames are not looked at: few frames always correlate somewhere.
    """
    steps = np.diff(joined.time_s)[np.diff(joined.group) == 0]
    if np.isnan(joined.time_s).any() or not len(steps) or np.median(steps) <= 0:
        return float("nan")
    step = float(np.median(steps))
    best, found, fewest = -np.inf, float("nan"), known.sum() / 2
    most = int(max_lag_s / step + 1e-6)
    for shift in sorted(range(-most, most + 1), key=abs):
        pairs = []
        for group in np.unique(joined.group):
            rows = np.flatnonzero(joined.group == group)
            if abs(shift) >= len(rows):
                continue
            early, late = (rows[: len(rows) - shift], rows[shift:]) if shift >= 0 else (rows[-shift:], rows[:shift])
            good = known[early] & known[late]
            pairs.append(np.stack([measures[0][early[good]], measures[1][late[good]]]))
        values = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0))
        value = _correlation(values) if values.shape[1] >= fewest else float("nan")
        if value > best + 1e-9:
            best, found = value, shift * step
    return found
