"""Events with onset and offset: our own table, and the text exports of ELAN, BORIS and The Observer XT.

What each program writes is described in `docs/prepare.md`. An AU is written `12`, `AU12`, `AU12C` or `L12C`: side and
intensity letter are optional. Sides are merged, the stronger one counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.preparing.sources.tables import LETTERS, Row, read_lines

_AU: Final = re.compile(
    r"(?:(?:L|R|B|U|T|left|right)[\s_-]*)?(?:AU[\s_-]*)?0?(\d{1,2})[\s_-]*([A-E])?(?:[\s_-]*(?:L|R|B|left|right))?",
    re.IGNORECASE,
)
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
LONGEST_FRAME_S: Final = 0.04
"""Frames are taken to last no longer than this where they are further apart (`--fps`)."""
_BASE_COLUMNS: Final = ("source", "au", "onset_s", "offset_s")


@dataclass(frozen=True)
class Event:
    """One AU from onset to offset.

    Attributes:
        source: the video, as the codes name it.
        au: FACS number; None where `kind` is not "au".
        onset_s: start in seconds of the video.
        offset_s: end; equal to the start for a point event, which holds for the nearest frame.
        intensity: 0 to 5, None where not coded.
        face: number of the face; None for the main one.
        coder: name, empty where not given.
        kind: "au"; "coded" for a stretch that was coded; "none" for a video in which nothing happens.
        where: file and row, for errors.
    """

    source: str
    au: int | None
    onset_s: float
    offset_s: float
    intensity: float | None = None
    face: int | None = None
    coder: str = ""
    kind: Literal["au", "coded", "none"] = "au"
    where: str = ""

    def holds(self, times_s: NDArray[np.float64], spacing_s: float) -> NDArray[np.bool_]:
        """At which frames it holds: those whose middle lies in it; a point event holds for the nearest frame.

        Args:
            times_s: time stamps of the frames, their starts.
            spacing_s: between frames.
        """
        if self.offset_s == self.onset_s:
            apart = times_s - self.onset_s
            return (apart >= -spacing_s / 2) & (apart < spacing_s / 2)
        return within(times_s, self.onset_s, self.offset_s, spacing_s)

    def at(self, source: str) -> Event:
        """The same event of the video `source`."""
        return replace(self, source=source)


def within(times_s: NDArray[np.float64], onset_s: float, offset_s: float, spacing_s: float) -> NDArray[np.bool_]:
    """Which frames have their middle between onset and offset: the onset's own frame has, the offset's has not.

    Programs round what they export, so a frame's start alone would often miss by a millisecond.
    """
    middles = times_s + min(spacing_s, LONGEST_FRAME_S) / 2
    return (middles >= onset_s) & (middles < offset_s)


def read_events(path: Path) -> list[Event]:
    """Reads events from any of the known layouts, which are told apart by their header.

    Raises:
        InputError: when the layout is unknown, or a time, an AU or an intensity cannot be understood.
    """
    lines = read_lines(path)
    for place, (_, header) in enumerate(lines[:40]):
        names = {re.sub(r"^begin time.*", "begin time", cell.lower()) for cell in header}
        for marks, read in _LAYOUTS:
            if marks <= names:
                rows = [Row(path, number, _named(header, cells)) for number, cells in lines[place + 1 :]]
                if not rows:
                    raise InputError(f"{path}: has a header but no rows; add them.")
                return list(read(rows))
    plain = list(_plain_elan(path, lines))
    if plain:
        return plain
    raise InputError(
        f"{path}: is neither rows per frame (columns `source, frame, AU01 ...`), events (`{', '.join(_BASE_COLUMNS)}`) "
        "nor an export of ELAN, BORIS or The Observer; see docs/prepare.md."
    )


def parse_au(text: str) -> tuple[int, float | None] | None:
    """(AU number, intensity or None) of `12`, `AU12`, `AU12C`, `L12C`, `12C left`; None where it is none."""
    match = _AU.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1]), LETTERS[match[2].upper()] if match[2] else None


def parse_time(text: str) -> float | None:
    """Seconds of `12.345`, `12,345`, `0:12.345` or `00:00:12.345`; None where it is no time."""
    match = _CLOCK.fullmatch(text)
    if match:
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _own(rows: list[Row]) -> Iterator[Event]:
    for given in rows:
        row = replace(given, values={name.lower(): value for name, value in given.values.items()})
        name = row.get("au")
        face, coder, source = row.whole_number_of("face"), row.get("coder"), row.get("source") or row.path.stem
        where = f"{row.path}, row {row.number}"
        if name.lower() == "none":
            yield Event(source, None, 0.0, 0.0, face=face, coder=coder, kind="none", where=where)
            continue
        onset, offset = _time(row, "onset_s"), _time(row, "offset_s")
        if name.lower() == "coded":
            yield Event(source, None, onset, offset, face=face, coder=coder, kind="coded", where=where)
            continue
        yield _event(row, "au", name, onset, offset, row.intensity_of("intensity"), source, face, coder)


def _boris_aggregated(rows: list[Row]) -> Iterator[Event]:
    for row in rows:
        if parse_au(row.get("Behavior")) is None:
            continue  # other behaviours
        onset = _time(row, "Start (s)")
        offset = _time(row, "Stop (s)") if row.get("Stop (s)") not in ("", "NA") else onset
        yield _event(row, "Behavior", row.get("Behavior"), onset, offset, _modifier(row), _boris_source(row))


def _boris_tabular(rows: list[Row]) -> Iterator[Event]:
    status = "Status" if "Status" in rows[0].values else "Behavior type"
    yield from _paired(
        rows,
        "Time",
        lambda row: row.get(status).upper(),
        ("START", "STOP"),
        lambda row, onset, offset: _event(
            row, "Behavior", row.get("Behavior"), onset, offset, _modifier(row), _boris_source(row)
        ),
        lambda row: (_boris_source(row), row.get("Subject"), row.get("Behavior")),
    )


def _observer(rows: list[Row]) -> Iterator[Event]:
    yield from _paired(
        rows,
        "Time_Relative_sf" if "Time_Relative_sf" in rows[0].values else "Time_Relative_hms",
        lambda row: row.get("Event_Type").lower(),
        ("state start", "state stop"),
        lambda row, onset, offset: _event(
            row, "Behavior", row.get("Behavior"), onset, offset, _modifier(row), row.get("Observation")
        ),
        lambda row: (row.get("Observation"), row.get("Subject"), row.get("Behavior")),
    )


def _paired(
    rows: list[Row],
    time: str,
    kind: Callable[[Row], str],
    marks: tuple[str, str],
    make: Callable[[Row, float, float], Event],
    key: Callable[[Row], tuple[str, ...]],
) -> Iterator[Event]:
    """Events of which start and stop are rows of their own; any other row is a point event."""
    running: dict[tuple[str, ...], tuple[Row, float]] = {}
    for row in rows:
        if parse_au(row.get("Behavior")) is None:
            continue  # other behaviours, and the marks of where the observation starts and stops
        at, what = _time(row, time), kind(row)
        if what == marks[0]:
            if key(row) in running:
                raise row.error("Behavior", f"{row.get('Behavior')} starts again before it stopped; correct it.")
            running[key(row)] = (row, at)
        elif what == marks[1]:
            if key(row) not in running:
                raise row.error("Behavior", f"{row.get('Behavior')} stops without having started; correct it.")
            first, onset = running.pop(key(row))
            yield make(first, onset, at)
        else:
            yield make(row, at, at)
    for row, _ in running.values():
        raise row.error("Behavior", f"{row.get('Behavior')} starts and never stops; correct it.")


def _elan_columns(rows: list[Row]) -> Iterator[Event]:
    """ELAN, one column per tier: the tier is the AU and the cell its intensity, or the cells are AUs."""
    names = list(rows[0].values)
    begin, factor = _elan_time(rows[0].path, names, "begin time")
    end, end_factor = _elan_time(rows[0].path, names, "end time")
    tiers = [name for name in names if not re.match(r"(begin|end) time|duration|file( path)?$", name, re.IGNORECASE)]
    for row in rows:
        source = row.get("File Path") or row.get("File") or row.path.stem
        onset, offset = _time(row, begin) * factor, _time(row, end) * end_factor
        if "Tier" in names and "Annotation" in names:
            yield from _elan_value(row, row.get("Tier"), row.get("Annotation"), onset, offset, source)
            continue
        for tier in tiers:
            if row.get(tier):
                yield from _elan_value(row, tier, row.get(tier), onset, offset, source)


def _elan_time(path: Path, names: list[str], what: str) -> tuple[str, float]:
    """The column of a time, and its unit in seconds."""
    columns = [name for name in names if name.lower().startswith(what)]
    if not columns:
        raise InputError(f"{path}: has no column `{what.title()}`; export it from ELAN too.")
    exact = next((name for name in columns if "ss.msec" in name), None)
    if exact is None and all(name.lower().endswith("- msec") for name in columns):
        return columns[0], 1e-3
    return exact or columns[0], 1.0


def _plain_elan(path: Path, lines: list[tuple[int, list[str]]]) -> Iterator[Event]:
    """ELAN without a header: tier, participant, begin, end, perhaps duration, value; times in one or more formats."""
    for number, cells in lines:
        clocks = [place for place, cell in enumerate(cells) if _CLOCK.fullmatch(cell)]
        numbers = [place for place, cell in enumerate(cells[1:-1], start=1) if re.fullmatch(r"\d+([.,]\d+)?", cell)]
        places = clocks or numbers
        if len(cells) < 4 or len(places) < 2:
            return
        onset, offset = parse_time(cells[places[0]]) or 0.0, parse_time(cells[places[1]]) or 0.0
        if not clocks and all(re.fullmatch(r"\d+", cells[place]) for place in places):
            onset, offset = onset / 1000, offset / 1000
        row = Row(path, number, {})
        value = "".join(cells[max(clocks + numbers) + 1 :][:1])  # there is none where only times were exported
        yield from _elan_value(row, cells[0], value, onset, offset, path.stem)


def _elan_value(row: Row, tier: str, value: str, onset: float, offset: float, source: str) -> Iterator[Event]:
    au = parse_au(tier)
    if au is not None:
        strength = LETTERS.get(value.upper(), au[1])
        if re.fullmatch(r"[0-5]([.,]\d+)?", value):
            strength = float(value.replace(",", "."))
        yield Event(
            source, au[0], onset, _after(row, tier, onset, offset), strength, where=f"{row.path}, row {row.number}"
        )
        return
    parts = [parse_au(part) for part in re.split(r"[+,;\s]+", value) if part]
    if parts and all(parts):
        for part in parts:
            assert part is not None
            where = f"{row.path}, row {row.number}"
            yield Event(source, part[0], onset, _after(row, tier, onset, offset), part[1], where=where)


def _event(
    row: Row,
    column: str,
    name: str,
    onset: float,
    offset: float,
    intensity: float | None,
    source: str,
    face: int | None = None,
    coder: str = "",
) -> Event:
    au = parse_au(name)
    if au is None:
        raise row.error(column, f"`{name}` is not an AU; write it as 12, AU12 or AU12C.")
    if intensity is not None and au[1] is not None and intensity != au[1]:
        raise row.error("intensity", f"{name} says another intensity than this column; keep one.")
    strength = intensity if intensity is not None else au[1]
    where = f"{row.path}, row {row.number}"
    return Event(source, au[0], onset, _after(row, column, onset, offset), strength, face, coder, "au", where)


def _modifier(row: Row) -> float | None:
    """An intensity among the modifiers of BORIS and The Observer, None where there is none."""
    for name, value in row.values.items():
        if name.lower().startswith("modifier"):
            for part in re.split(r"[|,;\s]+", value):
                if part.upper() in LETTERS:
                    return LETTERS[part.upper()]
                if re.fullmatch(r"[0-5]", part):
                    return float(part)
    return None


def _boris_source(row: Row) -> str:
    for name in ("Media file name", "Media file path", "Media file", "Observation id"):
        if row.get(name):
            return re.sub(r"^player #\d+:", "", row.get(name)).split(";")[0]
    return row.path.stem


def _time(row: Row, column: str) -> float:
    value = parse_time(row.get(column))
    if value is None or value < 0:
        raise row.error(column, f"`{row.get(column)}` is not a time; write seconds, as 12.48.")
    return value


def _after(row: Row, column: str, onset: float, offset: float) -> float:
    if offset < onset:
        raise row.error(column, f"the offset {offset:g} s lies before the onset {onset:g} s; correct it.")
    return offset


def _named(header: list[str], cells: list[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(header, cells) if name}


_LAYOUTS: Final[tuple[tuple[set[str], Callable[[list[Row]], Iterator[Event]]], ...]] = (
    ({"au", "onset_s", "offset_s"}, _own),
    ({"behavior", "start (s)", "stop (s)"}, _boris_aggregated),
    ({"behavior", "event_type", "observation"}, _observer),
    ({"behavior", "time", "status"}, _boris_tabular),
    ({"behavior", "time", "behavior type"}, _boris_tabular),
    ({"begin time"}, _elan_columns),
)
