"""Files of events with onset and offset, told apart by what is in them: our own table, and those of other programs.

What each program writes, and how to export it, is described in `docs/prepare.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from duchenne.data.cells import Row, check_header, read_sheets, read_text
from duchenne.errors import InputError
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.plain import as_written
from duchenne.preparing.codes.names import stem_of
from duchenne.preparing.codes.programs import boris, datavyu, eaf, elan, observer
from duchenne.preparing.codes.programs.events import (
    NO_MODIFIER,
    Event,
    Stretch,
    as_face,
    in_order,
    of_aus,
    subject_of,
    time_of,
)
from duchenne.preparing.codes.programs.notation import Said, is_unknown, names_au, parse_aus, parse_intensity

SUFFIXES: Final = (".csv", ".tsv", ".txt", ".xlsx", ".eaf", ".opf", ".boris", ".gz")
"""Of files of codes; `.gz` is BORIS's (`.boris.gz`)."""
_OWN: Final = (
    "source", "path", "au", "onset_s", "offset_s", "intensity", "face", "subject", "side", "coder", "comment",
    "certainty",
)  # fmt: skip
_PREAMBLE: Final = 60
Lines = Sequence[tuple[int, list[str]]]


@dataclass(frozen=True)
class _Layout:
    """A table whose header is known.

    Attributes:
        program: whose it is, in words.
        marks: columns that say so.
        needed: columns without which it cannot be read; of several in one entry any.
        read: rows (columns in lower case) and what stands above the header -> events.
        least: how many of the marks.
    """

    program: str
    marks: frozenset[str]
    needed: tuple[tuple[str, ...], ...]
    read: Callable[[list[Row], Mapping[str, str]], Iterator[Event]]
    least: int = 1


def is_events(path: Path) -> bool:
    """Whether a file of codes holds events; else it has rows per frame or time.

    Raises:
        InputError: when it cannot be read.
    """
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".xlsx"):
        return True
    header = read_sheets(path)[0][0][1]
    if elan.is_header(header) or datavyu.is_wide(header) or _layout({cell.lower() for cell in header}):
        return True
    places = {"frame", "time_s", "source", "path"} & set(header)
    return not places or not any(re.match(r"(occ_|int_)?au[ _.-]?\d", cell, re.IGNORECASE) for cell in header)


