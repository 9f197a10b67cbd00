"""Codings that are events with onset and offset, converted to frames: those of a table, or evenly spaced ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from duchenne.data.joined_times import outside_note
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.names import labels_of
from duchenne.preparing.codes.programs.events import Event
from duchenne.preparing.codes.video_codes import FaceCodes, event_arrays, event_codes
from duchenne.preparing.codes.whose import coded_faces, is_of_all
from duchenne.preparing.sources.survey import listed
from duchenne.tables.codings import Coding, Floats, Kind

_MOST_FRAMES: Final = 5_000_000
Seen = Mapping[str, Mapping[str, float]]
"""Source -> face -> in how many frames it is seen, each as much as the face is wide."""


@dataclass(frozen=True)
class EventCoding:
    """What one coder coded.

    Attributes:
        name: of the file, with the coder's where it has several.
        videos: source -> face (number or name, as text; empty where nobody was named) -> codes.
        aus: that the coder used anywhere, ascending; outside their events they are absent.
        notes: sentences on the file, which only its first coder has.
    """

    name: str
    videos: Mapping[str, Mapping[str, FaceCodes]]
    aus: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def end_s(self, source: str) -> float:
        """When the last thing that was coded in a source ends."""
        return max((offset for _, offset in self._spans(source)), default=0.0)

    def outside(self, keys: pd.DataFrame) -> list[str]:
        """Sentences on what was coded where the frames of a table do not reach: it takes no part in any comparison.

        Args:
            keys: `source, face, frame, time_s` as in `Coding`.
        """
        found = []
        for source in self.videos:
            times = np.sort(keys["time_s"].to_numpy(dtype=np.float64)[(keys["source"] == source).to_numpy()])
            spans = self._spans(source)
            if not len(times):
                continue  # `agree` names recordings that one coding lacks
            step_s = float(np.median(np.diff(np.unique(times)))) if len(np.unique(times)) > 1 else 0.0
            sentence = outside_note("events", spans, float(times[-1]) + step_s, begin=float(times[0]))
            found += [": ".join(part for part in (self.name, source, f"{sentence}.") if part)] if sentence else []
        return found

    def _spans(self, source: str) -> list[tuple[float, float]]:
        return [span for codes in self.videos.get(source, {}).values() for span in codes.spans]

    def on_faces(
        self, seen: Seen, where: str, called: Mapping[str, str] | None = None
    ) -> tuple[EventCoding, list[str]]:
        """With the faces of frames, and sentences on what had to be guessed or could not be placed.

        The codes of one face are those of the only one that is seen in the recording, whatever the two are called.
        Codes that name no face are those of the face that is seen largest and longest, as `prepare` takes them; that
        there is nothing to code holds for all faces.

        Args:
            seen: in the frames; a recording that is not in it is not compared.
            where: the name of the coding that has these frames.
            called: source -> what to call it in sentences, where that is something else.

        Raises:
            InputError: when it is not clear whose codes they are, or none can be placed.
        """
        videos = dict(self.videos)
        notes, lost = [], set()
        compared = [source for source in self.videos if source in seen]
        for source in compared:
            there, faces = seen[source], self.videos[source]
            in_it = f" in {name}" if (name := (called or {}).get(source, source)) else ""
            if "" in faces and len(faces) > 1:
                named = listed(in_order(faces.keys() - {""}))
                raise InputError(
                    f"{self.name}: some codes{in_it} name a face ({named}), others none; say of whom these are."
                )
            if "" in faces and not faces[""].events:
                videos[source] = dict.fromkeys(there, faces[""])
            elif len(faces) == len(there) == 1:
                (face,), (only,) = faces, there
                videos[source] = {only: faces[face]}
                if face not in ("", only) and face.isdecimal() == only.isdecimal():
                    notes.append(
                        f"{self.name}: the codes of {face}{in_it} are taken to be those of {only}, the only face that "
                        f"{where} has there."
                    )
            elif "" in faces:
                main, note = main_face(there, self.name, in_it, where)
                videos[source] = {main: faces[""]}
                notes.append(note)
            else:
                videos[source] = {face: codes for face, codes in faces.items() if face in there}
                lacking = in_order(faces.keys() - there.keys())
                lost |= {*lacking}
                notes += [
                    f"{self.name}: the codes of {listed(lacking)}{in_it} are left out: {where} has "
                    f"{listed(in_order(there))}."
                ] if lacking else []  # fmt: skip
        if lost and not any(videos[source] for source in compared):
            raise InputError(
                f"{self.name}: {where} has none of its faces ({listed(in_order(lost))}); write the numbers that it "
                "gives them into a column `face`."
            )
        return replace(self, videos=videos), notes

    def on(self, keys: pd.DataFrame, intensity_from: float) -> Coding:
        """The coding of given frames.

        Args:
            keys: `source, face, frame, time_s` as in `Coding`.
            intensity_from: from which an intensity counts as present.
        """
        values: dict[tuple[int, Kind], Floats] = {
            (au, kind): np.full(len(keys), np.nan) for au in self.aus for kind in ("occurrence", "intensity")
        }
        for (source, face), rows in keys.groupby(["source", "face"]):
            codes = self.videos.get(str(source), {}).get(str(face))
            if codes is None:
                continue
            places = keys.index.get_indexer(rows.sort_values("time_s").index)
            coded, found = event_arrays(self.aus, codes, keys["time_s"].to_numpy(dtype=np.float64)[places])
            for au, (present, strength, unseen) in found.items():
                graded, known = strength >= 0, coded & ~unseen
                there = np.where(graded, strength >= intensity_from, present)
                values[au, "occurrence"][places] = np.where(known, there, np.nan)
                much = np.where(graded, strength, np.where(present, np.nan, 0.0))
                values[au, "intensity"][places] = np.where(known, much, np.nan)
        levels = {au for au in self.aus if np.nanmax(values[au, "intensity"], initial=0.0) > 0}
        kept = {key: numbers for key, numbers in values.items() if key[1] == "occurrence" or key[0] in levels}
        return Coding(self.name, keys, kept)


def read_event_codings(path: Path) -> list[EventCoding]:
    """The coders of a file of events, one by one.

    Raises:
        InputError: when it cannot be read, or holds no AU that is known.
    """
    coders: dict[str, list[Event]] = defaultdict(list)
    everybody = []
    notes: list[str] = []
    for event in read_events(path, notes):
        if is_of_all(event):
            everybody.append(event)
        elif event.au is None or event.au in ACTION_UNITS:
            coders[event.coder or event.observation].append(event)
    somebody = {event.source for events in coders.values() for event in events}
    nobody = {event.source for event in everybody if event.kind == "coded"} - somebody  # all coded it and saw nothing
    for events in coders.values():
        sources = {event.source for event in events} | nobody
        events += [event for event in everybody if event.source in sources]
    found: list[EventCoding] = []
    labels = labels_of(event.source for events in coders.values() for event in events)
    for name, events in coders.items():
        videos: dict[str, dict[str, FaceCodes]] = defaultdict(dict)
        by_source: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_source[labels[event.source]].append(event)
        for source, own in by_source.items():
            for face, seen in _by_face(own).items():
                videos[source][face] = event_codes([replace(event, face=None) for event in seen])[None]
        aus = tuple(sorted({event.au for event in events if event.au is not None and event.kind == "au"}))
        called = path.name if len(coders) == 1 else f"{path.name}: {name}"
        found.append(EventCoding(called, videos, aus, () if found else tuple(notes)))
    if not any(one.aus for one in found):
        why = "".join(f" {note}" for note in notes)
        raise InputError(f"{path}: holds no AU of those that are known; check it.{why}")
    return found


def even_frames(coding: EventCoding, ends_s: Mapping[str, float], step_s: float) -> pd.DataFrame:
    """Evenly spaced frames of every source and face of a coding.

    Args:
        coding: whose.
        ends_s: source -> when the last event of any coder ends.
        step_s: between frames.

    Returns:
        `source, face, frame, time_s` as in `Coding`.
    """
    parts = []
    for source, faces in coding.videos.items():
        number = max(1, int(np.ceil(ends_s.get(source, coding.end_s(source)) / step_s - 1e-9)))
        if number > _MOST_FRAMES:
            raise InputError(
                f"{coding.name}: the last event of {source} ends at {number * step_s:g} s; correct its time, or take a "
                "larger --step-s."
            )
        frame = np.arange(number, dtype=np.float64)
        for face in faces:
            parts.append(pd.DataFrame({"source": source, "face": face, "frame": frame, "time_s": frame * step_s}))
    return pd.concat(parts, ignore_index=True)


def seen_faces(coding: Coding) -> Seen:
    """The faces of a table. Rows without a value are nobody's, but where a recording has no others."""
    return {**faces_of(coding.keys), **faces_of(coding.keys[coding.seen])}


