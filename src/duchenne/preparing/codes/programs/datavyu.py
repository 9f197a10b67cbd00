"""Datavyu: its spreadsheets (.opf), the same text exported as .csv, and the wide table of its export scripts."""

from __future__ import annotations

import csv
import re
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from duchenne.data.cells import LETTERS, Row, decode_text
from duchenne.errors import InputError
from duchenne.files import check_file
from duchenne.preparing.codes.programs.events import (
    Event,
    Stretch,
    in_order,
    observer_of,
    of_aus,
    of_text,
    of_value,
    subject_of,
)
from duchenne.preparing.codes.programs.notation import (
    NOT_VISIBLE,
    Said,
    aus_of_name,
    is_absent,
    parse_aus,
    parse_intensity,
    part_named,
    who_of_codings,
    who_of_names,
)
from duchenne.preparing.codes.programs.tiers import (
    aside_note,
    bare_note,
    is_aside,
    is_coding,
    is_of_facs,
    numbers_are_aus,
)
from duchenne.preparing.sources.tree import BROKEN_ARCHIVE

_COLUMN: Final = re.compile(r"(?P<name>.+?) \((?P<kind>MATRIX|TEXT|NOMINAL),(?:true|false),.*?\)(?:-(?P<codes>.*))?")
_CELL: Final = re.compile(r"(\d+):(\d{2}):(\d{2}):(\d{3}),(\d+):(\d{2}):(\d{2}):(\d{3}),(.*)")
_WIDE: Final = re.compile(r"(?P<name>.+)\.(?P<code>onset|offset|ordinal|[^.]+)")
_AU_CODES: Final = re.compile(r"(au|aus|action[_ ]?units?|facs|code\d*|value)", re.IGNORECASE)
_STRENGTHS: Final = re.compile(r"int(ensity|ens)?|strength|level", re.IGNORECASE)
_OF_AU: Final = re.compile(r"AU_?\d{1,2}", re.IGNORECASE)
_WHO: Final = re.compile(r"(who|whom|person|subject|participant|actor|partner)([_ ]?(id|name))?", re.IGNORECASE)
_DESCRIBING: Final = ("neutral", "relaxed", "false")
_FEED: Final = re.compile(r"^\s*-?\s*feed:\s*['\"]?(.+?)['\"]?\s*$", re.MULTILINE)
_LARGEST: Final = 1 << 28
_MOST: Final = 200
Cell = tuple[Row, float, float, dict[str, str]]


def is_spreadsheet(text: str) -> bool:
    """Whether a text is what Datavyu saves, under whatever name."""
    lines = [line for line in text.splitlines()[:3] if line.strip()]
    return bool(lines) and (re.fullmatch(r"#\d+", lines[0].strip()) is not None or bool(_COLUMN.fullmatch(lines[0])))


def is_wide(header: Sequence[str]) -> bool:
    """Whether a header is that of the wide table: `NAME.onset, NAME.offset, NAME.code01`."""
    return any(name.endswith(".onset") for name in header) and any(name.endswith(".offset") for name in header)


