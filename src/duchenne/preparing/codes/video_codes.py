"""Codes of videos: rows per frame, or events with onset and offset, per video and face.

An AU that a coder used in one of the videos is taken to have been looked for in every video of this coder: outside its
events it is absent. An event with au `coded` limits that to the stretches it spans, `none` names a video in which
nothing happens. Videos that the codes do not name stay without labels, and so does what could not be coded, or was
looked for by other coders only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duchenne.data.cells import (
    NOT_CODED,
    Row,
    au_columns,
    not_read_note,
    read_rows,
    unknown_aus_note,
    unknown_labels_note,
)
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column, intensity_column
from duchenne.preparing.codes.exports import SUFFIXES, is_events, read_events
from duchenne.preparing.codes.names import Sources
from duchenne.preparing.codes.programs.events import Event, as_face, within
from duchenne.preparing.codes.whose import (
    Sessions,
    Used,
    as_subject,
    coded_faces,
    copies_note,
    left_out_note,
    not_looked_for_note,
    people_of,
    told_apart,
    with_faces,
)

Labels = dict[str, Any]
_NEAR_S: Final = 0.02
_ROUNDED_S: Final = 1e-6


@dataclass(frozen=True)
class FaceCodes:
    """The codes of one face of one video (face None: of its main face).

    Attributes:
        events: what happened when; used where `rows` is empty.
        coded: (onset, offset) of the stretches that were coded; all of it where empty.
        unknown: stretches in which one AU, or all, could not be judged.
        rows: frame number or time stamp in seconds -> labels.
        by_time: whether `rows` goes by time stamps.
    """

    events: tuple[Event, ...] = ()
    coded: tuple[tuple[float, float], ...] = ()
    unknown: tuple[Event, ...] = ()
    rows: Mapping[float, Labels] = field(default_factory=dict)
    by_time: bool = False

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Onset and offset of everything that was coded as a stretch of time."""
        return [*((event.onset_s, event.offset_s) for event in (*self.events, *self.unknown)), *self.coded]


@dataclass(frozen=True)
class VideoCodes:
    """The codes of one video.

    Attributes:
        aus: that were looked for in it; outside their events they are absent.
        faces: face number, or None for the main face, -> codes.
    """

    aus: tuple[int, ...]
    faces: Mapping[int | None, FaceCodes]

    def labels(self, face: int | None, frames: Sequence[int], times_s: Sequence[float]) -> list[Labels]:
        """AU columns -> values for each given frame of one face; empty where it was not coded."""
        codes = self.faces[face]
        if not codes.rows:
            return self._of_events(codes, np.asarray(times_s, dtype=np.float64))
        if not codes.by_time:
            return [dict(codes.rows.get(frame, {})) for frame in frames]
        return [{} if place is None else dict(codes.rows[place]) for place in _rows_of_frames(codes.rows, times_s)]

    def unsure_of(self, face: int) -> VideoCodes:
        """With what is coded without a face unknown of this one, which has codes of its own: it may be of either."""
        own, said = self.faces[face], (replace(event, kind="unknown") for event in self.faces[None].events)
        return replace(self, faces={**self.faces, face: replace(own, unknown=(*own.unknown, *said))})

    def _of_events(self, codes: FaceCodes, times_s: NDArray[np.float64]) -> list[Labels]:
        coded, found = event_arrays(self.aus, codes, times_s)
        labels: list[Labels] = [{} for _ in times_s]
        for au, (present, strength, unseen) in found.items():
            for place in np.flatnonzero(coded & unseen):
                labels[place] |= {intensity_column(au): None, au_column(au): None}
            for place in np.flatnonzero(coded & ~unseen):
                known = strength[place] >= 0 or not present[place]
                labels[place][intensity_column(au)] = max(0.0, float(strength[place])) if known else None
                labels[place][au_column(au)] = None if strength[place] >= 0 else int(present[place])
        return labels


