"""The page over a folder of reports: every recording with the portraits of the people found in it."""

from __future__ import annotations

import csv
import html
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import numpy as np

from duchenne._version import __version__
from duchenne.config import parse_json
from duchenne.detection.drawing import face_colour
from duchenne.errors import InputError
from duchenne.files import read_text, shown_name, write_text
from duchenne.pages import render_page
from duchenne.plain import as_cell
from duchenne.tables.episodes import frame_seconds
from duchenne.tables.writing import REPORT_ENDING

INDEX_NAME: Final = "index.html"
_LARGEST_PAGE: Final = 2**29
_DATA: Final = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.DOTALL)
_FAILURE: Final = re.compile(r'<p class="failure">(.*?)</p>', re.DOTALL)


class Person(NamedTuple):
    """Somebody in a recording.

    Attributes:
        number: of the face.
        colour: as in the report, `#rrggbb`.
        share: of the frames in which action units were read.
        portrait: a picture as an address, from the middle of those kept; None where there is none.
    """

    number: int
    colour: str
    share: float
    portrait: str | None


class Entry(NamedTuple):
    """One report.

    Attributes:
        name: of the recording.
        source: the recording as the user named it.
        link: to the report, relative to the folder.
        frames: in the report.
        duration_s: seconds that its frames are shown.
        people: by number.
        settings: sentences on what made it.
        failure: why the recording could not be read to its end, or None.
    """

    name: str
    source: str
    link: str
    frames: int
    duration_s: float
    people: list[Person]
    settings: list[str]
    failure: str | None


def write_index(folder: str | Path) -> tuple[Path, list[str]]:
    """Writes `index.html` over all reports in a folder, those of earlier runs too.

    Args:
        folder: to which `detect --report DIR/` wrote.

    Returns:
        The page, and a sentence for each page that lies there and cannot be read as a report, which is left out.

    Raises:
        InputError: when the page cannot be written.
    """
    folder = Path(folder)
    entries, left_out = [], []
    for path in sorted(folder.glob(f"*{REPORT_ENDING}")):
        try:
            entries.append(_entry(path))
        except InputError as error:
            left_out.append(f"{error} The index leaves it out.")
    values = {
        "title": folder.resolve().name,
        "version": __version__,
        "entries": entries,
        "names": "data:text/csv;charset=utf-8," + quote(_names(entries)),
    }
    write_text(folder / INDEX_NAME, render_page("duchenne.detection", "index.html.jinja", values))
    return folder / INDEX_NAME, left_out


def _entry(path: Path) -> Entry:
    try:
        page = read_text(path, _LARGEST_PAGE)
        found = _DATA.search(page)
        data: Any = parse_json(found[1], str(path)) if found else None
    except InputError as error:
        raise InputError(f"{error} Remove it or make it again with --report.") from error
    failure = _FAILURE.search(page)
    try:
        times = np.array(data["times"], dtype=np.float64)
        people = [
            _person(int(number), face, len(times)) for number, face in sorted(data["faces"].items(), key=_by_number)
        ]
        source = data["source"]
        if times.ndim != 1 or not np.isfinite(times).all() or not isinstance(source, str):
            raise ValueError
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{path}: is no report of this version of the library; make it again, or move it away."
        ) from error
    return Entry(
        shown_name(path.name.removesuffix(REPORT_ENDING)), source, quote(os.fsencode(path.name)), len(times),
        float(frame_seconds(times).sum()), people, [str(sentence) for sentence in data.get("settings", [])],
        html.unescape(failure[1]) if failure else None,
    )  # fmt: skip


def _names(entries: Sequence[Entry]) -> str:
    """Everyone found, as a table for `summarize --names`, under names that tell them apart until they are changed."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["source", "face", "name"])
    table.writerows(
        [as_cell(entry.source), person.number, as_cell(f"{entry.name}#{person.number}")]
        for entry in entries
        for person in entry.people
    )
    return text.getvalue()


def _by_number(item: tuple[str, Any]) -> int:
    return int(item[0])


def _person(number: int, face: dict[str, Any], frames: int) -> Person:
    portraits, unread = face["portraits"], face.get("unread", {})  # a face at rest nowhere has a pose all the same
    read = sum(value is not None and str(place) not in unread for place, value in enumerate(face["pose"][0]))
    portrait = str(portraits[len(portraits) // 2][1]) if portraits else None
    return Person(number, "#" + bytes(face_colour(number)).hex(), read / frames, portrait)
