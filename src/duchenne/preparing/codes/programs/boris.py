"""BORIS: aggregated events, tabular events, and the project file itself.

Its times are those of the observation, not of a file: media that were shown one after another follow each other, and
the observation's time offset was added to all. Both are taken off again, as BORIS itself does when it extracts frames.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from duchenne.data.cells import Row
from duchenne.errors import InputError
from duchenne.files import check_file
from duchenne.preparing.codes.programs.behaviours import behaviour, is_of_aus, modifiers_of, paired
from duchenne.preparing.codes.programs.events import (
    Event,
    Stretch,
    in_order,
    observer_of,
    subject_of,
    time_of,
)
from duchenne.preparing.codes.programs.notation import parse_time

_KINDS: Final = ("START", "STOP", ("POINT", "POINT EVENT"))
_LARGEST: Final = 1 << 28
_NOTHING: Final = ("", "NA", "Not found", "Live observation")
_MEDIA: Final = ("media file name", "media file path", "media file", "media file(s)")


@dataclass(frozen=True)
class Media:
    """The media of one observation.

    Attributes:
        files: those of the first player, in the order in which they were shown.
        lengths_s: their durations; empty where the export does not say.
        offset_s: what BORIS added to every time.
        others: what further players showed at the same time, each with the seconds that its own time is ahead.
    """

    files: tuple[str, ...]
    lengths_s: tuple[float, ...]
    offset_s: float
    others: tuple[tuple[str, float], ...] = ()

    def place(self, stretch: Stretch) -> Iterator[Stretch]:
        """The same stretch in the time of the file, or files, that it lies in.

        Raises:
            InputError: when there are several files and the export does not say how long they are.
        """
        onset, offset = stretch.onset_s - self.offset_s, stretch.offset_s - self.offset_s
        if len(self.files) < 2:
            source = self.files[0] if self.files else stretch.source
            yield replace(stretch, source=source, onset_s=onset, offset_s=offset, others=self.others)
            return
        if len(self.lengths_s) != len(self.files):
            raise stretch.row.error(
                "Media duration (s)",
                f"{len(self.files)} media follow each other and their durations are not given; export all columns of "
                "`Media duration (s)`, or name the .boris file.",
            )
        ends = list(accumulate(self.lengths_s))
        starts = [0.0, *ends[:-1]]
        ends[-1] = math.inf
        starts[0] = -math.inf
        for file, start, end, first in zip(self.files, starts, ends, [0.0, *ends[:-1]], strict=True):
            inside = start <= onset < end if onset == offset else onset < end and offset > start
            if inside:
                low, high = max(onset, start), min(offset, end)
                yield replace(stretch, source=file, onset_s=low - first, offset_s=high - first, others=())


def read_aggregated(rows: list[Row], preamble: Mapping[str, str]) -> Iterator[Event]:
    """Aggregated events: a row per event, with start and stop."""
    media = _media_of_rows(rows, preamble)
    for row in rows:
        if not is_of_aus(row):
            continue  # other behaviours
        onset = time_of(row, "start (s)", -math.inf)
        offset = time_of(row, "stop (s)", -math.inf) if row.get("stop (s)") not in _NOTHING else onset
        if row.get("stop (s)") in _NOTHING and row.get("behavior type").upper().startswith("STATE"):
            raise row.error("Stop (s)", f"{row.get('behavior')} starts and never stops; correct it.")
        yield from _events(row, onset, in_order(row, "Stop (s)", onset, offset), media[_observation(row, preamble)])


def read_tabular(rows: list[Row], preamble: Mapping[str, str]) -> Iterator[Event]:
    """Tabular events: start and stop are rows of their own."""
    media = _media_of_rows(rows, preamble)
    status = "status" if any(row.get("status") for row in rows) else "behavior type"
    found = paired(
        [row for row in rows if is_of_aus(row)],
        lambda row: time_of(row, "time", -math.inf),
        lambda row: row.get(status).upper(),
        _KINDS,
        lambda row: (
            _observation(row, preamble), observer_of(row.values), row.get("subject"), row.get("behavior"),
            "|".join(modifiers_of(row)),
        ),
    )  # fmt: skip
    for row, onset, offset in found:
        yield from _events(row, onset, offset, media[_observation(row, preamble)])


def read_project(path: Path, notes: list[str]) -> Iterator[Event]:
    """A project file, `.boris` or `.boris.gz`.

    Raises:
        InputError: when it cannot be read or is none.
    """
    project = _project(path)
    states = {
        str(one.get("code")): str(one.get("type", "")).lower().startswith("state")
        for one in _values(project.get("behaviors_conf"))
    }
    for name, observation in project["observations"].items():
        try:
            yield from _observed(path, str(name), observation, states, notes)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise InputError(
                f"{path}: the observation `{name}` cannot be read ({error}); correct or remove it."
            ) from error


def _observed(
    path: Path, name: str, observation: Mapping[str, Any], states: Mapping[str, bool], notes: list[str]
) -> Iterator[Event]:
    given = sorted(observation.get("events") or (), key=lambda event: _time(event[0]))
    if not given:
        notes.append(f"{path}: the observation `{name}` has no events and was left out.")
    media = _media_of_project(observation)
    variables = observation.get("independent_variables") or {}
    coder = observer_of({str(key): str(value) for key, value in variables.items()})
    rows = []
    running: set[tuple[str, ...]] = set()
    for number, event in enumerate(given, start=1):
        subject, code, modifiers = (str(text) for text in event[1:4])
        key, kind = (subject, code, modifiers), "POINT"
        if states.get(code):
            kind = "STOP" if key in running else "START"
            running ^= {key}
        values = {"time": str(event[0]), "subject": subject, "behavior": code, "modifiers": modifiers, "status": kind}
        rows.append(Row(path, number, values))
    rows = [row for row in rows if is_of_aus(row)]
    strange = next((row for row in rows if row.get("behavior") not in states), None)
    if strange is not None:
        raise strange.error(
            "Behavior",
            f"{strange.get('behavior')} is not in the ethogram, so it may be a state or a point; add it there.",
        )
    if not rows:
        return
    first, last = [*(observation.get("observation time interval") or ()), 0, 0][:2]
    if last:  # only a part of the recording was observed
        whole = Stretch(rows[0], float(first) + media.offset_s, float(last) + media.offset_s, name)
        for part in media.place(replace(whole, coder=coder, observation=name)):
            yield part.event(None, kind="coded")
    found = paired(
        rows, lambda row: float(row.get("time")), lambda row: row.get("status"), _KINDS,
        lambda row: (row.get("subject"), row.get("behavior"), row.get("modifiers")),
    )  # fmt: skip
    for row, onset, offset in found:
        stretch = Stretch(
            row, onset, offset, name, coder=coder, subject=subject_of(row.get("subject")), observation=name
        )
        for part in media.place(stretch):
            yield from behaviour(part)


def _time(value: Any) -> float:
    with suppress(TypeError, ValueError):
        if math.isfinite(float(value)):
            return float(value)
    raise ValueError(f"`{value}` is no time; pictures have none")


def _events(row: Row, onset: float, offset: float, media: Media) -> Iterator[Event]:
    stretch = Stretch(
        row, onset, offset, row.path.stem, coder=observer_of(row.values), subject=subject_of(row.get("subject")),
        observation=row.get("observation id"),
    )  # fmt: skip
    for part in media.place(stretch):
        yield from behaviour(part)


def _observation(row: Row, preamble: Mapping[str, str]) -> str:
    """The observation; of exports without its name, each file is one."""
    return row.get("observation id") or preamble.get("observation id", "") or row.get("source") or _file_of(row)


def _file_of(row: Row) -> str:
    return next((row.get(column) for column in _MEDIA if row.get(column) not in _NOTHING), "")


def _media_of_rows(rows: Sequence[Row], preamble: Mapping[str, str]) -> dict[str, Media]:
    """Observation -> its media, by the column `Source` or by those that name the file of each event."""
    found: dict[str, Media] = {}
    named: dict[str, list[str]] = {}
    for row in rows:
        name = _observation(row, preamble)
        own = _file_of(row)
        if own and own not in named.setdefault(name, []):
            named[name].append(own)
        if name in found and found[name].files:
            continue
        offset = row.get("time offset (s)") or preamble.get("time offset (s)", "") or "0"
        offset_s = parse_time(offset)
        if offset_s is None:
            raise row.error("Time offset (s)", f"`{offset}` is not a time; write seconds.")
        shown = [part for part in row.get("source").split("|") if part.strip() not in _NOTHING]
        players = [re.sub(r"^player #\d+:\s*", "", part).split(";") for part in shown]
        lengths = (row.get("media duration (s)").split("|") if players else [""])[0].split(";")
        known = [value for value in map(parse_time, lengths) if value is not None]
        files = tuple(part.strip() for part in players[0] if part.strip()) if players else ()
        beside = tuple((player[0].strip(), 0.0) for player in players[1:] if len(player) == 1 and len(files) == 1)
        found[name] = Media(files, tuple(known), offset_s, beside)
    for name, media in found.items():
        if not media.files:
            parts = [re.sub(r"^player #\d+:\s*", "", part) for part in named.get(name, ())]
            if len(parts) == 1 and ";" in parts[0]:
                parts = [part.strip() for part in parts[0].split("|")[0].split(";")]
            found[name] = replace(media, files=tuple(parts) or ((name,) if name else ()))
    return found


def _media_of_project(observation: Mapping[str, Any]) -> Media:
    given = observation.get("file") or {}
    players = {str(player): [str(file) for file in files] for player, files in given.items() if files} if isinstance(
        given, Mapping
    ) else {}  # fmt: skip
    info = observation.get("media_info") or {}
    lengths, ahead = info.get("length") or {}, info.get("offset") or {}
    files = tuple(players.get("1", ()))
    known = tuple(float(lengths[file]) for file in files if file in lengths)
    offset_s = parse_time(str(observation.get("time offset") or 0)) or 0.0
    beside = tuple(
        (shown[0], -float(ahead.get(player) or 0)) for player, shown in players.items()
        if player != "1" and len(shown) == 1 and len(files) == 1
    )  # fmt: skip
    return Media(files, known, offset_s, beside)


def _project(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                data = file.read(_LARGEST + 1)
        else:
            with path.open("rb") as plain:
                data = plain.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise InputError(f"{path}: is larger than {_LARGEST >> 20} MB, which no project is; name another file.")
        project = json.loads(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check it.") from error
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise InputError(f"{path}: is not a BORIS project ({str(error)[:80]}); save it again.") from error
    if not isinstance(project, dict) or not isinstance(project.get("observations"), dict):
        raise InputError(f"{path}: is not a BORIS project (it has no observations); name another file.")
    return project


def _values(given: Any) -> list[Mapping[str, Any]]:
    return [one for one in given.values() if isinstance(one, Mapping)] if isinstance(given, Mapping) else []
