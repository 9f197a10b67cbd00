"""Reading any table of action units per frame: our own, human codes, OpenFace's, py-feat's and alike.

A column is an action unit when its name is `AU12`, `au_12`, `AU12_c` ... with an optional kind:

    _c, occ_        present or not, 0 or 1
    _r, _i, _intensity, int_    intensity, 0 to 5
    _p              probability, 0 to 1
    _s              raw score
    none            from its values: all 0 or 1: occurrence; all within 0 to 1: probability; else intensity
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError

Kind = Literal["occurrence", "intensity", "probability", "score"]
Floats = NDArray[np.float64]
_NAME: Final = re.compile(r"\s*(?:(occ|int)_)?au[ _]?0*(\d{1,2})(?:_(c|r|i|p|s|intensity))?\s*", re.IGNORECASE)
_KINDS: Final[dict[str, Kind]] = {
    "c": "occurrence", "occ": "occurrence", "r": "intensity", "i": "intensity", "intensity": "intensity",
    "int": "intensity", "p": "probability", "s": "score",
}  # fmt: skip
_RANGES: Final[dict[Kind, tuple[float, float]]] = {
    "occurrence": (0, 1), "intensity": (0, 5), "probability": (0, 1), "score": (-np.inf, np.inf),
}  # fmt: skip


@dataclass(frozen=True)
class Coding:
    """One table, one row per face per frame.

    Attributes:
        name: of the file.
        keys: `source` (stem of the file it is about), `face` (number), `frame` (from 0; null where the table has
            none), `time_s` (null where it has none).
        values: (au, kind) -> one value per row, NaN where unknown.
    """

    name: str
    keys: pd.DataFrame
    values: Mapping[tuple[int, Kind], Floats]

    @property
    def aus(self) -> tuple[int, ...]:
        """The action units, ascending."""
        return tuple(sorted({au for au, _ in self.values}))

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
        InputError: when it cannot be read, has no action unit, neither frame nor time, values out of range, or a face
            twice in a frame.
    """
    path = Path(path)
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, skipinitialspace=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())}).") from error
    table.columns = table.columns.str.strip()
    values: dict[tuple[int, Kind], Floats] = {}
    for column in table:
        match = _NAME.fullmatch(str(column))
        if match:
            numbers = _numbers(table[column], f"{path}: column `{column}`")
            kind: Kind = _KINDS.get((match[3] or match[1] or "").lower()) or _guess(numbers)
            low, high = _RANGES[kind]
            wrong = np.flatnonzero((numbers < low) | (numbers > high) | ((numbers % 1 != 0) & (kind == "occurrence")))
            wrong = wrong[~np.isnan(numbers[wrong])]
            if len(wrong):
                raise InputError(
                    f"{path}: row {wrong[0] + 2}: `{column}` is {numbers[wrong[0]]:g}, which is no {kind}; "
                    "correct it or leave it empty."
                )
            if not np.isnan(numbers).all():  # tools write empty columns for what they do not measure
                values[int(match[2]), kind] = numbers
    if not values:
        raise InputError(f"{path}: has no column with values of an action unit (AU12, AU12_c, au_12 ...).")
    if "success" in table:  # OpenFace writes zeros where it found no face
        failed = _numbers(table["success"], f"{path}: column `success`") != 1
        values = {key: np.where(failed, np.nan, numbers) for key, numbers in values.items()}
    return Coding(path.name, _keys(table, path), values)


def _keys(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    openface = {"timestamp", "success"} <= set(table.columns)
    source = next((table[name] for name in ("source", "input", "filename") if name in table), None)
    frame = next((table[name] for name in ("frame", "Frame", "frame_idx") if name in table), None)
    time = next((table[name] for name in ("time_s", "timestamp") if name in table), None)
    if frame is None and time is None:
        raise InputError(f"{path}: has neither `frame` nor `time_s`, so its rows cannot be joined; add one of them.")
    face = next((table[name] for name in ("face", "face_id") if name in table), None)
    empty = pd.Series(np.nan, index=table.index)
    keys = pd.DataFrame(
        {
            "source": "" if source is None else [PurePath(str(name)).stem for name in source],
            "face": 0.0 if face is None else np.nan_to_num(_numbers(face, f"{path}: column `{face.name}`")),
            "frame": empty if frame is None else _numbers(frame, f"{path}: column `frame`") - (1 if openface else 0),
            "time_s": empty if time is None else _numbers(time, f"{path}: column `time_s`"),
        }
    )
    place = "frame" if frame is not None else "time_s"
    twice = keys.duplicated(["source", "face", place]).to_numpy()
    if twice.any():
        row = keys[twice].iloc[0]
        raise InputError(
            f"{path}: holds {place} {row[place]:g} of face {row['face']:g} in {row['source'] or 'its source'} "
            "more than once; keep one row each."
        )
    return keys


def _numbers(column: pd.Series[float], where: str) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    strange = np.isnan(numbers) & column.notna().to_numpy()
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise InputError(f"{where}, row {row + 2}: {column.iloc[row]!r} is no number; correct it or leave it empty.")
    return np.asarray(numbers, dtype=np.float64)


def _guess(numbers: Floats) -> Kind:
    known = numbers[~np.isnan(numbers)]
    if np.isin(known, (0, 1)).all():
        return "occurrence"
    return "probability" if known.min() >= 0 and known.max() <= 1 else "intensity"
