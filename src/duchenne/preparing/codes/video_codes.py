"""Codes of videos: rows per frame, or events with onset and offset, per video and face.

An AU that is coded in one of the videos is taken to have been looked for in every video that the codes name: outside
its events it is absent. An event with au `coded` limits that to the stretches it spans, `none` names a video in which
nothing happens. Videos that the codes do not name stay without labels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column, intensity_column
from duchenne.preparing.codes.exports import Event, read_events, within
from duchenne.preparing.sources.tables import Row, au_columns, read_lines, read_rows, unknown_aus_note

Labels = dict[str, Any]
_NEAR_S: Final = 0.02


@dataclass(frozen=True)
class FaceCodes:
    """The codes of one face of one video (face None: of its main face).

    Attributes:
        events: what happened when; used where `rows` is empty.
        coded: (onset, offset) of the stretches that were coded; all of it where empty.
        rows: frame number or time stamp in seconds -> labels.
        by_time: whether `rows` goes by time stamps.
    """

    events: tuple[Event, ...] = ()
    coded: tuple[tuple[float, float], ...] = ()
    rows: Mapping[float, Labels] = field(default_factory=dict)
    by_time: bool = False


@dataclass(frozen=True)
class VideoCodes:
    """The codes of one video: face number, or None for the main face, -> codes."""

    aus: tuple[int, ...]
    faces: Mapping[int | None, FaceCodes]

    def labels(self, face: int | None, frames: Sequence[int], times_s: Sequence[float]) -> list[Labels]:
        """AU columns -> values for each given frame of one face; empty where it was not coded."""
        codes = self.faces[face]
        if not codes.rows:
            return self._of_events(codes, np.asarray(times_s, dtype=np.float64))
        if not codes.by_time:
            return [dict(codes.rows.get(frame, {})) for frame in frames]
        known = sorted(codes.rows)
        reach = max(_NEAR_S, 0.5 * min(_spacing(known), _spacing(times_s)) + 1e-6)
        found = []
        for time_s in times_s:
            place = bisect_left(known, time_s)
            nearest = min(known[max(0, place - 1) : place + 1], key=lambda other: abs(other - time_s))
            found.append(dict(codes.rows[nearest]) if abs(nearest - time_s) <= reach else {})
        return found

    def _of_events(self, codes: FaceCodes, times_s: NDArray[np.float64]) -> list[Labels]:
        spacing_s = _spacing(times_s.tolist())
        coded = np.full(len(times_s), not codes.coded)
        for onset_s, offset_s in codes.coded:
            coded |= within(times_s, onset_s, offset_s, spacing_s)
        labels: list[Labels] = [{} for _ in times_s]
        for au in self.aus:
            present, strength = np.zeros(len(times_s), dtype=bool), np.full(len(times_s), -1.0)
            for event in codes.events:
                if event.au == au:
                    holds = event.holds(times_s, spacing_s)
                    present |= holds
                    if event.intensity is not None:
                        strength[holds] = np.maximum(strength[holds], event.intensity)
            for place in np.flatnonzero(coded):
                known = strength[place] >= 0 or not present[place]
                labels[place][intensity_column(au)] = max(0.0, float(strength[place])) if known else None
                labels[place][au_column(au)] = None if strength[place] >= 0 else int(present[place])
        return labels


@dataclass(frozen=True)
class Codes:
    """All codes of a data set.

    Attributes:
        videos: source of the video -> its codes.
        aus: FACS numbers, ascending.
        label_kind: intensity where any is given.
        notes: sentences for the user.
    """

    videos: Mapping[str, VideoCodes]
    aus: tuple[int, ...]
    label_kind: Literal["occurrence", "intensity"]
    notes: Sequence[str]


def read_codes(path: Path, sources: Sequence[str], coder: str | None = None) -> Codes:
    """Reads a file of codes, or every .csv, .tsv and .txt file of a folder of them.

    Args:
        path: of a table (rows per frame or events), or an ELAN, BORIS or Observer text export.
        sources: the videos, as paths relative to the root. Codes name them by path, file name or stem; a file without
            such a column belongs to the video whose stem it has.
        coder: whose codes to take where several coded the same video.

    Raises:
        InputError: when a file cannot be read or understood, or names a video that is not there.
    """
    files = (
        sorted(p for p in path.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".txt") and not p.name.startswith("."))
        if path.is_dir()
        else [path]
    )
    if not files:
        raise InputError(f"{path}: holds no .csv, .tsv or .txt file; name the codes.")
    index = Sources(sources)
    events: list[Event] = []
    rows: dict[str, dict[int | None, FaceCodes]] = {}
    aus: set[int] = set()
    kinds: set[bool] = set()
    notes: list[str] = []
    for file in files:
        header = read_lines(file)[0][1]
        columns = list(au_columns(header))
        if columns and {"frame", "time_s", "source", "path"} & set(header):  # ELAN names tiers, too, AU12 ...
            notes += unknown_aus_note(file, {au for _, au, _ in columns})
            columns = [column for column in columns if column[1] in ACTION_UNITS]
            aus |= {au for _, au, _ in columns}
            kinds |= {intensity for *_, intensity in columns}
            for source, faces in _frame_codes(file, columns, index, coder).items():
                if source in rows:
                    raise InputError(f"{file}: {source} is coded in another file already; keep one of them.")
                rows[source] = faces
        else:
            found = [event.at(_source(event, index)) for event in read_events(file)]
            notes += unknown_aus_note(file, {event.au for event in found if event.au is not None})
            events += [event for event in found if event.au is None or event.au in ACTION_UNITS]
    events = _one_coder(events, coder)
    aus |= {event.au for event in events if event.au is not None}
    kinds |= {event.intensity is not None for event in events if event.au is not None}
    ordered = tuple(sorted(aus))
    if not ordered:
        raise InputError(f"{path}: holds no AU of those that are known; check its columns.")
    by_video = defaultdict(list)
    for event in events:
        by_video[event.source].append(event)
    for source in sorted(set(by_video) & set(rows)):
        raise InputError(f"{path}: {source} has both events and rows per frame; keep one of them.")
    for source, given in by_video.items():
        rows[source] = _event_codes(given)
    videos = {source: VideoCodes(ordered, faces) for source, faces in rows.items()}
    return Codes(videos, ordered, "intensity" if True in kinds else "occurrence", notes)


class Sources:
    """Finds the one video that is meant by a path, a file name or a stem."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._known: tuple[dict[str, list[str]], ...] = (defaultdict(list), defaultdict(list), defaultdict(list))
        for source in sources:
            path = PurePosixPath(source)
            for known, key in zip(self._known, (source, path.name, path.stem)):
                known[key].append(source)

    def find(self, name: str) -> str | None:
        """The source, None where none or several fit."""
        wanted = PurePosixPath(name.replace("\\", "/"))
        paths, names, stems = self._known
        for fits in (paths.get(str(wanted)), names.get(wanted.name), stems.get(wanted.name), stems.get(wanted.stem)):
            if fits:
                return fits[0] if len(fits) == 1 else None
        return None