def _rows_of_frames(rows: Iterable[float], times_s: Sequence[float]) -> list[float | None]:
    """The time of the row of each frame: a row is its nearest frame's alone, so that no neighbour gets its labels."""
    order = sorted(range(len(times_s)), key=lambda place: times_s[place])
    starts, known = [times_s[place] for place in order], sorted(rows)
    reach = max(_NEAR_S, 0.5 * min(_spacing(known), _spacing(starts)) + _ROUNDED_S)
    found: list[float | None] = [None] * len(times_s)
    apart = [reach] * len(times_s)
    for row_s in known:
        after = bisect_left(starts, row_s)
        near = range(max(0, after - 1), min(after + 1, len(starts)))
        # Of two that are as near, the earlier one: rows may tell the middles of frames.
        place = min(near, key=lambda one: abs(starts[one] - row_s) + (one == after) * _ROUNDED_S, default=None)
        if place is not None and abs(starts[place] - row_s) <= apart[place]:
            found[order[place]], apart[place] = row_s, abs(starts[place] - row_s)
    return found


class Found(NamedTuple):
    """One AU in every frame: whether it is there, how much (-1 where not coded), whether it could not be judged."""

    present: NDArray[np.bool_]
    strength: NDArray[np.float64]
    unseen: NDArray[np.bool_]


def event_arrays(
    aus: Sequence[int], codes: FaceCodes, times_s: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], dict[int, Found]]:
    """What events say of frames.

    Args:
        aus: that were looked for.
        codes: the events of one face.
        times_s: (N,) time stamps of the frames.

    Returns:
        (N,) whether a frame was coded at all, and AU -> what was found; absent frames are neither present nor unseen.
    """
    spacing_s = _spacing(times_s.tolist())
    coded = np.full(len(times_s), not codes.coded)
    for onset_s, offset_s in codes.coded:
        coded |= within(times_s, onset_s, offset_s, spacing_s)
    empty = np.zeros(len(times_s), dtype=bool)
    found = {au: Found(empty.copy(), np.full(len(times_s), -1.0), empty.copy()) for au in aus}
    for event in codes.unknown:
        for au in aus if event.au is None else {event.au} & set(aus):
            found[au].unseen[event.holds(times_s, spacing_s)] = True
    for event in codes.events:
        if event.au in found:
            holds, (present, strength, _) = event.holds(times_s, spacing_s), found[event.au]
            present[holds] = True
            if event.intensity is not None:
                strength[holds] = np.maximum(strength[holds], event.intensity)
    return coded, found


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


