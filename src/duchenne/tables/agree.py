"""`duchenne agree`: how far codings of action units agree, frame by frame: coders, tools, coder and tool."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from duchenne import plots
from duchenne.config import Range
from duchenne.data.spreadsheets import csv_text
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.files import write_text
from duchenne.keywords import check_choice, check_number
from duchenne.metrics import interval, json_number, resample
from duchenne.pages import render_page
from duchenne.preparing.codes.exports import holds_events
from duchenne.preparing.codes.names import is_called_so, same_recordings
from duchenne.preparing.sources.survey import listed
from duchenne.tables.codings import Coding, Floats, read_coding
from duchenne.tables.event_codings import (
    EventCoding,
    even_frames,
    main_face,
    read_event_codings,
    seen_faces,
    with_faces_of_others,
)
from duchenne.tables.pairs import Joining, Limits, NothingShared, compare_pair, join
from duchenne.tables.reliability import alpha_of, fleiss_kappa, unit_sums

RELIABILITY: Final = (
    "au", "coders", "frames", "fleiss_kappa", "alpha", "alpha_low", "alpha_high", "alpha_intensity",
    "alpha_intensity_low", "alpha_intensity_high",
)  # fmt: skip

_SECONDS: Final = Range(0, 3600)
_STEP: Final = Range(1e-3, 3600)


def agree(
    *tables: str | Path,
    out: str | Path,
    by: Joining = "auto",
    threshold: float = 0.5,
    intensity_from: float = 2.0,
    tolerance_s: float = 0.5,
    max_lag_s: float = 1.0,
    step_s: float = 0.04,
) -> pd.DataFrame:
    """Compares codings per action unit, pair by pair and all together.

    Writes `agreement.csv`, `reliability.csv`, `summary.json` and `report.html` into `out`.

    Args:
        tables: two or more CSV, .xlsx or Parquet tables, see `duchenne.tables.codings`, or files of events and
            exports as `prepare --labels` reads; one file is enough where several people coded in it. Where two differ
            in kind, the earlier one is the reference.
        out: folder to write to.
        by: join rows by `time` (nearest, at most half a frame apart) or `frame`; auto takes time where both have it.
        threshold: from which a probability counts as present.
        intensity_from: from which an intensity counts as present.
        tolerance_s: two events match where they overlap or their onsets lie this close, each used once.
        max_lag_s: the largest shift that is looked at.
        step_s: between the frames that are compared where no table has frames: events alone.

    Returns:
        One row per action unit that both of a pair have. `kappa, ac1, f1` compare presence; their intervals resample
        sources (null with fewer than two). `icc_*` compare intensities, `correlation` any two measures; `auc` ranks
        the second's measure against the first's presence. `lag_s` above 0: the second is later. Null: undefined. With
        more than two codings `first_coder` and `second_coder` say which pair. `reliability.csv` has Fleiss' kappa and
        Krippendorff's alpha over all codings. `attrs["notes"]`: sentences on events outside the frames of the
        table, recordings and faces that one coding lacks or that were guessed, and pairs that share nothing.

    Raises:
        UsageError: for a wrong number, or fewer than two codings.
        InputError: when a table cannot be read, or no two share an action unit and a frame.
    """
    for name, value, span in (
        ("threshold", threshold, Range(0, 1, above=True)), ("intensity_from", intensity_from, Range(0, 5, above=True)),
        ("tolerance_s", tolerance_s, _SECONDS), ("max_lag_s", max_lag_s, _SECONDS), ("step_s", step_s, _STEP),
    ):  # fmt: skip
        check_number(name, value, span)
    check_choice("by", by, Joining)
    if threshold == 1:
        raise UsageError("--threshold 1: must be below 1.")
    limits = Limits(threshold, intensity_from, tolerance_s, max_lag_s)
    codings, notes = _read([Path(table) for table in tables], intensity_from, step_s)
    pairs = _pairs(codings, limits, by, notes)
    several = len(codings) > 2
    rows = [
        table.assign(first_coder=first.name, second_coder=second.name) if several else table
        for first, second, table, _ in pairs
    ]
    table = pd.concat(rows, ignore_index=True)
    if several:
        table = table[["first_coder", "second_coder", *table.columns[:-2]]]
    reliability = _reliability(codings, limits, by)
    table.attrs["notes"] = notes
    settings = {"threshold": threshold, "intensity_from": intensity_from, "tolerance_s": tolerance_s}
    all_of: dict[str, Any] = {
        "coders": [coding.name for coding in codings],
        "notes": notes,
        "mean_alpha": json_number(reliability["alpha"].mean()),
    }
    summary: dict[str, Any] = pairs[0][3] | settings | all_of
    if several:
        means = {
            name: json_number(table[column].mean()) for name, column in (("mean_kappa", "kappa"), ("mean_ac1", "ac1"))
        }
        summary = settings | all_of | means | {"pairs": [found for *_, found in pairs]}
    out = Path(out)
    for name, part in (("agreement.csv", table), ("reliability.csv", reliability)):
        write_text(out / name, csv_text(part))
    write_text(out / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(out / "report.html", _page(table, summary, reliability))
    return table


def _pairs(
    codings: Sequence[Coding], limits: Limits, by: Joining, notes: list[str]
) -> list[tuple[Coding, Coding, pd.DataFrame, dict[str, Any]]]:
    """Every pair that can be compared; adds sentences on the others, as where two coders coded a half each."""
    found, lacking = [], []
    for first, second in combinations(codings, 2):
        try:
            found.append((first, second, *compare_pair(first, second, limits, by)))
        except NothingShared as error:
            lacking.append(error)
    if not found:
        raise lacking[0]
    notes += [f"left out: {error}" for error in lacking]
    return found


def _read(paths: Sequence[Path], intensity_from: float, step_s: float) -> tuple[list[Coding], list[str]]:
    """The codings of all files, events put onto the frames of the first table, or onto even ones; what was left out."""
    found: list[Coding | EventCoding] = []
    files: list[int] = []
    for file, path in enumerate(paths):
        found += read_event_codings(path) if holds_events(path) else [read_coding(path)]
        files += [file] * (len(found) - len(files))
    found = _told_apart(found)
    if len(found) < 2:
        raise UsageError("agreement needs two codings; name two files, or one in which several people coded.")
    notes = [note for one in found for note in one.notes]
    framed = next((one for one in found if isinstance(one, Coding)), None)
    first = found[0] if framed is None else framed
    # A table without names of sources is about the only one that the events are of.
    known = sorted(_recordings(first))
    origin = next(file for file, one in zip(files, found) if one is first)
    all_of = [_recordings(one) for one in found]
    elsewhere: dict[str, str] = {}  # recordings that the first coding lacks, and another coding that has them
    for place, one in enumerate(found):
        if known == [""] and isinstance(one, EventCoding) and len(one.videos) > 1:
            raise InputError(f"{first.name} and {one.name}: one has several sources, the other no column `source`.")
        if one is not first and "" not in _recordings(one):
            # A file or a coder that names both says that they are two, unless both are sessions: `p1 - MK`, `p1 - BT`.
            both = {*known} | _recordings(one)
            sessions = {(path.parent, re.split(r"[\s_-]", path.name)[0]) for path in map(PurePath, both)}
            apart = files[place] == origin and len(sessions) > 1
            apart |= any(both <= others for others in all_of)
            found[place], more = _renamed(one, dict.fromkeys(known, first.name), elsewhere, alone=not apart)
            notes += more
            elsewhere |= dict.fromkeys(_recordings(found[place]) - {*known, *elsewhere}, one.name)
    notes += [note for pair in combinations(found, 2) for note in _unlike(*pair)]
    events = [one for one in found if isinstance(one, EventCoding)]
    if framed is None:
        return _on_even_frames(events, intensity_from, step_s), notes
    if events and not framed.keys["time_s"].notna().all():
        raise InputError(f"{framed.name}: has no time for every row, so events cannot be joined; add time_s.")
    found, more = _on_main_faces(found)
    notes += more
    framed = next(one for one in found if isinstance(one, Coding))
    seen, codings = seen_faces(framed), []
    for one in found:
        if isinstance(one, EventCoding):
            placed, more = one.on_faces(seen, framed.name)
            notes += one.outside(framed.keys) + more
            one = placed.on(framed.keys, intensity_from)
        codings.append(one)
    return codings, notes


def _on_main_faces(found: Sequence[Coding | EventCoding]) -> tuple[list[Coding | EventCoding], list[str]]:
    """Tables without a column for faces are of the one seen largest and longest where another table has several."""
    named = [one for one in found if isinstance(one, Coding) and one.names_faces]
    out, notes = list[Coding | EventCoding](), list[str]()
    for one in found:
        if isinstance(one, Coding) and not one.names_faces:
            face = one.keys["face"].copy()
            for source in sorted(_recordings(one)):
                for other in named:
                    faces = seen_faces(other)
                    # A table without names of sources is about the only one.
                    there = faces.get(source) or (next(iter(faces.values())) if "" in {source, *faces} else {})
                    if len(there) > 1:
                        main, note = main_face(there, one.name, f" in {source}" if source else "", other.name)
                        face[one.keys["source"] == source] = main
                        notes.append(note)
                        break
            one = replace(one, keys=one.keys.assign(face=face))
        out.append(one)
    return out, notes


def _on_even_frames(events: Sequence[EventCoding], intensity_from: float, step_s: float) -> list[Coding]:
    events = with_faces_of_others(events)
    sources = {source for one in events for source in one.videos}
    ends = {source: max(one.end_s(source) for one in events) for source in sources}
    return [one.on(even_frames(one, ends, step_s), intensity_from) for one in events]


def _renamed(
    one: Coding | EventCoding, others: Mapping[str, str], elsewhere: Mapping[str, str], *, alone: bool
) -> tuple[Coding | EventCoding, list[str]]:
    """With the names that other codings give to the same recordings, and sentences on those that differ.

    Args:
        one: which coding.
        others: the names of the first coding, and what that is called; an empty name where a table names none.
        elsewhere: likewise of codings that have more.
        alone: one of each alone is the same one.
    """
    names = same_recordings(sorted(_recordings(one)), list(others), alone=alone)
    names |= same_recordings(sorted(_recordings(one) - {*names}), list(elsewhere), alone=False)
    where = {**others, **elsewhere}
    notes = [
        f"{one.name}: {mine} is taken for the recording {theirs} of {where[theirs]}."
        for mine, theirs in names.items() if theirs and not is_called_so(mine, theirs)
    ]  # fmt: skip
    if isinstance(one, EventCoding):
        videos = {names.get(own, own): faces for own, faces in one.videos.items()}
        return replace(one, videos=videos), notes
    return replace(one, keys=one.keys.assign(source=one.keys["source"].map(lambda own: names.get(own, own)))), notes


def _unlike(first: Coding | EventCoding, second: Coding | EventCoding) -> list[str]:
    """A sentence on recordings that only one has."""
    mine, theirs = _recordings(first), _recordings(second)
    if "" in mine | theirs or mine == theirs:
        return []
    words = [
        f"{one.name} alone has {listed(sorted(only))}"
        for one, only in ((first, mine - theirs), (second, theirs - mine)) if only
    ]  # fmt: skip
    return [f"{', '.join(words)}: left out."]


def _recordings(one: Coding | EventCoding) -> set[str]:
    return {str(name) for name in (one.keys["source"].unique() if isinstance(one, Coding) else one.videos)}


def _told_apart(found: Sequence[Coding | EventCoding]) -> list[Coding | EventCoding]:
    """With names that differ: numbered where files of one name lie in several folders."""
    if len({one.name for one in found}) == len(found):
        return list(found)
    return [replace(one, name=f"{number}: {one.name}") for number, one in enumerate(found, start=1)]


def _reliability(codings: Sequence[Coding], limits: Limits, by: Joining) -> pd.DataFrame:
    """Per action unit, over all codings that have it: Fleiss' kappa and Krippendorff's alpha."""
    places, source = _units(codings, by)
    rows = []
    for au in sorted({au for coding in codings for au in coding.aus}):
        present, strength = [], []
        for place, coding in zip(places, codings):
            coded = coding.present(au, threshold=limits.threshold, intensity_from=limits.intensity_from)
            if coded is not None:
                present.append(_at(coded, place))
            much = coding.values.get((au, "intensity"))
            if much is not None:
                strength.append(_at(much, place))
        if len(present) > 1:
            rows.append(_row(au, np.stack(present), strength, source))
    table = pd.DataFrame(rows, columns=list(RELIABILITY))
    return table.astype(dict.fromkeys(RELIABILITY[3:], "float64")).round(6)


def _units(codings: Sequence[Coding], by: Joining) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """What any coding has a row for: per coding (U,) its row of each unit, -1 where it has none; (U,) the source.

    A row that no earlier coding has is a unit of its own, so that the order of the codings leaves none out.
    """
    units: list[NDArray[np.int64]] = []
    names: list[pd.Series[str]] = []
    for coding in codings:
        own = np.full(len(coding.keys), -1)
        for earlier, known in zip(codings, units):
            with suppress(NothingShared):
                joined = join(earlier, coding, by=by)
                unit = known[joined.first]
                free = (own[joined.second] < 0) & ~np.isin(unit, own)
                own[joined.second[free]] = unit[free]
        alone = own < 0
        own[alone] = sum(map(len, names)) + np.arange(int(alone.sum()))
        units.append(own)
        names.append(coding.keys["source"][alone])
    source = pd.factorize(pd.concat(names))[0].astype(np.int64)
    if any((coding.keys["source"] == "").all() for coding in codings):
        source[:] = 0  # a table without sources is about the only one
    places = [np.full(len(source), -1) for _ in codings]
    for place, own in zip(places, units):
        place[own] = np.arange(len(own))
    return places, source


def _row(au: int, present: Floats, strength: Sequence[Floats], source: Any) -> dict[str, Any]:
    known = ~np.isnan(present)
    whole = present[:, known.all(axis=0)]
    counts = np.stack([(whole == 1).sum(axis=0), (whole == 0).sum(axis=0)], axis=1)
    row = {
        "au": au_column(au), "coders": len(present), "frames": int((known.sum(axis=0) > 1).sum()),
        "fleiss_kappa": fleiss_kappa(counts), **_alpha("alpha", present, source),
    }  # fmt: skip
    return row | (_alpha("alpha_intensity", np.stack(strength), source) if len(strength) > 1 else {})


def _alpha(name: str, values: Floats, source: Any) -> dict[str, float]:
    """Alpha with an interval over resampled sources. Of 0 and 1, squared differences are nominal ones."""
    parts = np.stack([unit_sums(values[:, source == one], "interval") for one in np.unique(source)])
    found = {name: alpha_of(parts.sum(axis=0))}
    parts = parts[parts[:, 0, 1] > 0]  # drawing a source that one coder alone coded would draw nothing
    if len(parts) > 1:
        drawn = resample(np.ones(len(parts), dtype=bool))
        low, high = interval(np.array([alpha_of(np.tensordot(weights, parts, axes=1)) for weights in drawn]))
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _at(values: Floats, place: Any) -> Floats:
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def _page(table: pd.DataFrame, summary: dict[str, Any], reliability: pd.DataFrame) -> str:
    rows, units = (_records(part) for part in (table, reliability))
    several = "pairs" in summary
    coded = [row for row in (units if several else rows) if row["alpha" if several else "kappa"] is not None]
    names = (
        {"alpha": "alpha", "Fleiss' kappa": "fleiss_kappa"} if several else {"kappa": "kappa", "AC1": "ac1", "F1": "f1"}
    )
    estimates = {
        name: [
            {"value": row[column], "low": row.get(f"{column}_low"), "high": row.get(f"{column}_high")} for row in coded
        ]
        for name, column in names.items()
    }
    bar = 0.667 if several else 0.4
    chart = plots.bars([row["au"] for row in coded], estimates, label="agreement", baseline=bar) if coded else None
    known = {row["au"]: ACTION_UNITS[int(row["au"][2:])].name for row in rows if int(row["au"][2:]) in ACTION_UNITS}
    values = {
        "title": "agreement", "rows": rows, "reliability": units, "summary": summary, "names": known,
        "chart": Markup(chart) if chart else None, "measures": ", ".join(names),
    }  # fmt: skip
    return render_page("duchenne.tables", "agree.jinja", values)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in
            table.astype(object).where(table.notna(), None).to_dict("records")]  # fmt: skip