def read_opf(path: Path, notes: list[str]) -> list[Event]:
    """A spreadsheet as Datavyu saves it; sentences for the user are added to the notes.

    Raises:
        InputError: when it cannot be read or is none.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("db").file_size > _LARGEST:
                raise InputError(f"{path}: unpacks to more than {_LARGEST >> 20} MB; name another file.")
            text = decode_text(archive.read("db"))
            project = decode_text(archive.read("project")) if "project" in archive.namelist() else ""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check it.") from error
    except BROKEN_ARCHIVE as error:
        raise InputError(f"{path}: is not a Datavyu spreadsheet ({error}); save it again.") from error
    feeds = tuple((feed.replace("\\", "/"), 0.0) for feed in _FEED.findall(project)[:_MOST])
    if feeds and re.search(r"^\s*-?\s*offset:\s*-?[1-9]", project, re.MULTILINE):
        raise InputError(
            f"{path}: its recordings were shifted against each other; take the offset back in Datavyu, or export a "
            "table with onset and offset in seconds of the recording."
        )
    return [replace(event, others=feeds) for event in read_spreadsheet(path, text, notes)]


def read_spreadsheet(path: Path, text: str, notes: list[str]) -> list[Event]:
    """The text of a spreadsheet: a line per column, below it a line per cell."""
    columns: dict[str, list[Cell]] = {}
    cells: list[Cell] | None = None
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cell = _CELL.fullmatch(line.strip())
        column = _COLUMN.fullmatch(line.strip())
        row = Row(path, number, {})
        if column and not cell:
            cells = columns.setdefault(column["name"], [])
            names = [code.split("|")[0] for code in (column["codes"] or "").split(",") if code]
        elif cell and cells is not None:
            onset, offset = (_seconds(cell.groups()[first : first + 4]) for first in (0, 4))
            inside = cell[9].strip()
            inside = inside[1:-1] if inside.startswith("(") and inside.endswith(")") else inside
            try:
                values = [value.strip() for value in next(csv.reader([inside], skipinitialspace=True), [])]
            except csv.Error as error:
                raise InputError(f"{path}, row {number}: a cell cannot be read ({error}); correct it.") from error
            known = dict(zip([*names, *(f"code{place}" for place in range(len(names), len(values)))], values))
            cells.append((row, onset, onset if offset == 0 else offset, known))
        elif line.strip() and not re.fullmatch(r"#\d+", line.strip()):
            raise InputError(f"{path}, row {number}: `{line.strip()[:60]}` is not a Datavyu cell; save it again.")
    return list(_events(path, columns, notes))


def read_wide(
    path: Path, header: Sequence[str], lines: Sequence[tuple[int, list[str]]], notes: list[str]
) -> list[Event]:
    """The wide table: `NAME.ordinal, NAME.onset, NAME.offset, NAME.code01 ...` beside each other, in milliseconds."""
    columns: dict[str, list[Cell]] = defaultdict(list)
    found = [_WIDE.fullmatch(name) for name in header]
    for number, cells in lines:
        rows: dict[str, dict[str, str]] = defaultdict(dict)
        for match, cell in zip(found, cells):
            if match and cell:
                rows[match["name"]][match["code"]] = cell
        for name, values in rows.items():
            row = Row(path, number, {f"{name}.{code}": value for code, value in values.items()})
            onset, offset = row.number_of(f"{name}.onset", low=0), row.number_of(f"{name}.offset", low=0)
            if onset is None:
                raise row.error(f"{name}.onset", "is empty; export the column anew.")
            codes = {code: value for code, value in values.items() if code not in ("onset", "offset", "ordinal")}
            columns[name].append((row, onset / 1000, (offset or onset) / 1000, codes))
    return list(_events(path, columns, notes))


def _events(path: Path, columns: Mapping[str, Sequence[Cell]], notes: list[str]) -> Iterator[Event]:
    who = who_of_names(list(columns))
    bare: list[tuple[str, str]] = []
    aside: set[str] = set()
    who |= who_of_codings({name: set(_said(cells)) for name, cells in columns.items() if not aus_of_name(name)})
    for name, cells in columns.items():
        per_au = [] if aus_of_name(name) else _codes_per_au(name, cells)
        coding = _codes_of_aus(name, cells)
        for row, onset, offset, all_values in cells:
            subject = next((value for code, value in all_values.items() if _WHO.fullmatch(code)), "")
            stretch = Stretch(
                row, onset, in_order(row, name, onset, offset), row.path.stem,
                coder=observer_of(all_values) or who[name], subject=subject_of(subject),
            )  # fmt: skip
            values = {code: value for code, value in all_values.items() if not _is_of_people(code)}
            if aus_of_name(name):
                aside |= {f"{name}.{code}" for code, value in values.items() if value and is_aside(f"{name}.{code}")}
                values = {code: value for code, value in values.items() if f"{name}.{code}" not in aside}
                yield from () if is_aside(name) else of_value(stretch, name, _strength_of(values))
            elif per_au:
                for code in per_au:
                    if values.get(code):
                        yield from of_value(stretch, code, values[code])
            elif _named(values, coding):
                yield from _named_events(stretch, name, values, coding)
            else:
                for code, value in values.items():
                    bare += [] if code in coding else [(f"{name}.{code}", value)]
                    yield from of_text(stretch, name, value, coding=code in coding)
    notes += aside_note(path, aside) + bare_note(path, bare)


def _codes_of_aus(name: str, cells: Sequence[Cell]) -> set[str]:
    """The codes of a column that hold AUs: by what stands in them, by their names, or by what stands beside them."""
    values: dict[str, list[str]] = defaultdict(list)
    for *_, given in cells:
        for code, value in given.items():
            values[code].append(value)
    found = {code for code, own in values.items() if is_coding(own) or numbers_are_aus(code) or _OF_AU.fullmatch(code)}
    if numbers_are_aus(name):
        found |= {code for code in values if part_named(code) is not None or is_of_facs(f"{name} {code}")}
    return found | {code for code in values if (found or numbers_are_aus(name)) and _AU_CODES.fullmatch(code)}


def _codes_per_au(name: str, cells: Sequence[Cell]) -> list[str]:
    """The codes of a column that hold the intensity of the AU that they are called after; none where they are a list.

    Raises:
        InputError: when `au1, au2 ...` may be both.
    """
    codes = list(dict.fromkeys(code for *_, values in cells for code in values if _OF_AU.fullmatch(code)))
    filled = [values[code] for *_, values in cells for code in codes if values.get(code)]
    numbers = sorted(said.au for code in codes for said in aus_of_name(code))
    if numbers != list(range(1, len(codes) + 1)):
        return codes
    levels = [value for value in filled if parse_intensity(value) is not None]
    if len(levels) < len(filled):
        return []
    if filled and len(codes) > 1 and not any(value.upper() in LETTERS for value in levels):
        raise cells[0][0].error(
            name,
            f"`{', '.join(codes)}` may be intensities of AUs or AUs one after another; rename them (AU01, code01).",
        )
    return codes


def _said(cells: Sequence[Cell]) -> Iterator[tuple[str, str, int]]:
    """What a column says, and of whom where it says that itself."""
    for *_, values in cells:
        who = next((value for code, value in values.items() if _WHO.fullmatch(code)), "")
        named = [code for code, value in values.items() if _OF_AU.fullmatch(code) and value]
        texts = [value for code, value in values.items() if not _is_of_people(code) and not _STRENGTHS.fullmatch(code)]
        for text in (*named, *texts):
            yield from ((who, observer_of(values), au) for au, _ in parse_aus(text) if au not in NOT_VISIBLE)


def _is_of_people(code: str) -> bool:
    return _WHO.fullmatch(code) is not None or bool(observer_of({code: "x"}))


def _strength_of(values: Mapping[str, str]) -> str:
    """The value of a cell that says the intensity: by its name, else the first that is one, else the first."""
    named = next((value for code, value in values.items() if _STRENGTHS.fullmatch(code)), None)
    if named is not None:
        return named
    strengths = (value for value in values.values() if parse_intensity(value) is not None)
    # `neutral` may be what another code says, as a valence; `off` says that the AU is.
    own = [value for code, value in values.items() if _AU_CODES.fullmatch(code) or value.lower() not in _DESCRIBING]
    return next(strengths, next(filter(is_absent, own), next(iter(own), "")))


def _named(values: Mapping[str, str], coding: Collection[str]) -> tuple[str, str] | None:
    """AU and intensity where a cell has a code for each."""
    named = (value for code, value in values.items() if code in coding and not _STRENGTHS.fullmatch(code))
    au = next((value for value in named if parse_aus(value)), None)
    strength = next((value for code, value in values.items() if _STRENGTHS.fullmatch(code)), None)
    return None if au is None or strength is None else (au, strength)


def _named_events(stretch: Stretch, name: str, values: Mapping[str, str], coding: Collection[str]) -> Iterator[Event]:
    au, strength = _named(values, coding) or ("", "")
    said = parse_aus(au)
    if len(said) == 1 and said[0].intensity is None:
        yield from of_value(stretch, f"AU{said[0].au}", strength)
    elif parse_intensity(strength) is None:
        yield from of_text(stretch, name, au, coding=True)
    else:
        yield from of_aus(stretch, [Said(one.au, parse_intensity(strength)) for one in said])


def _seconds(parts: Sequence[str]) -> float:
    hours, minutes, seconds, milliseconds = map(int, parts)
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
