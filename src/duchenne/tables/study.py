"""What `summarize` knows of a study beside its tables: who is who, and its trials."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.joined_times import outside_note
from duchenne.data.spreadsheets import as_numbers, read_csv_table
from duchenne.errors import InputError
from duchenne.preparing.codes.names import Sources
from duchenne.tables.episodes import frame_seconds

TRIAL_COLUMNS: Final = ("trial", "onset_s", "offset_s")
BASELINE_COLUMNS: Final = ("baseline_onset_s", "baseline_offset_s")

_READ: Final = ("source", "face", "name", *TRIAL_COLUMNS, *BASELINE_COLUMNS)


class Track(NamedTuple):
    """The rows of one face in time order, how long each and the video is shown, and the stretches without a gap.

    Attributes:
        is_named: whether `face` is a person's name, the same one in every recording, and no number.
    """

    source: str
    face: int | str
    is_named: bool
    rows: pd.DataFrame
    seconds: NDArray[np.float64]
    video_s: float
    parts: list[slice]

    def within(self, onset_s: float, offset_s: float) -> NDArray[np.float64]:
        """How long each frame that begins in a window is shown in it; NaN for the other frames."""
        times = self.rows["time_s"].to_numpy(dtype=float)
        inside = (times >= onset_s) & (times < offset_s)
        return np.where(inside, np.minimum(self.seconds, offset_s - times), np.nan)


def name_faces(table: pd.DataFrame, names: pd.DataFrame | str | Path) -> tuple[pd.DataFrame, set[tuple[str, str]]]:
    """The rows with people's names in place of the numbers of their faces, and every (source, name) that was given.

    Args:
        table: with `source, frame, face`.
        names: a table or CSV file with `source, face, name`: equal names are one person, an empty one leaves the face
            out; faces that are not listed keep their number. A source may be given by its file name.

    Raises:
        InputError: when a column is missing, a face is listed twice or is not in the table, one person would be twice
            in one frame, or a name is the number of a face of that recording which keeps its number.
    """
    where, names = _read_csv(names, "the names")
    missing = [name for name in ("source", "face", "name") if name not in names]
    if missing:
        raise InputError(f"{where}: has no column `{missing[0]}`; add it.")
    known = set(zip(table["source"], table["face"].map(_as_face), strict=True))
    given: dict[tuple[str, str], str] = {}
    sources = Sources(list(map(str, table["source"].unique())))
    for row, written, face, name in names[["source", "face", "name"]].itertuples():
        source, face = _source(written, sources, f"{where}, row {row}"), _as_face(face)
        if (source, face) not in known:
            raise InputError(
                f"{where}, row {row}: there is no face {face} in `{source}`; the report shows who there is."
            )
        if (source, face) in given:
            raise InputError(f"{where}, row {row}: face {face} of `{source}` is listed twice; remove one.")
        given[source, face] = "" if pd.isna(name) else str(name).strip()
    listed = {(source, name) for (source, _), name in given.items() if name}
    for source, name in sorted(listed & (known - given.keys())):
        raise InputError(
            f"{where}: a face of `{source}` is named {name}, and face {name} of it is not listed; list that one, too, "
            "or change the name."
        )
    pairs = list(zip(table["source"], table["face"].map(_as_face), strict=True))
    people = [None if not face else given.get((source, face), face) for source, face in pairs]
    named = table.assign(face=pd.array(people, dtype="str"))
    # A face that is left out leaves its frame: the video is as long as before.
    named.loc[named["face"] == "", "face"] = None
    seen = named[named["face"].notna()]
    twice = seen[seen.duplicated(["source", "frame", "face"])]
    if len(twice):
        first = twice.iloc[0]
        raise InputError(
            f"{where}: `{first['face']}` is there twice in frame {first['frame']} of `{first['source']}`; "
            "two faces of one frame are two people."
        )
    return named, listed


def _as_face(value: object) -> str:
    """A face's number or name as text; empty where nobody is."""
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_tracks(rows: pd.DataFrame, listed: Collection[tuple[str, str]] = ()) -> Iterator[Track]:
    """Every face of every input, in order.

    Args:
        rows: from `read_aus` or `name_faces`.
        listed: every (source, name) that `name_faces` gave; a whole number that is not among them numbers a face, also
            where it is text.
    """
    for source, video in rows.groupby("source", sort=False):
        frames = video.drop_duplicates("frame").sort_values("frame")
        seconds = pd.Series(frame_seconds(frames["time_s"].to_numpy(dtype=float)), index=frames["frame"].to_numpy())
        for face, track in video[video["face"].notna()].groupby("face"):
            track = track.sort_values("frame")
            shown = np.asarray(seconds.loc[track["frame"].to_numpy()], dtype=np.float64)
            times = track["time_s"].to_numpy(dtype=float)
            # Where the face was not seen for a while, nothing is known of the time between.
            gaps = [0, *(np.flatnonzero(times[1:] > times[:-1] + shown[:-1] + 1e-6) + 1).tolist(), len(times)]
            parts = [slice(low, high) for low, high in pairwise(gaps)]
            yield Track(
                str(source),
                face if isinstance(face, str) else int(cast(float, face)),
                isinstance(face, str) and (not face.isdecimal() or (source, face) in listed),
                track,
                shown,
                float(seconds.sum()),
                parts,
            )


