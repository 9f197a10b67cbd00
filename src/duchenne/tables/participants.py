"""`summarize --report`: one self-contained page with every person in every trial, action unit by action unit."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd

from duchenne._version import __version__
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS
from duchenne.files import read_text, write_text
from duchenne.pages import render_page
from duchenne.tables.episodes import SCALE_COLUMN
from duchenne.tables.people import VALUES, Appearance, People
from duchenne.tables.writing import REPORT_ENDING, output_names

_LARGEST_PAGE: Final = 2**29
_SOURCE: Final = re.compile(r'<script id="data" type="application/json">\{"source":("(?:[^"\\]|\\.)*")')
_DIGITS: Final = 4


def write_participants(
    path: Path,
    people: People,
    *,
    title: str,
    tables: Sequence[Path],
    rows: pd.DataFrame,
    said: Sequence[str],
    advice: Sequence[str],
) -> None:
    """Writes the page.

    Args:
        path: the page.
        people: everybody in every trial.
        title: of the study.
        tables: the files that `rows` come from; pages of `detect` are looked for beside them.
        rows: what `summarize` read.
        said: sentences on what made the tables, and on how they were read.
        advice: sentences on people who could not be seen well.

    Raises:
        InputError: when it cannot be written.
    """
    pages = _find_pages(path, [str(source) for source in rows["source"].unique()], tables)
    names = list(dict.fromkeys([*people.appearances]))
    trials, panels = _trials(people), _panels(people, names, SCALE_COLUMN in rows)
    data = {
        "trials": trials,
        "people": [
            {"name": name, "links": [_link(pages, people.appearances[name].get(trial)) for trial in trials]}
            for name in names
        ],
        "panels": panels,
    }
    values = {
        "title": title,
        "version": __version__,
        "people": len(names),
        "trials": trials,
        "recordings": rows["source"].nunique(),
        "linked": len(pages),
        "said": list(said),
        "advice": list(advice),
        "unit": _common_unit(panels),
        "shown": [value for value in VALUES if people.values[value].notna().any()],
        "groups": _group_rows(people),
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    write_text(path, render_page("duchenne.tables", "participants.jinja", values))


def _trials(people: People) -> list[str]:
    return [str(trial) for trial in people.values["trial"].cat.categories]


def _panels(people: People, names: Sequence[str], is_z: bool) -> list[dict[str, Any]]:
    place, trials = {name: number for number, name in enumerate(names)}, _trials(people)
    panels = []
    for (au, measure), own in people.values.groupby(["au", "measure"], sort=False):
        number, column = int(str(au)), str(measure)
        groups = people.groups[(people.groups["au"] == au) & (people.groups["measure"] == measure)]
        marks: dict[str, list[list[float | int | None]]] = {}
        means: dict[str, list[list[float | int | None]]] = {}
        for value in VALUES:
            low, high = {"mean": ("low", "high"), "change": ("change_low", "change_high")}.get(value, (value, value))
            kept = own[own[value].notna()]
            marks[value] = [
                [place[row["person"]], trials.index(row["trial"]), *_numbers(row[name] for name in (value, low, high))]
                for row in kept.to_dict("records")
            ]
            means[value] = [
                [trials.index(row["trial"]), row["people"], *_numbers(row[name] for name in ("mean", "low", "high"))]
                for row in groups[groups["value"] == value].to_dict("records")
            ]
        panels.append(
            {
                "au": number, "name": ACTION_UNITS[number].name if number in ACTION_UNITS else "", "column": column,
                "unit": _unit(column, is_z), "marks": marks, "means": means,
            }
        )  # fmt: skip
    return panels


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [round(float(value), _DIGITS) if math.isfinite(value) else None for value in values]


def _unit(column: str, is_z: bool) -> str:
    kind = column.rpartition("_")[2]
    if kind == "s":
        return "score, standard deviations over neutral faces" if is_z else "score"
    return {"p": "probability", "r": "intensity, 0 to 5", "c": "decision, 0 or 1"}[kind]


def _common_unit(panels: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on what all panels show; empty where they differ, and each says it."""
    units = {panel["unit"] for panel in panels}
    return f"Values: {units.pop()}." if len(units) == 1 else ""


def _group_rows(people: People) -> list[dict[Any, Any]]:
    """The means over people as a table that can be read without the picture."""
    rows: list[dict[Any, Any]] = people.groups.astype({"au": int}).to_dict("records")
    return [
        {**row, "trial": str(row["trial"]), "name": ACTION_UNITS[row["au"]].name if row["au"] in ACTION_UNITS else "",
         "low": None if pd.isna(row["low"]) else row["low"], "high": None if pd.isna(row["high"]) else row["high"]}
        for row in rows
    ]  # fmt: skip


def _link(pages: Mapping[str, str], seen: Appearance | None) -> str | None:
    """The page of a recording, opened at that person and that time."""
    if seen is None or seen.source not in pages:
        return None
    return f"{pages[seen.source]}#face={quote(str(seen.face))}&t={seen.onset_s:g}"


def _find_pages(path: Path, sources: Sequence[str], tables: Sequence[Path]) -> dict[str, str]:
    """Source -> its page of `detect --report`, relative to this page: beside it or a table, or in a folder there."""
    try:
        names = {str(source): name for source, name in output_names([Path(source) for source in sources]).items()}
    except (UsageError, ValueError):
        names = {}
    places = list(dict.fromkeys([path.absolute().parent, *(table.absolute().parent for table in tables)]))
    found = {}
    for source in sources:
        name = f"{names.get(source, Path(source).stem)}{REPORT_ENDING}"
        near = [place / name for place in places] + [one / name for place in places for one in _folders(place)]
        page = next((one for one in near if one.is_file() and _is_of(one, source)), None)
        if page is not None:
            try:
                found[source] = quote(Path(os.path.relpath(page, path.absolute().parent)).as_posix())
            except ValueError:  # on another drive
                continue
    return found


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(one for one in place.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []


def _is_of(page: Path, source: str) -> bool:
    """Whether a page says that it is about a source, or about a file of its name."""
    try:
        found = _SOURCE.search(read_text(page, _LARGEST_PAGE))
        said = str(json.loads(found[1])) if found else ""
    except (InputError, ValueError):
        return False
    return said == source or Path(said).name == Path(source).name
