"""The Observer XT: the event log, exported as text or as an Excel file."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from duchenne.data.cells import Row
from duchenne.preparing.codes.programs.behaviours import behaviour, is_of_aus, modifiers_of, paired
from duchenne.preparing.codes.programs.events import (
    Event,
    Stretch,
    observer_of,
    subject_of,
    time_of,
)
from duchenne.preparing.codes.programs.notation import aus_of_name

_WHOLE: Final = ("time_relative_s", "time_relative_hms")
TIMES: Final = ("time_relative_sf", "time_relative_hmsf", "time_relative_s", "time_relative_hms")
"""Columns of the time, the most exact first."""
_MEDIA: Final = ("media_file", "media file", "video_file", "video file")


def rounded_note(path: Path, names: Collection[str]) -> list[str]:
    """A sentence where the times are in whole seconds, which misses frames."""
    time = next(name for name in TIMES if name in names)
    return [f"{path}: has its times in whole seconds; export Time_Relative_sf too."] if time in _WHOLE else []


def read_events(rows: list[Row], _: Mapping[str, str]) -> Iterator[Event]:
    """The event log: start and stop of a state are rows of their own."""
    time = next(name for name in TIMES if name in rows[0].values)
    of_aus = {row.get("behavior") for row in rows if is_of_aus(row)}
    coded = [row for row in rows if row.get("behavior") in of_aus]
    # Modifiers tell states that run at the same time apart, where stops have them, too.
    bare = {row.get("behavior") for row in coded if not any(modifiers_of(row))} | {
        name for name in of_aus if aus_of_name(name)
    }
    found = paired(
        coded,
        lambda row: time_of(row, time, -math.inf),
        lambda row: row.get("event_type").lower(),
        ("state start", "state stop", ("point", "point event", "state point")),
        lambda row: (
            row.get("observation"), row.get("event_log"), observer_of(row.values), row.get("subject"),
            row.get("behavior"), "" if row.get("behavior") in bare else "|".join(modifiers_of(row)),
        ),
    )  # fmt: skip
    several = len({row.get("event_log") for row in rows}) > 1
    for row, onset, offset in found:
        named = next((row.get(name) for name in _MEDIA if row.get(name)), "")
        log = row.get("event_log") if several else ""
        stretch = Stretch(
            row, onset, offset, named or row.get("observation"), coder=observer_of(row.values),
            subject=subject_of(row.get("subject")),
            observation=" ".join(part for part in (row.get("observation"), log) if part),
        )  # fmt: skip
        yield from behaviour(stretch)
