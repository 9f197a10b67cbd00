"""What `summarize` reads: tables of `detect` in any format and of other tools, one, several or a folder, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from duchenne.data.cells import MOST_WHOLE, check_header
from duchenne.data.spreadsheets import as_numbers
from duchenne.errors import InputError, UsageError
from duchenne.faces.recordings.clock import LONGEST_GAP_S
from duchenne.tables.codings import check_times, our_name, read_numbers, unread_note
from duchenne.tables.episodes import find_measures, frame_seconds
from duchenne.tables.foreign_tables import as_ours

_LIKE_AU: Final = re.compile(r"((occ|int)_)?au[ _]?\d", re.IGNORECASE)
_LONG: Final = 20
"""A frame that is shown over 10 s and so many times as long as others is told: a camera's pause, or a wrong time."""
_OURS: Final = re.compile(r"AU\d\d_[psrc]")
_SUFFIXES: Final = (".csv", ".parquet", ".xlsx", ".tsv")


def read_aus(
    table: pd.DataFrame | str | Path | Sequence[str | Path],
    where: str,
    fps: float | None = None,
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """Reads tables of `detect` or of other tools, or checks one.

    Args:
        table: a path, paths, a folder, or the table.
        where: what to call it in a sentence.
        fps: frames per second, for tables without times.
        notes: sentences for the user are added to it.

    Returns:
        `source, frame, time_s, face` and the rest of `detect --format duchenne`.

    Raises:
        InputError: when one cannot be read, has no AUs, a frame stands in it twice, its times go back, or a source is
            in two of them.
    """
    notes = [] if notes is None else notes
    if isinstance(table, pd.DataFrame):
        return _checked(table.reset_index(drop=True), where, Path(where), fps, notes)
    paths = table_files(table)
    pieces = [_checked(_read_file(path), str(path), path, fps, notes) for path in paths]
    of: dict[str, Path] = {}
    for path, piece in zip(paths, pieces):
        for source in map(str, piece["source"].unique()):
            if of.setdefault(source, path) != path:
                raise InputError(f"{path}: holds `{source}`, which is in {of[source]} too; name one of them.")
    kinds = {"Int64" if pd.api.types.is_integer_dtype(piece["face"]) else "str" for piece in pieces}
    if len(kinds) > 1:  # numbers in one tool's table, names in another's
        pieces = [piece.assign(face=piece["face"].astype("str")) for piece in pieces]
    return pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)


def table_files(tables: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that are meant: those named, and those in folders, which `detect -o DIR/` calls NAME_aus.

    Raises:
        InputError: when one is not there, or a folder holds none.
        UsageError: when none is named.
    """
    found: list[Path] = []
    for path in [Path(tables)] if isinstance(tables, str | Path) else map(Path, tables):
        if path.is_dir():
            inside = sorted(
                one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES and one.name[0] not in ".~"
            )
            inside = [one for one in inside if one.stem.endswith("_aus")] or inside
            if not inside:
                raise InputError(
                    f"{path}: holds no table (NAME_aus.csv, .parquet); name a folder of `duchenne detect`."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path}: there is no such file; name a table that `duchenne detect` wrote.")
    if not found:
        raise UsageError("there is no table; name one that `duchenne detect` wrote.")
    return list(dict.fromkeys(found))


def study_name(files: Sequence[Path]) -> str:
    """Of one table its own name, of several that of the folder that they lie in."""
    if len(files) == 1:
        return files[0].stem.removesuffix("_aus")
    folders = {file.absolute().parent for file in files}
    return folders.pop().name if len(folders) == 1 else "all"


def _read_file(path: Path) -> pd.DataFrame:
    try:
        return read_numbers(path)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]}).") from error


def _checked(table: pd.DataFrame, where: str, path: Path, fps: float | None, notes: list[str]) -> pd.DataFrame:
    table = table.set_axis([our_name(str(name).strip()) for name in table], axis="columns")
    check_header(table.columns, where)
    missing = [name for name in ("source", "frame", "time_s", "face") if name not in table]
    measures = find_measures(list(table.columns))
    if missing and (measures or any(_LIKE_AU.match(str(name)) for name in table)):
        table, missing = as_ours(table, path, fps, notes), []
        measures = find_measures(list(table.columns))
    else:
        notes += unread_note(table, path, known=_OURS)
    if missing:
        raise InputError(f"{where}: has no column `{missing[0]}`; name a table of `duchenne detect --format duchenne`.")
    if not measures:
        raise InputError(f"{where}: has no column of an action unit (AU12_s, AU12_p ...); run `duchenne detect` again.")
    table = _typed(table.assign(source=_named_sources(table["source"], path)), where)
    twice = table.duplicated(["source", "frame", "face"])
    if twice.any():
        row = table[twice].iloc[0]
        who = "without a face" if pd.isna(row["face"]) else f"of face {row['face']}"
        line = int(table.index.to_numpy()[twice.argmax()]) + 2
        raise InputError(
            f"{where}, row {line}: frame {row['frame']} of `{row['source']}` occurs twice {who}; keep one row."
        )
    check_times(table, where)
    notes += _long_frames(table, path)
    return table.reset_index(drop=True)


def _long_frames(table: pd.DataFrame, path: Path) -> list[str]:
    """A sentence for every recording in which one frame weighs far more than others."""
    found = []
    for source, video in table.groupby("source", sort=False):
        frames = video.drop_duplicates("frame").sort_values("frame")
        times = frames["time_s"].to_numpy(dtype=float)
        shown = frame_seconds(times)
        longest = int(shown.argmax())
        if shown[longest] > max(LONGEST_GAP_S, _LONG * float(np.median(shown))):
            found.append(
                f"{path.name}: frame {frames['frame'].iloc[longest]} of `{source}` counts for {shown[longest]:g} s, to "
                f"the next at {times[longest] + shown[longest]:g} s; correct the times if nothing was paused there."
            )
    return found


def _named_sources(sources: pd.Series[str], path: Path) -> pd.Series[str]:
    """Pictures of a camera or of a program have no name; they are called after the table."""
    named = sources.astype("str").fillna("")
    return named.where(named.str.strip() != "", path.stem)


def _typed(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """With the types that `detect` gives; every number is one."""
    kinds: dict[str, str] = {name: "str" for name in ("flag", "quality") if name in table}
    table = table.astype(kinds)
    numbers = ["frame", "time_s", *(name for name in map(str, table) if _OURS.fullmatch(name))]
    numbers += [name for name in ("x", "y", "width", "yaw", "pitch") if name in table]
    if not isinstance(table["face"].dtype, pd.StringDtype) and table["face"].dtype != object:
        numbers.append("face")
    for name in numbers:
        try:
            values = as_numbers(cast("pd.Series[float]", table[name]), f"{where}, column {name}")
        except ValueError as error:
            raise InputError(f"{error}; correct it.") from error
        whole = name in ("frame", "face") or name.endswith("_c")
        bad = np.isinf(values) | (np.isnan(values) & (name in ("frame", "time_s")))
        bad |= whole & ~np.isnan(values) & ((np.trunc(values) != values) | (values < 0) | (values > MOST_WHOLE))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            line, cell = int(table.index.to_numpy()[row]) + 2, table[name].iloc[row]
            raise InputError(f"{where}, row {line}: {name} is {cell}, which it cannot be; correct it.")
        kept: pd.Series[Any] = pd.Series(values, index=table.index)
        table[name] = kept.astype("int64" if name == "frame" else "Int64") if whole else kept
    return table