def read_codes(
    path: Path,
    sources: Sequence[str],
    coder: str | None = None,
    names: Mapping[tuple[str, int], str] | None = None,
    chapters: Mapping[str, str] | None = None,
) -> Codes:
    """Reads a file of codes, or every such file of a folder.

    Args:
        path: of a table (rows per frame or events), or a file or export of ELAN, BORIS, The Observer or Datavyu.
        sources: the videos, as paths relative to the root. Codes name them by path, file name or stem; a file without
            such a column belongs to the video whose stem it has.
        coder: whose codes to take where several coded the same video: a coder, or a session of coding.
        names: (source, face) -> name of who that is; tells which face the subjects of the codes are.
        chapters: file that goes on where another ends -> the recording that it is a part of.

    Raises:
        InputError: when a file cannot be read or understood, or names a video that is not there, or it is not clear
            whose codes to take or which face a subject is.
    """
    by_file: dict[Path, list[Event]] = {}
    rows: dict[str, list[tuple[Event, Row]]] = defaultdict(list)  # each row, and of whom it is
    index = Sources(sources)
    columns: dict[Path, list[tuple[str, int, bool]]] = {}
    notes: list[str] = []
    called: dict[str, dict[str, str]] = defaultdict(dict)
    for file in _files(path):
        if is_events(file):
            for event in read_events(file, notes):
                name, placed_event = _of_video(event, index, file, chapters or {})
                by_file.setdefault(file, []).append(placed_event)
                called[placed_event.source].setdefault(name, event.where)
            continue
        header, given = read_rows(file)
        columns[file] = au_columns(file, header)
        used = [column for column, *_ in columns[file]]
        notes += unknown_labels_note(file, given, used)
        notes += not_read_note(file, header, {*_ROW_COLUMNS, *used})
        placed = _places(file, header, given, index)
        for event, row in placed:
            rows[event.source].append((event, row))
            called[event.source].setdefault(row.get("source") or row.get("path") or file.stem, event.where)
    notes += copies_note(path, called)
    events = told_apart(by_file)
    by_row = {au for of in columns.values() for _, au, _ in of}
    found = by_row | {event.au for event in events if event.au is not None and event.kind == "au"}
    notes += unknown_aus_note(path, found)
    if not found & set(ACTION_UNITS):
        why = "".join(f" {note}" for note in notes)  # such as numbers that might be AUs
        raise InputError(f"{path}: holds no AU of those that are known; check its columns.{why}")
    known = [event for event in events if event.au is None or event.au in ACTION_UNITS]
    by_video: dict[str, list[Event]] = defaultdict(list)
    for event in known:
        by_video[event.source].append(event)
    both = sorted(set(by_video) & set(rows))
    if both:
        raise InputError(f"{path}: {both[0]} has both events and rows per frame; keep one of them.")
    named = people_of(names or {})
    sessions = Sessions(coder)
    taken: dict[str, list[Event]] = {}
    faces: dict[str, dict[int | None, FaceCodes]] = {}
    looked = Used()
    for source, given_events in by_video.items():
        taken[source] = sessions.choose(source, [as_subject(event, named[source]) for event in given_events])
        for event in taken[source]:
            looked.add(event.coder, [event.au] if event.au is not None and event.kind == "au" else [])
        faces[source] = event_codes(with_faces(source, taken[source], named[source]))
    for source, pairs in rows.items():
        mine = sessions.choose(source, [as_subject(event, named[source]) for event, _ in pairs])
        row_of = {event.where: row for event, row in pairs}
        placed = [(event, row_of[event.where]) for event in with_faces(source, mine, named[source])]
        faces[source] = _row_codes(source, placed, columns)
        for event, row in placed:
            looked.add(event.coder, [au for column, au, _ in columns[row.path] if row.get(column) not in NOT_CODED])
    sessions.check(path)
    ordered = tuple(sorted((looked.by_anyone | by_row) & set(ACTION_UNITS)))
    if not ordered:
        raise InputError(f"{path}: --coder {coder} used no AU of those that are known; choose another coder.")
    looked_for = {source: tuple(sorted(looked.in_video(events) & set(ordered))) for source, events in taken.items()}
    notes += left_out_note(path, (found & set(ACTION_UNITS)) - set(ordered)) + not_looked_for_note(
        path, ordered, looked_for
    )
    graded = any(event.intensity is not None for events in taken.values() for event in events) or any(
        intensity for of in columns.values() for _, au, intensity in of if au in ACTION_UNITS
    )
    return Codes(
        {source: VideoCodes(looked_for.get(source, ordered), given) for source, given in faces.items()},
        ordered,
        "intensity" if graded else "occurrence",
        notes,
    )


_ROW_COLUMNS: Final = ("source", "path", "frame", "time_s", "face", "subject", "coder")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(
        one for one in path.iterdir()
        if one.suffix.lower() in SUFFIXES and not one.name.startswith((".", "~$")) and one.is_file()
        and (one.suffix.lower() != ".gz" or one.name.lower().endswith(".boris.gz"))
    )  # fmt: skip
    if not files:
        raise InputError(f"{path}: holds no file of codes ({', '.join(SUFFIXES)}); name the codes.")
    return files


def _of_video(event: Event, sources: Sources, file: Path, chapters: Mapping[str, str]) -> tuple[str, Event]:
    """The name by which a video is meant, and the event in its time."""
    chapter = Sources(list(chapters)).find(event.source, copies=False) if chapters else None
    if chapter is not None:
        raise InputError(
            f"{event.where}: `{chapter}` is a chapter of {chapters[chapter]} (--chapters); give times from its "
            "start, or leave out --chapters."
        )
    for copies in (False, True):
        for name, ahead_s in ((event.source, 0.0), *event.others):
            source = sources.find(name, copies=copies)
            if source is not None:
                return name, event.at(source, ahead_s)
    if event.observation.startswith(event.source):  # no recording was named; sessions are often called `p01 MK`
        source = sources.find_start(event.observation) or sources.find(file.stem) or sources.find_start(file.stem)
        if source is not None:
            return event.observation, event.at(source)
    raise InputError(f"{event.where}: no video or several are meant by `{event.source}`; give its path under --root.")