def holds_events(path: Path) -> bool:
    """Whether a file is one of those that `read_events` reads for sure, rather than any table.

    Raises:
        InputError: when it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".eaf", ".opf", ".boris", ".gz"):
        return True
    if suffix not in (".csv", ".tsv", ".txt", ".xlsx") or not path.is_file():
        return False
    if suffix != ".xlsx" and datavyu.is_spreadsheet(read_text(path)):
        return True
    lines = [cells for _, cells in read_sheets(path)[0][:_PREAMBLE]]
    if any(_layout({cell.lower() for cell in cells}) or elan.is_header(cells) for cells in lines):
        return True
    return datavyu.is_wide(lines[0]) or elan.is_plain(lines[0])


def read_events(path: Path, notes: list[str] | None = None) -> list[Event]:
    """Reads events from any of the known files.

    Args:
        path: of the file.
        notes: sentences for the user are added to it.

    Raises:
        InputError: when the file is none of these, lacks a column, or a time, an AU or an intensity cannot be
            understood.
    """
    events = [as_face(event) for event in _read(path, [] if notes is None else notes)]
    if all(event.coder or _is_namesake(event) for event in events):
        return [event if event.coder else replace(event, observation="") for event in events]
    return events


def _is_namesake(event: Event) -> bool:
    """Whether a session is called as the video that it is about, and so not by its coder."""
    is_video = PurePosixPath(event.source).suffix.lower() in VIDEO_SUFFIXES
    return is_video and stem_of(event.observation) == stem_of(event.source)


def _read(path: Path, notes: list[str]) -> list[Event]:
    suffix = path.suffix.lower()
    if suffix == ".eaf":
        return eaf.read_eaf(path, notes)
    if suffix == ".opf":
        return datavyu.read_opf(path, notes)
    if suffix == ".boris" or path.name.lower().endswith(".boris.gz"):
        return list(boris.read_project(path, notes))
    if suffix != ".xlsx":
        text = read_text(path)
        if datavyu.is_spreadsheet(text):
            return datavyu.read_spreadsheet(path, text, notes)
    return [event for lines in read_sheets(path) for event in _of_lines(path, lines, notes)]


def _of_lines(path: Path, lines: Lines, notes: list[str]) -> list[Event]:
    preamble: dict[str, str] = {}
    above: list[tuple[str, float | None]] = []
    for place, (_, header) in enumerate(lines[:_PREAMBLE]):
        names = {cell.lower() for cell in header}
        below = lines[place + 1 :]
        layout = _layout(names)
        if layout or elan.is_header(header) or datavyu.is_wide(header):
            if not below:
                raise InputError(f"{path}: has a header but no rows; add them.")
            check_header(header, path)
        if layout is not None:
            lacking = [any_of for any_of in layout.needed if not names & set(any_of)]
            if lacking:
                raise InputError(
                    f"{path}: is {layout.program} and has no column `{_as_written(lacking[0][0])}`; export it with all "
                    "its columns."
                )
            rows = [Row(path, number, _named(header, cells)) for number, cells in below]
            if layout.read is _own:
                notes += _unknown_columns(path, header)
            if layout.read is observer.read_events:
                notes += observer.rounded_note(path, names)
            return list(layout.read(rows, preamble))
        if elan.is_header(header):
            return elan.read_columns(path, header, below, elan.media_of_block(above), notes)
        if datavyu.is_wide(header):
            return datavyu.read_wide(path, header, below, notes)
        named = elan.media_of_line(header) if len(above) == place else None
        above += [named] if named else []
        preamble[header[0].lower().rstrip(":")] = next((cell for cell in header[1:] if cell), "")
    plain = elan.read_plain(path, lines[len(above) :], elan.media_of_block(above), notes)
    if plain:
        return plain
    raise InputError(
        f"{path}: is neither rows per frame (columns `source, frame, AU01 ...`), events (`source, au, onset_s, "
        "offset_s`) nor an export or a file of ELAN, BORIS, The Observer or Datavyu; see docs/prepare.md."
    )


def _layout(names: set[str]) -> _Layout | None:
    fits = (layout for layout in _LAYOUTS if len(layout.marks & names) >= layout.least)
    return next((layout for layout in fits if layout.read is not _own or "au" in names), None)


def _own(rows: list[Row], _: Mapping[str, str]) -> Iterator[Event]:
    for row in rows:
        name = row.get("au")
        source, subject = row.get("source") or row.get("path") or row.path.stem, subject_of(row.get("subject"))
        stretch = Stretch(
            row, 0.0, 0.0, source, face=row.whole_number_of("face"), coder=row.get("coder"), subject=subject
        )
        if name.lower() == "none":
            yield stretch.event(None, kind="none")
            continue
        onset, offset = time_of(row, "onset_s"), time_of(row, "offset_s")
        stretch = replace(stretch, onset_s=onset, offset_s=in_order(row, "au", onset, offset))
        if name.lower() in ("coded", "unknown"):
            yield stretch.event(None, kind="coded" if name.lower() == "coded" else "unknown")
            continue
        said = parse_aus(name)
        if said and row.get("intensity") not in NO_MODIFIER and is_unknown(row.get("intensity")):
            yield from (stretch.event(au, kind="unknown") for au, _ in said)
            continue
        if not said:
            raise row.error("au", f"`{name}` is not an AU; write it as 12, AU12 or AU12C.")
        yield from of_aus(stretch, [_graded(row, name, one, len(said)) for one in said])


def _graded(row: Row, name: str, said: Said, many: int) -> Said:
    text = row.get("intensity")
    if text in NO_MODIFIER:
        return said
    value = parse_intensity(text)
    if value is None:
        if re.fullmatch(r"[-+\d.,]+", text):
            row.number_of("intensity", low=0, high=5)  # says what is wrong with a number
        raise row.error("intensity", f"`{text}` is no intensity; write A to E or 0 to 5.")
    if many > 1:
        raise row.error("intensity", f"is one for {many} AUs; write a row for each.")
    if said.intensity is not None and value != said.intensity:
        raise row.error("intensity", f"{name} says another intensity than this column; keep one.")
    return Said(said.au, value)


def _unknown_columns(path: Path, header: Sequence[str]) -> list[str]:
    """A sentence that names the columns that are not read.

    Raises:
        InputError: when one of them names an AU.
    """
    unknown = [name for name in header if name and name.lower() not in _OWN]
    for name in unknown:
        if names_au(name):
            raise InputError(f"{path}: the column `{name}` has no place among events; write a row with au, onset_s.")
    return [f"{path}: not read: {', '.join(unknown)}."] if unknown else []


def _named(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    padded = [*cells, *[""] * (len(header) - len(cells))]
    return {name.lower(): as_written(cell) for name, cell in zip(header, padded) if name}


def _as_written(name: str) -> str:
    return "_".join(part.capitalize() for part in name.split("_")) if name.startswith("time_") else (
        name if "_" in name and name != "event_type" else name[:1].upper() + name[1:]
    )  # fmt: skip


_LAYOUTS: Final = (
    _Layout(
        "a table of events", frozenset({"au", "onset_s", "offset_s"}), (("au",), ("onset_s",), ("offset_s",)), _own, 2,
    ),
    _Layout(
        "BORIS's export of aggregated events", frozenset({"start (s)", "stop (s)", "duration (s)"}),
        (("behavior",), ("start (s)",), ("stop (s)",)), boris.read_aggregated,
    ),
    _Layout(
        "an event log of The Observer",
        frozenset({"event_type", "event_log", "duration_sf", "date_time_absolute_dmy_hmsf", *observer.TIMES}),
        (("observation",), ("behavior",), ("event_type",), observer.TIMES), observer.read_events,
    ),
    _Layout(
        "BORIS's export of tabular events",
        frozenset({
            "observation id", "observation date", "media file name", "media file path", "media file", "total length",
            "fps", "subject", "behavior", "behavioral category", "behavior type", "status", "time",
        }),
        (("behavior",), ("time",), ("status", "behavior type")), boris.read_tabular, least=3,
    ),
)  # fmt: skip
