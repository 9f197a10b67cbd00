"""A table of `detect` as the page takes it: what there is as JSON, the numbers as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.detection.findings import why_empty
from duchenne.detection.results import whole_numbers
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.preparing.codes.names import Sources, stem_of
from duchenne.tables.episodes import SCALE_COLUMN, Measure, find_measures
from duchenne.tables.study_tables import read_aus
from duchenne.tables.writing import read_record

_BOX: Final = ("x", "y", "width", "height")
_NOT_DECIDED: Final = 255
_SETTINGS: Final = ("every", "start_s", "end_s", "smooth_s", "baseline")


@dataclass(frozen=True)
class Track:
    """The table of one recording.

    Attributes:
        rows: one per face per frame, columns of `detect --format duchenne`.
        frames: (N,) numbers of the frames, ascending.
        times_s: (N,) their times.
        measures: of the columns with any value.
        record: what `detect` wrote beside the table; None where there is none.
    """

    rows: pd.DataFrame
    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    measures: tuple[Measure, ...]
    record: dict[str, Any] | None

    @property
    def faces(self) -> list[int]:
        """The numbers of the faces, ascending."""
        return sorted(int(face) for face in self.rows["face"].dropna().unique())

    @property
    def main_face(self) -> int | None:
        """The face that is seen largest and longest, as `prepare` takes it; None where nobody is seen.

        Of tables without boxes the one in most frames.
        """
        seen = self.rows.dropna(subset="face").groupby("face")["width"].agg(["sum", "size"])
        return max(self.faces, key=lambda face: (*seen.loc[face], -face), default=None)

    def of_face(self, face: int) -> pd.DataFrame:
        """(N) rows of one face, empty where it is not seen."""
        own = self.rows[self.rows["face"] == face].drop_duplicates("frame")
        return own.set_index("frame").reindex(self.frames)


def read_track(path: Path, source: str, sources: Sequence[str], *, alone: bool) -> Track:
    """Reads the table of one recording, in any format that `summarize` reads.

    Args:
        path: of the table.
        source: of the recording; a table of several is cut to its rows: those that are called so, see `Sources.fits`.
        sources: of all recordings.
        alone: the table is known to be of this recording, whatever it is called there.

    Raises:
        InputError: when it cannot be read, has no row of the recording, or lacks times, or it is not clear which rows
            are those of the recording.
    """
    rows = read_aus(path, str(path), None, [])
    names = rows["source"].map(str)
    if not (alone and names.nunique() == 1):
        index = Sources(sources)
        fits = Sources(list(names.unique())).fits(source, copies=False)
        if len(fits) > 1 or (fits and len(index.fits(fits[0], copies=False)) > 1):
            raise InputError(
                f"{path}: it is not clear which of its rows are those of {source}, because several recordings are "
                f"called {stem_of(source)}; make the table of this recording alone with `duchenne detect`."
            )
        rows = rows[names.isin([name for name in fits if index.find(name, copies=False) == source])]
    if rows.empty:
        raise InputError(f"{path}: has no row of {source}; make the table of this recording with `duchenne detect`.")
    if not pd.api.types.is_numeric_dtype(rows["face"]):  # other tools' tables have names; the page counts
        number = pd.factorize(rows["face"])[0]
        rows = rows.assign(face=whole_numbers(np.where(number < 0, np.nan, number)))
    for column in _BOX:
        if column not in rows:
            rows = rows.assign(**{column: np.nan})
    frames = rows.drop_duplicates("frame").sort_values("frame")
    times_s = frames["time_s"].to_numpy(dtype=np.float64)
    if np.isnan(times_s).any() or bool((np.diff(times_s) <= 0).any()):
        raise InputError(f"{path}: the times of {source} do not rise from frame to frame; make the table anew.")
    seen = tuple(measure for measure in find_measures(list(rows.columns)) if rows[measure.column].notna().any())
    return Track(rows, frames["frame"].to_numpy(dtype=np.int64), times_s, seen, read_record(path))


def about(track: Track) -> dict[str, Any]:
    """What the page must know of a table before its numbers: faces, action units, settings."""
    record = track.record or {}
    return {
        "frames": len(track.frames),
        "faces": [_about_face(track, face) for face in track.faces],
        "main": track.main_face,
        "aus": [_about_au(track, measure) for measure in track.measures],
        "model": record.get("model"),
        "settings": {name: record[name] for name in _SETTINGS if name in record},
        "missing": _missing(track),
    }


def _missing(track: Track) -> dict[int, str]:
    """Action unit -> why it has no values, though some face was read."""
    record, known = track.record or {}, {measure.au for measure in track.measures}
    missing = [au for au in ACTION_UNITS if known and au not in known]
    if not isinstance(record.get("about_model"), dict):
        return dict.fromkeys(missing, "not in the table")
    columns = [str(name) for name in record.get("columns", [])]
    return {au: why_empty(au, columns, record["about_model"]) for au in missing}


def _about_face(track: Track, face: int) -> dict[str, Any]:
    rows = track.of_face(face)
    there = np.flatnonzero(rows["face"].notna().to_numpy())
    seen = there[rows["width"].notna().to_numpy()[there]]  # tables of other programs may have no boxes
    read = rows["flag"].isna().to_numpy() if "flag" in rows else np.ones(len(rows), bool)
    good = seen[read[seen]] if read[seen].any() else seen
    width = rows["width"].to_numpy(dtype=np.float64)
    best = int(good[np.argmax(width[good])]) if len(good) else int(there[0])
    flags = rows["flag"].dropna().value_counts().to_dict() if "flag" in rows else {}
    return {"number": face, "frames": len(there), "best": best, "flags": {str(k): int(v) for k, v in flags.items()}}


def _about_au(track: Track, measure: Measure) -> dict[str, Any]:
    values = track.rows[measure.column].to_numpy(dtype=np.float64, na_value=np.nan)
    kind = measure.column.rpartition("_")[2]
    full = 5.0 if kind == "r" or (kind == "s" and SCALE_COLUMN in track.rows) else 1.0
    high, low = float(np.nanmax(values)), float(np.nanmin(values))
    return {
        "au": measure.au,
        "column": measure.column,
        "kind": kind,
        "decided": measure.decision is not None,
        "full": max(full, high) if kind == "s" else full,
        "low": min(0.0, low),
    }


def arrays(track: Track, face: int) -> tuple[list[dict[str, Any]], bytes]:
    """The numbers of one face.

    Returns:
        What lies where (name, type, offset in bytes, length), and the bytes, little-endian: `time` (float64, seconds),
        `frame` (int32), `boxN` of every face N (float32, 4 per frame, NaN where it is not seen), `AUxx`
        (float32, NaN), and
        `AUxx_c` (uint8; 255 where nothing was decided).
    """
    rows = track.of_face(face)
    parts: list[tuple[str, NDArray[Any]]] = [
        ("time", track.times_s.astype("<f8")),
        ("frame", track.frames.astype("<i4")),
        *((f"box{one}", track.of_face(one)[list(_BOX)].to_numpy("<f4", na_value=np.nan)) for one in track.faces),
    ]
    for measure in track.measures:
        values = rows[measure.column].to_numpy(dtype="<f4", na_value=np.nan)
        parts.append((au_column(measure.au), values))
        if measure.decision is not None:
            decided = rows[measure.decision].to_numpy(dtype=np.float64, na_value=np.nan)
            whole = np.where(np.isnan(decided), _NOT_DECIDED, np.nan_to_num(decided)).astype("u1")
            parts.append((f"{au_column(measure.au)}_c", whole))
    described, body = [], bytearray()
    for name, numbers in parts:
        body += b"\0" * (-len(body) % 8)
        described.append(
            {"name": name, "type": numbers.dtype.str.lstrip("<|"), "at": len(body), "length": numbers.size}
        )
        body += numbers.tobytes()
    return described, bytes(body)
