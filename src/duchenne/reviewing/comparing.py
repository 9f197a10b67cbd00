"""Two codings of the recordings beside each other: the numbers of `agree`, and where they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.preparing.codes.programs.events import step_of
from duchenne.reviewing.codes import Entry, entries_text
from duchenne.reviewing.columns import Track
from duchenne.tables.codings import Coding, coding_of
from duchenne.tables.event_codings import EventCoding, faces_of, read_event_codings, seen_faces
from duchenne.tables.pairs import Limits, compare_pair, join

LIMITS: Final = Limits(threshold=0.5, intensity_from=2.0, tolerance_s=0.5, max_lag_s=0.0)
"""The defaults of `duchenne agree`, without its search for a lag, which is not shown and takes longest."""
_MOST: Final = 2000
_NUMBERS: Final = ("frames", "kappa", "ac1", "f1", "icc_absolute", "correlation", "auc", "event_f1")


def placed(entries: Sequence[Entry], mains: Mapping[str, int | None]) -> list[Entry]:
    """What one coder coded, with the faces that it is about, as `prepare` understands it.

    Action units without a face are those of the main one; anything else without a face holds for every face that is
    coded in the recording.

    Args:
        entries: of the coder, see `CodesFile.held_by`.
        mains: source -> the face seen largest and longest; None, or not there, where nobody knows.
    """
    found, everybody = [], []
    for one in entries:
        if one.code.face is not None or "subject" in dict(one.code.others):
            found.append(one)
        elif one.code.kind == "au":
            found.append(_with_face(one, mains.get(one.source)))
        else:
            everybody.append(one)
    faces: dict[str, set[int | None]] = defaultdict(set)
    for one in found:
        faces[one.source].add(one.code.face)
    return found + [
        _with_face(one, face) for one in everybody for face in faces.get(one.source, {mains.get(one.source)})
    ]


def _with_face(entry: Entry, face: int | None) -> Entry:
    return replace(entry, code=replace(entry.code, face=face))


def event_coding(entries: Sequence[Entry], coder: str, labels: Mapping[str, str], folder: Path) -> EventCoding:
    """What one coder coded, read as `agree` reads it: also of recordings that are not compared, because an action unit
    that was used in any of them was looked for in all.

    Args:
        entries: of the coder, see `placed`.
        coder: the name.
        labels: source -> what to call the recording; file names alone would mix up `P01/rest.mp4` and `P02/rest.mp4`.
        folder: for a file that is read and removed.

    Raises:
        InputError: when there are no codes of that name.
    """
    if not any(entry.code.kind == "au" for entry in entries):
        raise InputError(f"{coder or 'the unnamed coder'} has coded no action unit yet.")
    path = folder / "codes.csv"
    called = dict(labels)
    for entry in entries:
        called.setdefault(entry.source, f"other{len(called)}")
    path.write_text(entries_text([replace(one, source=called[one.source]) for one in entries]), encoding="utf-8")
    return replace(read_event_codings(path)[0], name=coder or "the unnamed coder")


def table_coding(tracks: Sequence[tuple[str, Track]], name: str) -> Coding:
    """The tables of recordings as one coding.

    Args:
        tracks: what the recording is called, and its table, of each.
        name: what to call it.
    """
    rows = pd.concat([track.rows.assign(source=label) for label, track in tracks], ignore_index=True)
    return coding_of(rows, Path(name))


def compare(
    first: EventCoding | Coding, second: EventCoding | Coding, keys: pd.DataFrame, names: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Agreement per action unit, and every stretch in which the two differ.

    Args:
        first: the reference.
        second: what is compared with it.
        keys: of the frames, as in `Coding`: events are put onto them.
        names: what recordings are called there -> what to call them in sentences.

    Returns:
        Rows with `au` and the columns of `agree` (None where undefined); and stretches, by time: `source, face, au,
        onset_s, offset_s, frames`, and `who` has it: `first` or `second`. At most 2,000, the longest. And sentences on
        codes whose face had to be guessed or is not there.

    Raises:
        InputError: when the two share no action unit or no frame, or it is not clear whose codes they are.
    """
    tables = [one for one in (first, second) if isinstance(one, Coding)]
    seen = seen_faces(tables[0]) if tables else faces_of(keys)
    sides: list[Coding] = []
    notes: list[str] = []
    for one in (first, second):
        if isinstance(one, EventCoding):
            placed, more = one.on_faces(seen, "the table" if tables else "the other coding", names)
            notes += more
            one = placed.on(keys, LIMITS.intensity_from)
        sides.append(one)
    table, _ = compare_pair(sides[0], sides[1], LIMITS)
    numbers = table[["au", *_NUMBERS]].astype(object).where(table[["au", *_NUMBERS]].notna(), None)
    rows = [
        {**{str(key): value for key, value in row.items()}, "name": ACTION_UNITS[int(row["au"][2:])].name}
        for row in numbers.to_dict("records") if int(row["au"][2:]) in ACTION_UNITS
    ]  # fmt: skip
    return rows, _differences(sides[0], sides[1]), notes


def _differences(first: Coding, second: Coding) -> list[dict[str, Any]]:
    joined = join(first, second)
    keys = first.keys.iloc[joined.first]
    found: list[dict[str, Any]] = []
    for au in sorted(set(first.aus) & set(second.aus) & set(ACTION_UNITS)):
        coded = [
            one.present(au, threshold=LIMITS.threshold, intensity_from=LIMITS.intensity_from) for one in (first, second)
        ]
        if coded[0] is None or coded[1] is None:
            continue
        mine, other = coded[0][joined.first], coded[1][joined.second]
        for group in np.unique(joined.group):
            rows = np.flatnonzero(joined.group == group)
            times = joined.time_s[rows]
            ends = np.append(times[1:], times[-1] + step_of(times))
            sides: tuple[Literal["first", "second"], ...] = ("first", "second")
            for who, mask in zip(sides, ((mine == 1) & (other == 0), (mine == 0) & (other == 1))):
                edges = np.flatnonzero(np.diff(np.r_[0, mask[rows].astype(np.int8), 0]))
                for start, stop in zip(edges[::2], edges[1::2]):
                    found.append(
                        {
                            "source": str(keys["source"].iloc[rows[start]]),
                            "face": str(keys["face"].iloc[rows[start]]),
                            "au": au_column(au), "onset_s": float(times[start]), "offset_s": float(ends[stop - 1]),
                            "frames": int(stop - start), "who": who,
                        }
                    )  # fmt: skip
    longest = sorted(found, key=lambda one: one["onset_s"] - one["offset_s"])[:_MOST]
    return sorted(longest, key=lambda one: (one["source"], one["onset_s"], one["au"]))
