"""Tables of other tools, and ours in their formats, turned into what `detect --format duchenne` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.cells import MOST_WHOLE
from duchenne.data.spreadsheets import as_numbers
from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.preparing.codes.programs.notation import parse_time
from duchenne.tables.codings import coding_of
from duchenne.tables.episodes import SCALE_COLUMN

OPENFACE_POSE_SIGNS: Final = np.array([1.0, -1.0, 1.0])
"""From pitch, yaw and roll to `pose_Rx, pose_Ry, pose_Rz`: OpenFace's camera looks along z with y down, so that a turn
to the picture's right is negative."""
FEX_SAME: Final = {43: 45}
"""AUs of py-feat that the models call otherwise."""

_ENDINGS: Final = {"occurrence": "c", "intensity": "r", "probability": "p", "score": "s"}
_RATES: Final = (5, 10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120, 240)
_SURE: Final = 0.02
_SAME_NAMES: Final = {
    "quality": "quality", "flag": "flag", "Pitch": "pitch", "Yaw": "yaw", "Roll": "roll", "FaceRectX": "x",
    "FaceRectY": "y", "FaceRectWidth": "width", "FaceRectHeight": "height", SCALE_COLUMN: SCALE_COLUMN,
}  # fmt: skip


def as_ours(table: pd.DataFrame, path: Path, fps: float | None, notes: list[str]) -> pd.DataFrame:
    """The columns of `detect --format duchenne`, as far as a table of OpenFace, py-feat, LibreFace ... has them.

    Args:
        table: as read; its index counts rows.
        path: of it; its stem is the source where no column says.
        fps: frames per second, for tables without times.
        notes: sentences for the user are added to it.

    Returns:
        `source, frame, time_s, face`, `AUxx_r`, `AUxx_c`, `AUxx_p`, `AUxx_s` that hold something, and of pose, box,
        quality and the scale of raw scores what there is. A row without a value is one in which nobody was found.

    Raises:
        InputError: when it is no such table, or has no times and none can be told.
    """
    coding = coding_of(table, path)
    notes += coding.notes
    table = table.set_axis(table.columns.astype(str).str.strip(), axis="columns")
    keys = coding.keys
    stated = next((table[name] for name in ("source", "input", "filename") if name in table), None)
    ours = pd.DataFrame({"source": keys["source"] if stated is None else stated.fillna("").astype("str").to_numpy()})
    ours["source"] = ours["source"].where(ours["source"] != "", path.stem)
    times, frames = keys["time_s"], keys["frame"]
    for name, column in (("time", times), ("frame", frames)):
        lacking = ~np.isfinite(column.to_numpy(dtype=np.float64))
        if lacking.any() and column.notna().any():
            row = int(table.index.to_numpy()[lacking.argmax()]) + 2
            raise InputError(f"{path}, row {row}: has no {name}; correct it.")
    odd = frames.notna() & ~(frames.mod(1).eq(0) & frames.le(MOST_WHOLE))
    if odd.any():
        row = int(table.index.to_numpy()[odd.to_numpy().argmax()]) + 2
        raise InputError(f"{path}, row {row}: {frames[odd].iloc[0]} is no number of a frame; correct it.")
    if times.isna().any():
        times = _times(table, ours["source"], frames, path, fps, notes)
    if frames.isna().any():
        frames = times.groupby(ours["source"]).rank("dense") - 1
    ours["frame"], ours["time_s"] = frames.astype("int64").to_numpy(), times.to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(table["face"] if "face" in table else keys["face"], errors="coerce")
    named = "face" not in table and bool(numbers.isna().any())
    odd = numbers.notna() & ~(numbers.mod(1).eq(0) & numbers.between(0, MOST_WHOLE))
    if odd.any() and not named:
        row = int(table.index.to_numpy()[odd.to_numpy().argmax()]) + 2
        raise InputError(f"{path}, row {row}: {numbers[odd].iloc[0]} is no number of a face; correct it.")
    ours["face"] = keys["face"].to_numpy() if named else numbers.astype("Int64").array
    taken = set(coding.aus)
    for (au, kind), values in coding.values.items():
        number = FEX_SAME.get(au, au) if FEX_SAME.get(au, au) not in taken else au
        ours[f"{au_column(number)}_{_ENDINGS[kind]}"] = values
    seen = coding.seen
    if "face" in table:  # ours: a face without action units is one that could not be read
        seen |= ours["face"].notna().to_numpy(dtype=bool)
    ours["face"] = ours["face"].where(seen)
    for theirs, name in _SAME_NAMES.items():
        if theirs in table:
            ours[name] = table[theirs].to_numpy()
    if {"pose_Rx", "pose_Ry", "pose_Rz"} <= set(table):
        columns = [_numbers(table[name], f"{path}: column {name}") for name in ("pose_Rx", "pose_Ry", "pose_Rz")]
        pose = np.rad2deg(np.stack(columns, axis=1)) * OPENFACE_POSE_SIGNS
        ours[["pitch", "yaw", "roll"]] = np.where(seen[:, None], pose, np.nan)
    # Of a frame in which somebody was seen, rows of nobody say nothing.
    somebody = ours["face"].notna().groupby([ours["source"], ours["frame"]]).transform("any")
    first = ~ours.duplicated(["source", "frame"])
    return ours[ours["face"].notna() | (~somebody & first)].reset_index(drop=True)


def _numbers(column: pd.Series[float], where: str) -> NDArray[np.float64]:
    try:
        return as_numbers(column, where)
    except ValueError as error:
        raise InputError(f"{error}; correct it.") from error


def _times(
    table: pd.DataFrame, sources: pd.Series[str], frames: pd.Series[float], path: Path, fps: float | None,
    notes: list[str],
) -> pd.Series[float]:  # fmt: skip
    """Seconds of frames that have none: by the rate given, or by py-feat's `approx_time`, which has whole seconds."""
    if fps is not None:
        return frames / fps
    if frames.groupby(sources).nunique().max() == 1:
        return frames * 0.0  # single pictures
    if "approx_time" not in table:
        raise InputError(f"{path}: has no times; say how many frames a second there are (--fps).")
    seconds = table["approx_time"].map(lambda text: parse_time(str(text)), na_action="ignore").to_numpy(dtype=float)
    found = frames.copy()
    rates = set()
    for source, own in frames.groupby(sources):
        rate = _rate(np.asarray(own, dtype=np.float64), seconds[own.index])
        if rate is None:
            raise InputError(f"{path}: {source} is too short to derive its frames per second; give them with --fps.")
        found[own.index] = own / rate
        rates.add(rate)
    said = ", ".join(f"{rate:g}" for rate in sorted(rates))
    notes.append(
        f"{path}: has times in whole seconds only; its frame numbers mean {said} frames per second (or give --fps)."
    )
    return found


def _rate(frames: NDArray[np.float64], seconds: NDArray[np.float64]) -> float | None:
    """Frames per second by the first frame of every second; a usual rate where one is near."""
    first = pd.Series(frames, index=seconds).groupby(level=0).min().sort_index()
    if len(first) < 3:
        return None
    whole = first.iloc[1:]  # the first second may have begun before its first frame
    rate = float((whole.iloc[-1] - whole.iloc[0]) / (whole.index[-1] - whole.index[0]))
    near = min(_RATES, key=lambda usual: abs(usual - rate))
    return float(near) if abs(near - rate) <= _SURE * near else rate if rate > 0 else None
