"""Reading any table of action units per frame: our own, human codes, those of other tools; columns by their names.

A column is an action unit when its name is `AU12`, `au_12`, `AU12_c` ... with an optional kind:

    _c                          present or not, 0 or 1 (OpenFace, ours)
    _r, _i, _intensity, Int_    intensity, 0 to 5 (OpenFace, LibreFace, PyAFAR)
    _p                          probability, 0 to 1
    _s                          raw score
    Occ_                        all 0 or 1: occurrence; else probability (PyAFAR writes likelihoods)
    none                        what the column `au_measure` says (`detect --format fex`), else from its values: all 0
                                or 1: occurrence (LibreFace); within 0 to 1: probability (py-feat); else intensity
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.cells import LETTERS, check_header
from duchenne.data.spreadsheets import as_numbers, read_csv_table
from duchenne.data.stored.parquet import BROKEN, read_parquet
from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.preparing.codes.names import labels_of
from duchenne.tables.writing import FOREIGN

_UNKNOWN: Final = (9.0, 99.0, 999.0, -1.0, -9.0, -99.0, -999.0)
"""What tables of codes hold where an action unit was not coded; out of range of every kind but the raw score."""
Kind = Literal["occurrence", "intensity", "probability", "score"]
Floats = NDArray[np.float64]
_NAME: Final = re.compile(r"\s*(?:(occ|int)_)?au[ _]?0*(\d{1,2})(?:_(c|r|i|p|s|intensity))?\s*", re.IGNORECASE)
_LIKE: Final = re.compile(r"\s*(?:[a-z]+_)?au[ _]?\d(?!.*_(?:left|right)\s*$)", re.IGNORECASE)
"""A column of an action unit, but for the sides, which `detect` writes beside the whole."""
_KINDS: Final[dict[str, Kind]] = {
    "c": "occurrence", "r": "intensity", "i": "intensity", "intensity": "intensity",
    "int": "intensity", "p": "probability", "s": "score",
}  # fmt: skip
_FACES: Final = ("face", "face_id", "Person_ID", "Identity")
_RANGES: Final[dict[Kind, tuple[float, float]]] = {
    "occurrence": (0, 1), "intensity": (0, 5), "probability": (0, 1), "score": (-np.inf, np.inf),
}  # fmt: skip


@dataclass(frozen=True)
class Coding:
    """One table, one row per face per frame.

    Attributes:
        name: of the file.
        keys: `source` (path of the file it is about, without ending), `face` (number or name, as text), `frame` (from
            0; null where the table has none), `time_s` (null where it has none), `size` (width of the face, 1 where the
            table has none).
        values: (au, kind) -> one value per row, NaN where unknown.
        notes: a sentence on columns that name an action unit and are not read.
        names_faces: whether the table has a column for faces; else all are `0`.
    """

    name: str
    keys: pd.DataFrame
    values: Mapping[tuple[int, Kind], Floats]
    notes: tuple[str, ...] = ()
    names_faces: bool = True

    @property
    def aus(self) -> tuple[int, ...]:
        """The action units, ascending."""
        return tuple(sorted({au for au, _ in self.values}))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) whether a row has any value; rows without are of a face that was not read, or of nobody."""
        out = np.zeros(len(self.keys), dtype=bool)
        for values in self.values.values():
            out |= ~np.isnan(values)
        return out

    def present(self, au: int, *, threshold: float, intensity_from: float) -> Floats | None:
        """Occurrence as 0, 1 or NaN: as coded, else by the probability or intensity; None for raw scores alone."""
        starts: dict[Kind, float] = {"occurrence": 0.5, "probability": threshold, "intensity": intensity_from}
        for kind, start in starts.items():
            values = self.values.get((au, kind))
            if values is not None:
                return np.where(np.isnan(values), np.nan, (values >= start).astype(np.float64))
        return None

    def strength(self, au: int) -> tuple[Kind, Floats]:
        """The finest measure of an action unit and what it is."""
        kinds: tuple[Kind, ...] = ("intensity", "probability", "score", "occurrence")
        return next((kind, self.values[au, kind]) for kind in kinds if (au, kind) in self.values)


def read_coding(path: str | Path) -> Coding:
    """Reads a CSV or Parquet table of action units per frame.

    Raises:
        InputError: when it cannot be read, has no action unit, neither frame nor time, values out of range, times that
            go back, or a face twice in a frame.
    """
    path = Path(path)
    return coding_of(read_numbers(path), path)