def _source(event: Event, sources: Sources) -> str:
    source = sources.find(event.source)
    if source is None:
        raise InputError(
            f"{event.where}: no video or several are meant by `{event.source}`; give its path under --root."
        )
    return source


def _one_coder(events: Iterable[Event], coder: str | None) -> list[Event]:
    events = list(events)
    coders = defaultdict(set)
    for event in events:
        coders[event.source].add(event.coder)
    for source, names in sorted(coders.items()):
        if len(names) > 1 and coder not in names:
            listed = ", ".join(sorted(name or "(unnamed)" for name in names))
            raise InputError(f"{source}: was coded by {listed}; choose one with --coder.")
    return [event for event in events if len(coders[event.source]) == 1 or event.coder == coder]


def _event_codes(events: Sequence[Event]) -> dict[int | None, FaceCodes]:
    faces = {}
    for face in dict.fromkeys(event.face for event in events):
        own = [event for event in events if event.face == face]
        stretches = tuple((event.onset_s, event.offset_s) for event in own if event.kind == "coded")
        faces[face] = FaceCodes(tuple(event for event in own if event.kind == "au"), stretches)
    return faces


def _frame_codes(
    file: Path, columns: Sequence[tuple[str, int, bool]], sources: Sources, coder: str | None
) -> dict[str, dict[int | None, FaceCodes]]:
    header, rows = read_rows(file)
    by_time = "frame" not in header
    if by_time and "time_s" not in header:
        raise InputError(f"{file}: has neither a column `frame` (from 0) nor `time_s`; add one.")
    if "coder" in header:
        names = {row.get("coder") for row in rows}
        if len(names) > 1 and coder not in names:
            raise InputError(f"{file}: has codes of {', '.join(sorted(names))}; choose one with --coder.")
        rows = [row for row in rows if len(names) == 1 or row.get("coder") == coder]
    found: dict[str, dict[int | None, dict[float, Labels]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        name = row.get("source") or row.get("path") or file.stem
        source = sources.find(name)
        if source is None:
            raise row.error("source", f"no video or several are meant by `{name}`; give its path under --root.")
        place = row.number_of("time_s", low=0) if by_time else row.whole_number_of("frame")
        if place is None:
            raise row.error("time_s" if by_time else "frame", "is empty; fill it in.")
        face = row.whole_number_of("face")
        given = found[source][face]
        if place in given:
            raise row.error("frame", f"{source} at {place:g} is coded twice; keep one row.")
        given[place] = row_labels(row, columns)
    return {
        source: {face: FaceCodes(rows=given, by_time=by_time) for face, given in faces.items()}
        for source, faces in found.items()
    }


def row_labels(row: Row, columns: Sequence[tuple[str, int, bool]]) -> Labels:
    """The AU columns of a row: occurrence 0 or 1, intensity 0 to 5 or A to E; empty ones are unknown.

    Raises:
        InputError: for any other value.
    """
    labels: Labels = {}
    for column, au, is_intensity in columns:
        if is_intensity:
            labels[intensity_column(au)] = row.intensity_of(column)
        else:
            value = row.get(column)
            if value not in ("", "0", "1", "0.0", "1.0"):
                raise row.error(column, f"`{value}` is not 0 or 1; correct it, or leave unknown values empty.")
            labels[au_column(au)] = int(float(value)) if value else None
    return labels


def _spacing(times_s: Sequence[float]) -> float:
    steps = sorted(b - a for a, b in pairwise(times_s))
    return steps[len(steps) // 2] if steps else _NEAR_S