def faces_of(keys: pd.DataFrame) -> Seen:
    """The faces of frames, see `Coding`."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (source, face), rows in keys.groupby(["source", "face"]):
        found[str(source)][str(face)] = float(rows["size"].sum())
    return found


def with_faces_of_others(codings: Sequence[EventCoding]) -> list[EventCoding]:
    """Codings that are all events: that there is nothing to code holds for all faces that another names.

    Raises:
        InputError: when one of them has codes that name no face where it names one, or another names several.
    """
    found = []
    for one in codings:
        others = [other for other in codings if other is not one]
        placed = one
        for source, faces in one.videos.items():
            named = {other.name: [face for face in other.videos.get(source, {}) if face] for other in others}
            if "" in faces and any(source in other.videos for other in others):
                where = max(named, key=lambda name: len(named[name]))
                if len(faces) > 1 or len(named[where]) > 1:
                    placed, _ = placed.on_faces({source: dict.fromkeys(named[where], 1.0)}, where)
        found.append(placed)
    return found


def main_face(there: Mapping[str, float], name: str, in_it: str, where: str) -> tuple[str, str]:
    """The face that is seen largest and longest, of whom a coding is that names none, and a sentence that says so.

    Args:
        there: the faces, see `Seen`.
        name: of the coding.
        in_it: ` in` and the recording, or nothing.
        where: the name of the coding that has these faces.

    Raises:
        InputError: when there are several.
    """
    most = max(there.values())
    main = in_order(face for face, much in there.items() if much == most)
    if len(main) > 1:
        raise InputError(
            f"{name}: names no face{in_it}, and it may be any of {listed(main)} ({where}); say in a column `face` of "
            "whom the codes are."
        )
    return main[0], (
        f"{name}: names no face{in_it}, where {where} has {len(there)}; taken to be face {main[0]}, which is seen "
        "largest and longest."
    )


def in_order(faces: Iterable[str]) -> list[str]:
    """Numbers as numbers, then names."""
    return sorted(faces, key=lambda face: (not face.isdecimal(), int(face) if face.isdecimal() else 0, face))


def _by_face(events: Sequence[Event]) -> dict[str, list[Event]]:
    """The events of each face of a recording, as `prepare` takes them: stretches that name no face hold for all."""
    placed = [event for event in events if _face(event) or event.kind == "au"]
    everybody = [event for event in events if not (_face(event) or event.kind == "au")]
    subjects = {event.subject for event in placed if event.face is None} - {""}
    only = next(iter(subjects)) if len(subjects) == 1 else ""  # programs let people leave the subject open
    found: dict[str, list[Event]] = defaultdict(list)
    for event in placed:
        found[_face(event) or only].append(event)
    return coded_faces({face: own + everybody for face, own in (found or {"": []}).items()}, "")


def _face(event: Event) -> str:
    return event.subject if event.face is None else f"{event.face:g}"
