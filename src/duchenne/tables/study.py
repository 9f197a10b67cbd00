"""What `summarize` reads: the table of a study, who is who in it, and its trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.spreadsheets import read_csv_table
from duchenne.errors import InputError
from duchenne.preparing.codes.video_codes import Sources
from duchenne.tables.episodes import find_measures, frame_seconds
from duchenne.tables.writing import read_table

TRIAL_COLUMNS: Final = ("trial", "onset_s", "offset_s")
BASELINE_COLUMNS: Final = ("baseline_onset_s", "baseline_offset_s")


class Track(NamedTuple):
    """The rows of one face in time order, how long each and the video is shown, and the stretches without a gap."""

    source: str
    face: int | str
    rows: pd.DataFrame
    seconds: NDArray[np.float64]
    video_s: float
    parts: list[slice]


def read_aus(table: pd.DataFrame | str | Path, where: str) -> pd.DataFrame:
    """Reads a table of `detect`, or checks one.

    Args:
        table: a path, or the table.
        where: what to call it in a sentence.

    Raises:
        InputError: when it cannot be read or has no AUs.
    """
    if isinstance(table, str | Path):
        if not Path(table).is_file():
            raise InputError(f"{table}: there is no such file; name a table that `duchenne detect` wrote.")
        try:
            table = read_table(Path(table))
        except (ValueError, UnicodeDecodeError, OSError) as error:
            raise InputError(f"{table}: cannot be read as a table ({str(error).splitlines()[0]}).") from error
    missing = [name for name in ("source", "frame", "time_s", "face") if name not in table]
    if missing:
        raise InputError(f"{where}: has no column `{missing[0]}`; name a table of `duchenne detect --format duchenne`.")
    if not find_measures(list(table.columns)):
        raise InputError(f"{where}: has no column of an action unit (AU12_s, AU12_p ...); run `duchenne detect` again.")
    return table


def name_faces(table: pd.DataFrame, names: pd.DataFrame | str | Path) -> pd.DataFrame:
    """The rows with people's names in place of the numbers of their faces.

    Args:
        table: with `source, frame, face`.
        names: a table or CSV file with `source, face, name`: equal names are one person, an empty one leaves the face
            out; faces that are not listed keep their number. A source may be given by its file name.

    Raises:
        InputError: when a column is missing, a face is listed twice or is not in the table, or one person would be
            twice in one frame.
    """
    where, names = _read_csv(names, "the names")
    missing = [name for name in ("source", "face", "name") if name not in names]
    if missing:
        raise InputError(f"{where}: has no column `{missing[0]}`; add it.")
    known = set(zip(table["source"], table["face"], strict=True))
    given: dict[tuple[str, int], str] = {}
    sources = Sources(list(map(str, table["source"].unique())))
    for row, written, face, name in names[["source", "face", "name"]].itertuples():
        source = _source(written, sources, f"{where}, row {row}")
        if (source, face) not in known:
            raise InputError(
                f"{where}, row {row}: there is no face {face} in `{source}`; the report shows who there is."
            )
        if (source, face) in given:
            raise InputError(f"{where}, row {row}: face {face} of `{source}` is listed twice; remove one.")
        given[source, face] = "" if pd.isna(name) else str(name)
    pairs = list(zip(table["source"], table["face"], strict=True))
    people = [None if pd.isna(face) else given.get((source, face), str(face)) for source, face in pairs]
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
    return named


def read_tracks(rows: pd.DataFrame) -> Iterator[Track]:
    """Every face of every input, in order."""
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
        if name in trials and not pd.api.types.is_numeric_dtype(trials[name]):
            raise InputError(f"{where}: column `{name}` holds something that is no number; write seconds.")
    backwards = np.flatnonzero(trials["offset_s"].to_numpy() <= trials["onset_s"].to_numpy())
    if len(backwards):
        raise InputError(f"{where}, row {trials.index[backwards[0]]}: offset_s is not after onset_s; correct it.")
    return trials


def _source(written: object, sources: Sources, where: str) -> str:
    found = sources.find(str(written))
    if found is None:
        raise InputError(
            f"{where}: `{written}` means no input of the table, or several; write it as its column `source` does."
        )
    return found


def _read_csv(table: pd.DataFrame | str | Path, what: str) -> tuple[str, pd.DataFrame]:
    """What to call a table in a sentence, and the table by row number: a file's as spreadsheets count, else from 1."""
    if isinstance(table, pd.DataFrame):
        return what, table.set_axis(range(1, len(table) + 1), axis="index")
    try:
        rows = read_csv_table(Path(table), {"name": "str"})
    except (ValueError, OSError) as error:
        raise InputError(f"{table}: cannot be read as a CSV file ({str(error).splitlines()[0]}).") from error
    return str(table), rows.set_axis(rows.index + 2, axis="index")
