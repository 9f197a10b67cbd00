"""`duchenne summarize`: from a table of frames to what a study reports: per person, episode, combination and trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError, UsageError
from duchenne.facs import au_column
from duchenne.files import shown_name
from duchenne.tables.episodes import (
    SCALE_COLUMN,
    Measure,
    find_episodes,
    find_measures,
    is_present,
)
from duchenne.tables.made_with import made_with
from duchenne.tables.participants import write_participants
from duchenne.tables.people import study_people
from duchenne.tables.quality import QUALITY_COLUMNS, advice, face_quality
from duchenne.tables.study import (
    BASELINE_COLUMNS,
    Track,
    name_faces,
    read_tracks,
    read_trials,
    trials_outside,
)
from duchenne.tables.study_tables import read_aus, study_name, table_files
from duchenne.tables.writing import read_record

COMBINATIONS: Final = ("6+12", "1+4", "1+2+5", "12+14")
"""The combinations that are looked at unless others are asked for; the first is the Duchenne smile."""


class Summary(NamedTuple):
    """What `summarize` gives; all times in seconds, all means and shares weighted by how long a frame is shown.

    Attributes:
        faces: per source, face and AU: `measure` (the column), `frames` and `seconds` with a value, `mean`, `peak`,
            `peak_s` (when), `share` (of those seconds with the AU present), `episodes` (how many).
        episodes: per presence: `onset_s`, `apex_s`, `offset_s` (first frame without it), `duration_s`, `mean`, `peak`.
        combinations: per source, face and combination: `seconds` with values of all its AUs, `share` of those with all
            present; null where the table lacks one of them.
        quality: per source and face, how well it could be seen, as shares of time: see `quality.face_quality`. A
            source in which nobody was found is one row without a face.
        trials: per trial, face and AU: `mean`, `peak`, `share`, `baseline_mean` and `change` = mean - baseline mean,
            over the frames that begin in it, for as long as they are shown in it. A trial of a source in which nobody
            was found has rows of nulls. None where no trials were given.
        notes: what a user should know, sentences: how the tables were read, trials outside the recording.
        made_with: sentences on the model and the settings that the tables were made with, as far as records say.
    """

    faces: pd.DataFrame
    episodes: pd.DataFrame
    combinations: pd.DataFrame
    quality: pd.DataFrame
    trials: pd.DataFrame | None
    notes: tuple[str, ...] = ()
    made_with: tuple[str, ...] = ()


def summarize(
    table: pd.DataFrame | str | Path | Sequence[str | Path],
    *,
    trials: pd.DataFrame | str | Path | None = None,
    names: pd.DataFrame | str | Path | None = None,
    threshold: float | None = None,
    combinations: str | Sequence[str] = COMBINATIONS,
    fps: float | None = None,
    report: str | Path | None = None,
) -> Summary:
    """Summarises a table of action units per person, episode, combination and trial.

    Args:
        table: what `detect` gave or wrote in any format: a table, its path, several, or the folder of `-o DIR/`;
            tables of OpenFace, py-feat and other tools too, see `duchenne.tables.codings`.
        trials: a table or CSV file with `trial, onset_s, offset_s`; `source` where the table has several; and
            `baseline_onset_s, baseline_offset_s` for the window that the trial is compared with.
        names: a table or CSV file with `source, face, name`: who is who. Equal names are one person, an empty one
            leaves the face out; the column `face` then holds names.
        threshold: from where a raw score counts as present; None for 2 where it counts standard deviations over neutral
            faces (the model `duchenne`), else 0.3. Probabilities: 0.5; intensities: 2.
        combinations: AUs joined by `+`; one or several.
        fps: frames per second, for tables that have no times.
        report: `FILE.html`, a page of every person in every trial to write.

    Returns:
        Five tables, see `Summary`.

    Raises:
        UsageError: when a combination cannot be read or the threshold is not above 0.
        InputError: when a column is missing, or a trial or a named face is not in the table; or when the page cannot be
            written, or its scores are of different scales.
    """
    if threshold is not None and not threshold > 0:
        raise UsageError(f"threshold is {threshold}; it must be above 0.")
    if fps is not None and not 0 < fps < math.inf:
        raise UsageError(f"fps is {fps:g}; it must be above 0.")
    asked = [combinations] if isinstance(combinations, str) else combinations
    wanted = {text: _aus(text) for text in asked}
    notes: list[str] = []
    files = [] if isinstance(table, pd.DataFrame) else table_files(table)
    made = made_with({shown_name(path.name): read_record(path) for path in files})
    rows = read_aus(table, "the table", fps, notes)
    numbers: dict[tuple[str, int | str], int | str] = {}
    listed: set[tuple[str, str]] = set()
    if names is not None:
        unnamed = rows
        rows, listed = name_faces(rows, names)
        numbers = dict(zip(zip(rows["source"], rows["face"]), unnamed["face"]))
    measures_of = _measures_of(rows, threshold)
    notes += [] if threshold is None else _unused(threshold, rows, measures_of)
    scales = _scales(rows, measures_of)
    if len(scales) > 1:
        said = " and ".join(f"{scale} ({own[0]})" for scale, own in scales.items())
        if report is not None:
            raise InputError(f"{report}: scores of different scales have no mean: {said}; summarise them apart.")
        notes.append(f"scores (AUxx_s) are of different scales and cannot be compared: {said}.")
    tracks = list(read_tracks(rows, listed))
    sources = list(map(str, rows["source"].unique()))
    nobody = [source for source in sources if source not in {track.source for track in tracks}]
    per_face, episodes, together, seen = [], [], [], []
    for track in tracks:
        measures = measures_of[track.source]
        seen.append(
            {"source": track.source, "face": track.face, **face_quality(track.rows, track.seconds, track.video_s)}
        )
        present = {measure.au: _present(track, measure) for measure in measures}
        for measure in measures:
            found = _episodes_of(track, measure, present[measure.au])
            episodes += found
            per_face.append(_face_row(track, measure, present[measure.au], len(found)))
        together += [_combination_row(track, measures, present, text, aus) for text, aus in wanted.items()]
    seen += [{"source": source, "face": None, "frames": 0, "seen": 0.0} for source in nobody]
    windows = None if trials is None else read_trials(trials, sources)
    quality = _whole_faces(pd.DataFrame(seen, columns=[*_KEYS, *QUALITY_COLUMNS]))
    notes += [] if windows is None else trials_outside(rows, windows)
    if report is not None:
        people = study_people(tracks, measures_of, windows, numbers)
        title = study_name(files) if files else "the table"
        write_participants(
            Path(report), people, title=title, tables=files, rows=rows, said=[*made, *notes], advice=advice(quality)
        )
    return Summary(
        pd.DataFrame(per_face, columns=[*_KEYS, "au", *_FACE_COLUMNS]),
        pd.DataFrame(episodes, columns=[*_KEYS, "au", *_EPISODE_COLUMNS]),
        pd.DataFrame(together, columns=[*_KEYS, "combination", "seconds", "share"]),
        quality,
        None if windows is None else _trials(tracks, measures_of, windows),
        tuple(notes),
        tuple(made),
    )


_KEYS: Final = ("source", "face")
_FACE_COLUMNS: Final = ("measure", "frames", "seconds", "mean", "peak", "peak_s", "share", "episodes")
_EPISODE_COLUMNS: Final = ("onset_s", "apex_s", "offset_s", "duration_s", "mean", "peak")


def _aus(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part.strip().upper().removeprefix("AU")) for part in text.split("+"))
    except ValueError:
        raise UsageError(f"combination `{text}` cannot be read; write AUs joined by +, as 6+12.") from None


def _present(track: Track, measure: Measure) -> NDArray[np.bool_]:
    return np.concatenate([is_present(track.rows[part], measure) for part in track.parts])


def _mean(values: NDArray[np.floating], weights: NDArray[np.floating], chosen: NDArray[np.bool_]) -> float:
    """Weighted mean of the chosen values; NaN where none is, plain where no weight is above 0 (single pictures)."""
    if not chosen.any():
        return float("nan")
    weight = weights[chosen] if weights[chosen].sum() > 0 else np.ones(int(chosen.sum()))
    return float(np.average(values[chosen], weights=weight))


def _values(track: Track, measure: Measure) -> NDArray[np.float64]:
    return np.asarray(track.rows[measure.column].to_numpy(dtype=np.float64, na_value=np.nan))


def _face_row(track: Track, measure: Measure, present: NDArray[np.bool_], episodes: int) -> dict[str, Any]:
    values = _values(track, measure)
    known = np.isfinite(values)
    peak = int(np.nanargmax(values)) if known.any() else None
    return {
        "source": track.source,
        "face": track.face,
        "au": measure.au,
        "measure": measure.column,
        "frames": int(known.sum()),
        "seconds": round(float(track.seconds[known].sum()), 6),
        "mean": round(_mean(values, track.seconds, known), 6),
        "peak": np.nan if peak is None else float(values[peak]),
        "peak_s": np.nan if peak is None else float(track.rows["time_s"].iloc[peak]),
        "share": round(_mean(present.astype(float), track.seconds, known), 6),
        "episodes": episodes,
    }


def _episodes_of(track: Track, measure: Measure, present: NDArray[np.bool_]) -> list[dict[str, Any]]:
    values, times = _values(track, measure), track.rows["time_s"].to_numpy(dtype=float)
    found: list[dict[str, Any]] = []
    ends = times + track.seconds
    for part in track.parts:
        for episode in find_episodes(values[part], present[part]):
            start, apex, stop = (part.start + place for place in episode)
            inside = np.zeros(len(values), dtype=bool)
            inside[start:stop] = np.isfinite(values[start:stop])
            found.append(
                {
                    "source": track.source,
                    "face": track.face,
                    "au": measure.au,
                    "onset_s": float(times[start]),
                    "apex_s": float(times[apex]),
                    "offset_s": round(float(ends[stop - 1]), 6),
                    "duration_s": round(float(ends[stop - 1] - times[start]), 6),
                    "mean": round(_mean(values, track.seconds, inside), 6),
                    "peak": float(values[apex]),
                }
            )
    return found


def _combination_row(
    track: Track, measures: Sequence[Measure], present: dict[int, NDArray[np.bool_]], text: str, aus: tuple[int, ...]
) -> dict[str, Any]:
    by_au = {measure.au: measure for measure in measures}
    known = np.ones(len(track.rows), dtype=bool)
    for au in aus:
        known &= np.isfinite(_values(track, by_au[au])) if au in by_au else False
    both = np.logical_and.reduce([present[au] for au in aus if au in by_au]) if known.any() else known
    return {
        "source": track.source,
        "face": track.face,
        "combination": text,
        "seconds": round(float(track.seconds[known].sum()), 6),
        "share": round(_mean(both.astype(float), track.seconds, known), 6),
    }


def _measures_of(rows: pd.DataFrame, threshold: float | None) -> dict[str, list[Measure]]:
    """Source -> the measures that its rows hold: tables of several tools lie beside each other, each with its own."""
    every = find_measures(list(rows.columns), threshold)
    found = {}
    for source, own in rows.groupby("source", sort=False):
        filled = [str(name) for name in own if own[name].notna().any()]
        mine = {measure.au: measure for measure in find_measures(filled, threshold)}
        found[str(source)] = [mine.get(measure.au, measure) for measure in every]
    return found


_SCALES: Final = {"z": "standard deviations over neutral faces"}


def _scales(rows: pd.DataFrame, measures_of: Mapping[str, Sequence[Measure]]) -> dict[str, list[str]]:
    """What raw scores count -> the sources whose do."""
    found: dict[str, list[str]] = {}
    for source, own in rows.groupby("source", sort=False):
        scored = [one.column for one in measures_of[str(source)] if one.column.endswith("_s")]
        if any(own[column].notna().any() for column in scored if column in own):
            stated = own[SCALE_COLUMN].dropna().astype(str).unique().tolist() if SCALE_COLUMN in own else []
            scale = stated[0] if stated else "raw scores"
            found.setdefault(_SCALES.get(scale, scale), []).append(str(source))
    return found


def _unused(threshold: float, rows: pd.DataFrame, measures_of: Mapping[str, Sequence[Measure]]) -> list[str]:
    """A sentence on action units that a threshold for raw scores has nothing to do with."""
    filled = {str(name) for name in rows if rows[name].notna().any()}
    known = [one for measures in measures_of.values() for one in measures if one.column in filled]
    used = {au_column(one.au) for one in known if one.decision is None and one.column.endswith("_s")}
    others = sorted({au_column(one.au) for one in known} - used)
    return [
        f"--threshold {threshold:g} is for raw scores without decisions, so it changes nothing of {', '.join(others)}."
    ] if others else []  # fmt: skip


def _trials(
    tracks: Sequence[Track], measures_of: Mapping[str, Sequence[Measure]], trials: pd.DataFrame
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for window in trials.to_dict("records"):
        measures = measures_of[window["source"]]
        own = [track for track in tracks if track.source == window["source"]]
        if not own:
            empty = {"source": window["source"], "trial": window["trial"], "frames": 0}
            rows += [empty | {"au": measure.au, "measure": measure.column} for measure in measures]
        for track in own:
            for measure in measures:
                rows.append(_trial_row(track, measure, window))
    columns = [*_KEYS, "trial", "au", "measure", "frames", "mean", "peak", "share", "baseline_mean", "change"]
    return _whole_faces(pd.DataFrame(rows, columns=columns))


def _whole_faces(table: pd.DataFrame) -> pd.DataFrame:
    """The numbers of faces as whole numbers, also where rows without a face made them fractions."""
    return table.astype({"face": "Int64"}) if pd.api.types.is_float_dtype(table["face"]) else table


def _trial_row(track: Track, measure: Measure, window: dict[Any, Any]) -> dict[str, Any]:
    values, present = _values(track, measure), _present(track, measure)
    known = np.isfinite(values)
    seconds = track.within(window["onset_s"], window["offset_s"])
    during = known & np.isfinite(seconds)
    mean, baseline = _mean(values, seconds, during), float("nan")
    if BASELINE_COLUMNS[0] in window:
        rest_s = track.within(*(window[name] for name in BASELINE_COLUMNS))
        baseline = _mean(values, rest_s, known & np.isfinite(rest_s))
    return {
        "source": track.source,
        "face": track.face,
        "trial": window["trial"],
        "au": measure.au,
        "measure": measure.column,
        "frames": int(during.sum()),
        "mean": round(mean, 6),
        "peak": float(values[during].max()) if during.any() else np.nan,
        "share": round(_mean(present.astype(float), seconds, during), 6),
        "baseline_mean": round(baseline, 6),
        "change": round(mean - baseline, 6),
    }