def event_codes(events: Sequence[Event]) -> dict[int | None, FaceCodes]:
    """Face -> its codes."""
    by_face: dict[int | None, list[Event]] = defaultdict(list)
    for event in events:
        by_face[event.face].append(event)
    faces = {}
    for face, own in coded_faces(by_face, None).items():
        faces[face] = FaceCodes(
            tuple(event for event in own if event.kind == "au"),
            tuple((event.onset_s, event.offset_s) for event in own if event.kind == "coded"),
            tuple(event for event in own if event.kind == "unknown"),
        )
    return faces


def _places(file: Path, header: Sequence[str], rows: Sequence[Row], sources: Sources) -> list[tuple[Event, Row]]:
    """Of whom each row is, as an event without length; `onset_s` is its time, or its frame's number."""
    by_time = "frame" not in header
    if by_time and "time_s" not in header:
        raise InputError(f"{file}: has neither a column `frame` (from 0) nor `time_s`; add one.")
    found = []
    for row in rows:
        name = row.get("source") or row.get("path") or file.stem
        source = sources.find(name)
        if source is None:
            raise row.error("source", f"no video or several are meant by `{name}`; give its path under --root.")
        place = row.number_of("time_s", low=0) if by_time else row.whole_number_of("frame")
        if place is None:
            raise row.error("time_s" if by_time else "frame", "is empty; fill it in.")
        event = Event(
            source, None, place, place, face=row.whole_number_of("face"), coder=row.get("coder"),
            where=f"{file}, row {row.number}", subject=row.get("subject"),
        )  # fmt: skip
        found.append((as_face(event), row))
    return found


def _row_codes(
    source: str, rows: Sequence[tuple[Event, Row]], columns: Mapping[Path, Sequence[tuple[str, int, bool]]]
) -> dict[int | None, FaceCodes]:
    files = list(dict.fromkeys(row.path for _, row in rows))
    if len(files) > 1:
        raise InputError(f"{files[1]}: {source} is coded in another file already; keep one of them.")
    by_time = "frame" not in rows[0][1].values
    faces: dict[int | None, dict[float, Labels]] = defaultdict(dict)
    known = [column for column in columns[files[0]] if column[1] in ACTION_UNITS]
    for event, row in rows:
        given = faces[event.face]
        if event.onset_s in given:
            raise row.error(
                "time_s" if by_time else "frame", f"{source} at {event.onset_s:g} is coded twice; keep one row."
            )
        given[event.onset_s] = row_labels(row, known)
    return {face: FaceCodes(rows=given, by_time=by_time) for face, given in faces.items()}


def row_labels(row: Row, columns: Sequence[tuple[str, int, bool]]) -> Labels:
    """The AU columns of a row: occurrence 0 or 1, intensity 0 to 5 or A to E; others see `cells.NOT_CODED`.

    Raises:
        InputError: for any other value, and for an AU that is there with an intensity of 0.
    """
    labels: Labels = {}
    for column, au, is_intensity in columns:
        if is_intensity:
            labels[intensity_column(au)] = row.intensity_of(column)
        else:
            labels[au_column(au)] = row.occurrence_of(column)
    for column, au, is_intensity in columns:
        if is_intensity and labels[intensity_column(au)] == 0 and labels.get(au_column(au)) == 1:
            raise row.error(column, f"is 0, and {au_column(au)} says that it is there; correct one of the two.")
    return labels


def _spacing(times_s: Sequence[float]) -> float:
    steps = sorted(b - a for a, b in pairwise(times_s))
    return steps[len(steps) // 2] if steps else _NEAR_S
