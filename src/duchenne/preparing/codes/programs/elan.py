"""ELAN's tab-delimited text in any language, with or without a header or a column per tier; its files: `eaf`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from duchenne.data.cells import Row
from duchenne.errors import InputError
from duchenne.plain import as_written
from duchenne.preparing.codes.programs.annotations import Annotation, events_of
from duchenne.preparing.codes.programs.events import (
    Event,
    Stretch,
    in_order,
    subject_of,
    time_of,
)
from duchenne.preparing.codes.programs.notation import (
    aus_of_name,
    parse_time,
)

_COLUMN: Final = re.compile(r"(.+?) - (hh:mm:ss[.,:]?.*|ss[.,]ms.*|ms.*|PAL.*|NTSC.*)", re.IGNORECASE)
_DURATION: Final = re.compile(
    r"duration|dauer|dur[ée]e|duraci[óo]n|dura[çc][ãa]o|durata|durada|duur|l[äa]ngd|varaktighet|czas trwania|"
    r"длительность|продолжительность|(持续|持續)?(时|時)长?|持続時間|継続時間|지속.*|길이",
    re.IGNORECASE,
)
_FILE: Final = re.compile(r".+\.(eaf|mp4|mov|avi|mpe?g|mkv|webm|wmv|m4v|mts|wav)$", re.IGNORECASE)
_FILE_COLUMNS: Final = ("file path", "file name", "file", "filepath", "filename")
_TIME_CODE: Final = re.compile(r"(\d+):(\d{2}):(\d{2})[:;](\d{2})")
_MEDIA_LINE: Final = re.compile(r"#(?P<url>.+?)(?: -- offset: (?P<offset>-?\d+))?")
Media = tuple[tuple[str, float], ...]
"""Names of the recording, the first one first, each with the seconds that its own time is ahead of ELAN's."""


def is_header(cells: Sequence[str]) -> bool:
    """Whether cells are the names of columns that ELAN writes, in any language."""
    return any(_COLUMN.fullmatch(cell) or cell.lower().startswith("begin time") for cell in cells)


def is_plain(cells: Sequence[str]) -> bool:
    """Whether cells are an annotation without a header: two clock times, or the name of an AU and two numbers."""
    clocks = sum(re.fullmatch(r"\d+:\d{2}:\d{2}[.,]\d+", cell) is not None for cell in cells)
    numbers = sum(re.fullmatch(r"\d+([.,]\d+)?", cell) is not None for cell in cells[1:])
    return (
        clocks > 1
        or (cells[0].startswith("#") and "offset" in cells[0])
        or (numbers > 1 and bool(aus_of_name(cells[0])))
    )


def read_columns(
    path: Path, header: Sequence[str], lines: Sequence[tuple[int, list[str]]], media: Media, notes: list[str]
) -> list[Event]:
    """Text with a header: a column per tier, or columns for tier and annotation.

    Args:
        path: of the file.
        header: names of the columns.
        lines: number and cells of those that follow.
        media: by the lines above the header.
        notes: sentences for the user, added to.
    """
    begin, end, duration = _time_columns(path, header)
    times = {*begin, *end, *duration, *(column for column, name in enumerate(header) if _COLUMN.fullmatch(name))}
    layout = _long_layout(header, times, lines)
    found = []
    for number, written, own in _blocks(lines, media):
        cells = [as_written(cell) for cell in written]
        row = Row(path, number, {name: cell for name, cell in zip(header, cells) if name})
        onset = _moment(row, header, cells, begin)
        offset = _moment(row, header, cells, end) if end else onset + _moment(row, header, cells, duration)
        rest = {
            header[column]: cells[column]
            for column in range(min(len(header), len(cells)))
            if column not in times and header[column] and cells[column]
        }
        files = [cells[column] for column, name in enumerate(header) if name.lower() in _FILE_COLUMNS and cells[column]]
        files += [cell for cell in cells[len(header) - 2 :] if _FILE.fullmatch(cell) and cell not in files]
        ahead = own[0][1] if own else 0.0
        names = (*own, *((file, ahead) for file in files[::-1])) or ((path.stem, 0.0),)
        stretch = shifted(Stretch(row, onset, in_order(row, header[begin[0]], onset, offset), ""), names)
        if layout is not None:
            tier, who, value = (cells[place] if 0 <= place < len(cells) else "" for place in layout)
            if tier:
                found.append(Annotation(tier, value, replace(stretch, subject=subject_of(who))))
            continue
        found += [
            Annotation(name, value, stretch)
            for name, value in rest.items()
            if value not in files and not re.search(r"description|beschreibung", name, re.IGNORECASE)
        ]
    _tell_offset(path, media, notes)
    return list(events_of(found, notes))