def read_numbers(path: Path) -> pd.DataFrame:
    """A CSV, .xlsx or Parquet table; its index counts rows as spreadsheets do, from 2 on.

    Raises:
        InputError: when it cannot be read.
    """
    if path.suffix.lower() in FOREIGN.keys() - {".xlsx"} and path.exists():
        raise InputError(
            f"{path}: a file of {FOREIGN[path.suffix.lower()]} is not read; save it as CSV there "
            "(docs/other_programs.md)."
        )
    try:
        return read_parquet(path).to_pandas() if path.suffix.lower() == ".parquet" else read_csv_table(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    except BROKEN as error:
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())}).") from error


def coding_of(table: pd.DataFrame, path: Path) -> Coding:
    """What a table holds of action units.

    Args:
        table: as read, one row per face per frame.
        path: what to call it; its stem is the source where the table has no column for that.

    Raises:
        InputError: see `read_coding`.
    """
    table = table.set_axis(table.columns.astype(str).str.strip(), axis="columns")
    check_header(table.columns, path)
    measured = _measured(table)
    values: dict[tuple[int, Kind], Floats] = {}
    for column in table:
        match = _NAME.fullmatch(str(column))
        if match:
            stated = _KINDS.get((match[3] or match[1] or "").lower())
            cells, graded = _graded(table[column])
            numbers = _numbers(cells, f"{path}: column `{column}`")
            said = None if match[1] else measured.get(int(match[2]))
            said = "intensity" if said is None and graded else said
            if "score" not in (stated, said):
                numbers = np.where(np.isin(numbers, _UNKNOWN), np.nan, numbers)
            kind = stated or said or _guess(numbers, likelihood=bool(match[1]))
            low, high = _RANGES[kind]
            wrong = np.flatnonzero((numbers < low) | (numbers > high) | ((numbers % 1 != 0) & (kind == "occurrence")))
            wrong = wrong[~np.isnan(numbers[wrong])]
            if len(wrong):
                line, value = table.index[wrong[0]] + 2, numbers[wrong[0]]
                raise InputError(
                    f"{path}: row {line}: `{column}` is {value:g}, which is no {kind}; correct it or leave it empty."
                )
            if not np.isnan(numbers).all():  # tools write empty columns for what they do not measure
                values[int(match[2]), kind] = numbers
    if not values:
        raise InputError(f"{path}: has no column with values of an action unit (AU12, AU12_c, au_12 ...).")
    if "success" in table:  # OpenFace writes zeros where it found no face
        failed = _numbers(table["success"], f"{path}: column `success`") != 1
        values = {key: np.where(failed, np.nan, numbers) for key, numbers in values.items()}
    named = any(name in table for name in _FACES)
    return Coding(path.name, _keys(table, path), values, tuple(unread_note(table, path)), named)


def unread_note(table: pd.DataFrame, path: Path, known: re.Pattern[str] = _NAME) -> list[str]:
    """A sentence on the columns that name an action unit and are not `known`, so that nobody reads them."""
    strange = [str(name) for name in table if _LIKE.match(str(name)) and not known.fullmatch(str(name))]
    if not strange:
        return []
    return [f"{path.name}: not read: {', '.join(strange)} (write AU12, AU12_c, AU12_r, AU12_p or AU12_s)."]


def our_name(column: str) -> str:
    """`AU12_s` for `au12_S`, which another program may make of it; other names as they are."""
    match = _NAME.fullmatch(column)
    return f"{au_column(int(match[2]))}_{match[3].lower()}" if match and not match[1] and match[3] else column


def check_times(table: pd.DataFrame, where: str) -> None:
    """Refuses times that go back while frames go on: what lies between frames would count as negative.

    Args:
        table: with `source, frame, time_s`; its index counts rows as `read_csv_table` does.
        where: what to call it.

    Raises:
        InputError: with the first row of which that is so.
    """
    columns = ["source", "frame", "time_s"]
    rows = table[columns].dropna().sort_values(columns, kind="stable")
    before = rows.shift()
    back = (rows["source"] == before["source"]) & (rows["time_s"] < before["time_s"])
    if back.any():
        row, last = rows[back].iloc[0], before[back].iloc[0]
        raise InputError(
            f"{where}, row {rows.index[back][0] + 2}: frame {row['frame']:g} is at {row['time_s']:g} s, before frame "
            f"{last['frame']:g} at {last['time_s']:g} s; correct the times."
        )


