"""Codings that are events with onset and offset, converted to frames: those of a table, or evenly spaced ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from duchenne.data.joined_times import outside_note
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS
from duchenne.preparing.codes.exports import read_events
from duchenne.preparing.codes.names import Sources
from duchenne.preparing.codes.programs.events import Event
from duchenne.preparing.codes.video_codes import FaceCodes, event_arrays, event_codes
from duchenne.preparing.codes.whose import is_of_all
from duchenne.tables.codings import Coding, Floats, Kind, stem_of

_MOST_FRAMES: Final = 5_000_000


@dataclass(frozen=True)
class EventCoding:
    """What one coder coded.

    Attributes:
        name: of the file, with the coder's where it has several.
        videos: source -> face (number or name, as text) -> codes.
        aus: that the coder used anywhere, ascending; outside their events they are absent.
    """

    name: str
    videos: Mapping[str, Mapping[str, FaceCodes]]
    aus: tuple[int, ...]

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

    def renamed(self, others: Sequence[str]) -> EventCoding:
        """With the names that others give to the same sources: `p01 MK` is `p01`; one source each is the same one."""
        known = Sources(others)
        names = {source: known.find(source) or known.find_start(source) or source for source in self.videos}
        if len(others) == 1 == len(names):
            names = dict.fromkeys(names, others[0])
        return replace(self, videos={names[source]: faces for source, faces in self.videos.items()})

    def on(self, keys: pd.DataFrame, intensity_from: float) -> Coding:
        """The coding of given frames.

        Args:
            keys: `source, face, frame, time_s` as in `Coding`.
            intensity_from: from which an intensity counts as present.
        """
        values: dict[tuple[int, Kind], Floats] = {
            (au, kind): np.full(len(keys), np.nan) for au in self.aus for kind in ("occurrence", "intensity")
        }
        several = keys.groupby("source")["face"].nunique()
        for (source, face), rows in keys.groupby(["source", "face"]):
            faces = self.videos.get(str(source), {})
            alone = next(iter(faces.values())) if len(faces) == 1 and several[str(source)] == 1 else None
            codes = faces.get(str(face), alone)
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
    for event in read_events(path):
        if is_of_all(event):
            everybody.append(event)
        elif event.au is None or event.au in ACTION_UNITS:
            coders[event.coder or event.observation].append(event)
    for events in coders.values():
        sources = {event.source for event in events}
        events += [event for event in everybody if event.source in sources]
    found = []
    for name, events in coders.items():
        videos: dict[str, dict[str, FaceCodes]] = defaultdict(dict)
        by_source: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_source[stem_of(event.source)].append(event)
        for source, own in by_source.items():
            for face in dict.fromkeys(_face(event) for event in own if not is_of_all(event)):
                codes = event_codes([replace(event, face=None) for event in own if _face(event) in (face, "")])
                videos[source][face or "0"] = codes[None]
        aus = tuple(sorted({event.au for event in events if event.au is not None and event.kind == "au"}))
        found.append(EventCoding(path.name if len(coders) == 1 else f"{path.name}: {name}", videos, aus))
    if not any(one.aus for one in found):
        raise InputError(f"{path}: holds no AU of those that are known; check it.")
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
        frame = np.arange(number)
        for face in faces:
            parts.append(
                pd.DataFrame({"source": source, "face": face, "frame": frame.astype(float), "time_s": frame * step_s})
            )
    return pd.concat(parts, ignore_index=True)


def _face(event: Event) -> str:
    return event.subject if event.face is None else f"{event.face:g}"