def _long_layout(
    header: Sequence[str], times: Collection[int], lines: Sequence[tuple[int, list[str]]]
) -> tuple[int, int, int] | None:
    """Columns of tier, participant and annotation (-1 where there is none); None where every tier has a column.

    ELAN writes them in this order, the times between them, and calls them as the language of its menus has it; where
    every tier has a column, the times come first.
    """
    names = [name.lower() for name in header]
    if "tier" in names and "annotation" in names:
        who = names.index("participant") if "participant" in names else -1
        return names.index("tier"), who, names.index("annotation")

    def is_file(column: int) -> bool:
        filled = [cells[column] for _, cells in lines if column < len(cells) and cells[column]]
        return names[column] in _FILE_COLUMNS or (bool(filled) and all(_FILE.fullmatch(cell) for cell in filled))

    texts = [column for column in range(len(header)) if header[column] and column not in times and not is_file(column)]
    before = [column for column in texts if column < min(times)]
    after = [column for column in texts if column > max(times)]
    if not before or any(aus_of_name(header[column]) for column in texts):
        return None
    return before[0], before[1] if len(before) > 1 else -1, after[0] if after else -1


def read_plain(path: Path, lines: Sequence[tuple[int, list[str]]], media: Media, notes: list[str]) -> list[Event]:
    """Text without a header: tier, participant, begin, end, perhaps duration, value; times in one or more formats."""
    found = []
    blocks = list(_blocks(lines, media))
    has_people = _have_people([cells for _, cells, _ in blocks])
    for number, cells, own in blocks:
        clocks = [place for place, cell in enumerate(cells) if re.fullmatch(r"\d+:\d{2}:\d{2}[.,]\d+", cell)]
        codes = [place for place, cell in enumerate(cells) if _TIME_CODE.fullmatch(cell)]
        numbers = [place for place, cell in enumerate(cells[1:-1], start=1) if re.fullmatch(r"\d+([.,]\d+)?", cell)]
        decimal = [place for place in numbers if re.search(r"[.,]", cells[place])]
        numbers = numbers[1:] if has_people and numbers[:1] == [1] and not decimal and not clocks else numbers
        places = clocks or decimal or numbers
        if len(cells) < 4 or len(places) < 2:
            return []
        row = Row(path, number, {})
        scale = 1.0 if clocks or decimal else 1e-3
        onset, offset = ((parse_time(cells[place]) or 0.0) * scale for place in places[:2])
        first, last = min(clocks + numbers + codes), max(clocks + numbers + codes)
        value = "".join(cells[last + 1 :][:1])  # there is none where only times were exported
        files = [cell for cell in cells[last + 2 :] if _FILE.fullmatch(cell)]
        ahead = own[0][1] if own else 0.0
        names = (*own, *((file, ahead) for file in files[::-1])) or ((path.stem, 0.0),)
        stretch = shifted(Stretch(row, onset, in_order(row, cells[0], onset, offset), ""), names)
        who = subject_of(cells[1]) if first > 1 else ""
        found.append(Annotation(cells[0], value, replace(stretch, subject=who)))
    _tell_offset(path, media, notes)
    return list(events_of(found, notes))


def _have_people(lines: Sequence[Sequence[str]]) -> bool:
    """Whether the first of three whole numbers behind a tier is a participant: not where they are begin, end, duration.

    Where they are a participant, begin and end, no end lies before its begin.
    """
    found = [[int(cell) for cell in cells[1:4] if cell.isdecimal()] for cells in lines if len(cells) > 4]
    threes = [numbers for numbers in found if len(numbers) == 3]
    lasting = all(abs(end - begin - long) < 2 for begin, end, long in threes)
    return bool(threes) and not lasting and all(begin <= end for _, begin, end in threes)


def media_of_line(cells: Sequence[str]) -> tuple[str, float | None] | None:
    """Name and offset of a line `#file:///C:/rec/a.mp4 -- offset: 1200` (milliseconds), or `#a.eaf`, which has none."""
    match = _MEDIA_LINE.fullmatch(cells[0].strip('"')) if not any(cells[1:]) else None
    if match is None:
        return None
    return name_of(match["url"]), None if match["offset"] is None else int(match["offset"]) / 1000