def _measured(table: pd.DataFrame) -> dict[int, Kind]:
    """What the columns without a kind hold, where the table says so: `score`, or `AU01=score AU12=probability`."""
    said = table["au_measure"].dropna().unique().tolist() if "au_measure" in table else []
    if len(said) == 1 and said[0] in _RANGES:
        return dict.fromkeys(range(100), said[0])
    pairs = [part.partition("=") for text in said for part in str(text).split()]
    return {int(name[2:]): next(k for k in _RANGES if k == kind) for name, _, kind in pairs if kind in _RANGES}


def _keys(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    openface = {"timestamp", "success"} <= set(table.columns)

    def first(*names: str) -> pd.Series[Any] | None:
        return next((table[name] for name in names if name in table), None)

    def numbers(column: pd.Series[Any] | None) -> Floats:
        return np.full(len(table), np.nan) if column is None else _numbers(column, f"{path}: column `{column.name}`")

    source, face = first("source", "input", "filename"), first(*_FACES)
    labels = {} if source is None else labels_of(map(str, source.unique()))
    sources = [""] * len(table) if source is None else [labels[str(name)] for name in source]
    frame, time = first("frame", "Frame", "frame_idx"), first("time_s", "timestamp", "frame_time_in_ms")
    frames = numbers(frame) - (1 if openface else 0)
    if frame is None and time is None and "image_path" in table:  # lists of pictures: FOLDER/00012.png
        pictures = [PurePath(str(name)) for name in table["image_path"]]
        sources, frames = ["_".join(p.parent.parts) for p in pictures], np.array([_frame_of(p) for p in pictures])
    elif frame is None and time is None:
        raise InputError(f"{path}: has neither `frame` nor `time_s`, so its rows cannot be joined; add one of them.")
    keys = pd.DataFrame(
        {"source": sources, "face": "0" if face is None else [_face_name(value) for value in face], "frame": frames}
    )
    keys["time_s"] = _seconds(numbers(time), frames, keys, "" if time is None else str(time.name))
    check_times(keys.set_axis(table.index), str(path))
    width = pd.to_numeric(table["width"], errors="coerce").to_numpy(np.float64) if "width" in table else np.zeros(1)
    keys["size"] = np.nan_to_num(width) if (width > 0).any() else 1.0
    place = "time_s" if np.isnan(frames).all() else "frame"
    if face is not None and face.name == "Identity" and not keys.duplicated(["source", place]).any():
        keys["face"] = "0"  # guessed anew in every frame, and nobody else is there
    twice = keys.duplicated(["source", "face", place]).to_numpy()
    if twice.any():
        row = keys[twice].iloc[0]
        raise InputError(
            f"{path}: holds {place} {row[place]:g} of face {row['face']} in {row['source'] or 'its source'} "
            "more than once; keep one row each."
        )
    return keys


def _graded(column: pd.Series[Any]) -> tuple[pd.Series[Any], bool]:
    """FACS's letters as numbers, and whether there are any: they are intensities, also where A is the only one."""
    if pd.api.types.is_numeric_dtype(column):
        return column, False
    letters = column.map(lambda cell: LETTERS.get(str(cell).strip().upper()), na_action="ignore")
    return column.where(letters.isna(), letters), bool(letters.notna().any())


def _numbers(column: pd.Series[Any], where: str) -> Floats:
    try:
        return as_numbers(column, where)
    except ValueError as error:
        raise InputError(f"{error}; correct it or leave it empty.") from error


def _seconds(times: Floats, frames: Floats, where: pd.DataFrame, name: str) -> Floats:
    """Times in seconds. LibreFace's column `frame_time_in_ms` holds milliseconds or seconds, by its version.

    A frame lasts at least a millisecond and at most a second, so the median step from frame to frame says which.
    """
    if name != "frame_time_in_ms":
        return times
    order = where.assign(time=times, frame=frames).sort_values(["source", "face", "time"])
    steps = order.groupby(["source", "face"])[["time", "frame"]].diff()
    passed = steps["frame"].fillna(1.0).clip(lower=1.0)
    step = float((steps["time"] / passed)[steps["time"] > 0].median())
    return times if step < 1 else times / 1000


def _face_name(value: Any) -> str:
    """A face's number without decimals, or its name; 0 where nobody is."""
    if pd.isna(value):
        return "0"
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value).strip()


def _frame_of(picture: PurePath) -> float:
    digits = re.search(r"(\d+)$", picture.stem)
    return float(digits[1]) if digits else float("nan")


def _guess(numbers: Floats, *, likelihood: bool) -> Kind:
    known = numbers[~np.isnan(numbers)]
    if np.isin(known, (0, 1)).all():
        return "occurrence"
    return "probability" if likelihood or bool(((known >= 0) & (known <= 1)).all()) else "intensity"