def read_trials(trials: pd.DataFrame | str | Path, sources: Sequence[str]) -> pd.DataFrame:
    """Checks the trials of a study.

    Args:
        trials: a table or CSV file. A source may be given by its file name.
        sources: of the table that they belong to.

    Returns:
        One row per trial, `source` as in the table.

    Raises:
        InputError: when a column is missing or holds what cannot be.
    """
    where, trials = _read_csv(trials, "the trials")
    missing = [name for name in TRIAL_COLUMNS if name not in trials]
    if "source" not in trials:
        if len(sources) > 1:
            missing.append("source")
        else:
            trials = trials.assign(source=sources[0])
    if sum(name in trials for name in BASELINE_COLUMNS) == 1:
        missing += [name for name in BASELINE_COLUMNS if name not in trials]
    if missing:
        raise InputError(f"{where}: has no column `{missing[0]}`; add it.")
    known = Sources(sources)
    meant = [_source(written, known, f"{where}, row {row}") for row, written in trials["source"].items()]
    trials = trials.assign(source=meant)
    for name in (*TRIAL_COLUMNS[1:], *BASELINE_COLUMNS):
        if name in trials:
            trials[name] = _seconds(trials[name], where)
    for onset, offset, needed in ((*TRIAL_COLUMNS[1:], True), (*BASELINE_COLUMNS, False)):
        if onset not in trials:
            continue
        first, last = trials[onset].to_numpy(dtype=float), trials[offset].to_numpy(dtype=float)
        lacking = (np.isnan(first) | np.isnan(last)) & (needed | (np.isnan(first) != np.isnan(last)))
        for bad, what in (
            (lacking, f"has no {onset} or no {offset}"),
            (last <= first, f"{offset} is not after {onset}"),
        ):
            if bad.any():
                raise InputError(f"{where}, row {trials.index.to_numpy()[bad.argmax()]}: {what}; correct it.")
    return trials


def _seconds(column: pd.Series[float], where: str) -> pd.Series[float]:
    numbers = column.set_axis(column.index - 2, axis="index")  # as `as_numbers` counts rows
    try:
        values = as_numbers(numbers, f"{where}: column `{column.name}`")
    except ValueError as error:
        raise InputError(f"{error}; write seconds.") from error
    if np.isinf(values).any():
        raise InputError(
            f"{where}, row {column.index.to_numpy()[np.isinf(values).argmax()]}: {column.name} is infinite; correct it."
        )
    return pd.Series(values, index=column.index)


def trials_outside(rows: pd.DataFrame, trials: pd.DataFrame) -> list[str]:
    """Sentences on trials, and the windows they are compared with, that lie outside what the table has of a recording.

    Args:
        rows: with `source, frame, time_s`.
        trials: from `read_trials`.
    """
    found = []
    for source, video in rows.groupby("source", sort=False):
        frames = video.drop_duplicates("frame").sort_values("frame")
        times = frames["time_s"].to_numpy(dtype=float)
        end_s = float(times[-1] + frame_seconds(times)[-1])
        own = trials[trials["source"] == source]
        for what, columns in (("trials", TRIAL_COLUMNS[1:]), ("baselines of trials", BASELINE_COLUMNS)):
            if all(name in own for name in columns):
                spans = list(own[list(columns)].dropna().astype(float).itertuples(index=False, name=None))
                sentence = outside_note(what, spans, end_s, begin=float(times[0]))
                found += [f"{source}: {sentence}."] if sentence else []
    return found


def _source(written: object, sources: Sources, where: str) -> str:
    found = sources.find(str(written), copies=False)
    if found is None:
        raise InputError(
            f"{where}: `{written}` means no input of the table, or several; write it as its column `source` does."
        )
    return found


def _read_csv(table: pd.DataFrame | str | Path, what: str) -> tuple[str, pd.DataFrame]:
    """What to call a table in a sentence, and the table by row number: a file's as spreadsheets count, else from 1."""
    if isinstance(table, pd.DataFrame):
        _check_names(table, what)
        return what, table.set_axis(range(1, len(table) + 1), axis="index")
    try:
        rows = read_csv_table(Path(table), {"name": "str"})
    except (ValueError, OSError) as error:
        raise InputError(f"{table}: cannot be read as a CSV file ({str(error).splitlines()[0]}).") from error
    _check_names(rows, str(table))
    return str(table), rows.set_axis(rows.index + 2, axis="index")


def _check_names(table: pd.DataFrame, where: str) -> None:
    """Refuses a column that differs by its capitals alone from one that is read: it would be passed over."""
    for name in map(str, table):
        meant = name.strip().lower()
        if meant in _READ and meant not in table:
            raise InputError(f"{where}: has a column `{name}`; call it `{meant}`.")