def media_of_block(lines: Sequence[tuple[str, float | None]]) -> Media:
    """The names that lines above annotations give: recordings, the first of which is the master, then the document."""
    recordings = [(name, ahead) for name, ahead in lines if ahead is not None]
    master = recordings[0][1] if recordings else 0.0
    return (*recordings, *((name, master) for name, ahead in lines if ahead is None))


def _blocks(lines: Sequence[tuple[int, list[str]]], media: Media) -> Iterator[tuple[int, list[str], Media]]:
    """The lines with what they are about: lines with `#` name the recordings of those that follow."""
    above: list[tuple[str, float | None]] = []
    for number, cells in lines:
        name = media_of_line(cells)
        if name is not None:
            above.append(name)
            continue
        if above:
            media, above = media_of_block(above), []
        yield number, cells, media


def _time_columns(path: Path, header: Sequence[str]) -> tuple[list[int], list[int], list[int]]:
    """Columns of begin, end and duration; ELAN writes them in this order, each in one or more formats."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(header):
        match = _COLUMN.fullmatch(name)
        if match or re.match(r"(begin|end) time|duration$", name, re.IGNORECASE):
            groups.setdefault(match[1].lower() if match else name.lower(), []).append(column)
    lasting = [columns for name, columns in groups.items() if _DURATION.fullmatch(name)]
    others = [columns for name, columns in groups.items() if not _DURATION.fullmatch(name)]
    if len(others) > 2 and not lasting:
        others, lasting = others[:2], others[2:]
    if len(others) == 1 and not lasting:
        raise InputError(f"{path}: has no column `End Time`; export it from ELAN too.")
    if not others or (len(others) == 1 and re.match(r"end|fin$", next(iter(groups)), re.IGNORECASE)):
        raise InputError(f"{path}: has no column `Begin Time`; export it from ELAN too.")
    return others[0], others[1] if len(others) > 1 else [], lasting[0] if lasting else []


def _moment(row: Row, header: Sequence[str], cells: Sequence[str], columns: Sequence[int]) -> float:
    """A time by the most exact of its columns: seconds, milliseconds, clock, frames of PAL or NTSC."""
    best: tuple[int, float] | None = None
    for column in columns:
        text = cells[column] if column < len(cells) else ""
        kind = (_COLUMN.fullmatch(header[column]) or ["", "", ""])[2].lower()
        code = _TIME_CODE.fullmatch(text)
        if code:
            found = (0, _of_time_code([int(part) for part in code.groups()], kind))
        elif not text:
            continue
        else:
            value = time_of(Row(row.path, row.number, {header[column]: text}), header[column])
            plain = re.fullmatch(r"\d+", text) is not None
            found = (2, value / 1000) if kind.startswith("ms") or (plain and not kind.startswith("ss")) else (1, value)
        best = max(best, found) if best else found
    if best is None:
        raise row.error(header[columns[0]], "is empty; export it from ELAN too.")
    return best[1]


def _of_time_code(parts: Sequence[int], kind: str) -> float:
    """Seconds of hh:mm:ss:ff. NTSC drops two frame numbers every minute but every tenth (SMPTE)."""
    hours, minutes, seconds, frames = parts
    if "ntsc" in kind:
        total = minutes + 60 * hours
        return ((total * 60 + seconds) * 30 + frames - 2 * (total - total // 10)) * 1001 / 30000
    return hours * 3600 + minutes * 60 + seconds + frames / (50 if "50" in kind else 25)


def shifted(stretch: Stretch, media: Media) -> Stretch:
    """The stretch in the time of the first recording, with the others beside it."""
    (source, ahead), *others = media
    rest = tuple((name, own - ahead) for name, own in others if name != source)
    return replace(
        stretch, source=source, onset_s=stretch.onset_s + ahead, offset_s=stretch.offset_s + ahead, others=rest
    )


def _tell_offset(path: Path, media: Media, notes: list[str]) -> None:
    if media and media[0][1]:
        notes.append(
            f"{path}: {media[0][1]:g} s, the offset of {PurePosixPath(media[0][0]).name}, were added to its times; "
            "where ELAN had added them already (`add master media offset`), export without."
        )


def name_of(url: str) -> str:
    """The path in an address, `C:/rec/a.mp4` of `file:///C:/rec/a.mp4`, or a path itself."""
    path = unquote(urlsplit(url).path if "://" in url else url).replace("\\", "/")
    return re.sub(r"^/+(?=[A-Za-z]:)", "", path)
