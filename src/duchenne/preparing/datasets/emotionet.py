"""Reader `emotionet`: pictures from the web with 11 or more action units, from a spreadsheet or in numbered folders.

The spreadsheet (`.xlsx`, or saved as CSV) names pictures by address. Its headers carry quote characters (`'AU 1'`), its
addresses may end with one, and 999 marks what was not looked for. Pictures are known by the last part of their address;
many of them are no longer on the web. The numbered folders (`N_0000000001/N_0000000001_00003.jpg`) are labelled where a
table names their files, and serve pretraining otherwise.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from duchenne.errors import InputError
from duchenne.facs import AU_SETS, au_column
from duchenne.preparing.sources.reading import (
    IMAGES,
    Clip,
    DataSet,
    Labels,
    Options,
    Reading,
    chosen,
    columns_of,
    lone,
    occurrence,
    only,
    positives,
    report_lost,
)
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tables import split_cells
from duchenne.preparing.sources.tree import Tree

LABELLED: Final = 24_600
"""Rows of `emotionet_facs_24600.xlsx`, coded by people."""
_AU: Final = re.compile(r"AU\s*_?0?(\d{1,2})", re.IGNORECASE)
_QUOTES: Final = " '\"‘’"


def _read(tree: Tree, options: Options) -> Reading:
    rows, coded, tables = _labels(tree)
    labels: dict[Clip, dict[int, Labels]] = defaultdict(dict)
    for address, row in rows.items():
        wanted = labels["", _file_name(address)]
        wanted[len(wanted)] = row
    pictures = [name for _, name in tree.match(rf"[^/]+{IMAGES}")]
    by_name: dict[str, list[str]] = defaultdict(list)
    for name in pictures:
        by_name[PurePosixPath(name).name.lower()].append(name)
    numbered = any(True for _ in tree.match(rf"N_\d+/N_\d+_\d+{IMAGES}"))
    if not rows and not numbered:
        raise EMOTIONET.nothing(tree)
    aus, survey = chosen(options, AU_SETS["emotionet"], coded), Survey()
    columns = columns_of(aus)
    images, used = [], set[str]()
    lost: list[tuple[Clip, int]] = []
    many: dict[str, list[str]] = {"pictures": [], "rows": []}
    for (_, key), wanted in labels.items():
        found = by_name.get(key, [])
        if len(found) == len(wanted) == 1:
            used.add(found[0])
            images.append(lone(tree, found[0], only(wanted[0], columns)))
            continue
        lost += [(("", key), number) for number in wanted]
        if found:
            many["pictures" if len(found) > 1 else "rows"].append(key)
    if rows:
        survey.count("labelled rows", len(rows), LABELLED)
        for au, number in sorted(positives(rows.values(), aus, 1).items()):
            survey.count(f"AU{au} positive", number)
    survey.missing += tree.problems
    if many["pictures"]:
        survey.missing.append(f"pictures of which two have the name in the table: {listed(many['pictures'])}")
    if many["rows"]:
        survey.missing.append(f"pictures whose name ends the addresses of two rows: {listed(many['rows'])}")
    report_lost(survey, lost, labels, aus, 1)
    unlabelled = [name for name in pictures if name not in used]
    if options.frames == "all" or not rows:
        images += [lone(tree, name, {}) for name in unlabelled]
        survey.count("pictures without labels", len(unlabelled))
    elif unlabelled:
        survey.notes.append(f"{len(unlabelled):,} pictures have no label: left out (--frames all keeps them).")
    survey.count("pictures kept", len(images))
    if tables:
        survey.notes.append(f"labels were read from {listed(tables)}.")
    return Reading(survey, aus if rows else (), "occurrence" if rows else "none", images)


def _labels(tree: Tree) -> tuple[dict[str, Labels], set[int], list[str]]:
    """Address -> columns; the AUs; the tables."""
    rows: dict[str, Labels] = {}
    coded: set[int] = set()
    tables = []
    twice = set[str]()
    for name in tree.names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in (".xlsx", ".csv") or PurePosixPath(name).name.startswith("~$"):
            continue
        lines = _sheet(tree.data(name), name) if suffix == ".xlsx" else iter(split_cells(tree.text(name), name))
        header = [cell.strip(_QUOTES) for cell in next(lines, [])]
        columns = {k: int(found[1]) for k, cell in enumerate(header) if (found := _AU.fullmatch(cell))}
        place = next((k for k, cell in enumerate(header) if cell.lower() in ("url", "file", "path", "image")), None)
        if not columns or place is None:
            continue  # another table
        tables.append(name)
        coded |= set(columns.values())
        for number, cells in enumerate(lines, start=2):
            if not any(cells):
                continue
            cells = [*cells, *[""] * (len(header) - len(cells))]
            address = cells[place].strip(_QUOTES)
            if not _file_name(address):
                raise InputError(f"{name}, row {number}: names no picture; check the file.")
            row = {au_column(au): occurrence(cells[k].strip(_QUOTES), name, number) for k, au in columns.items()}
            if rows.setdefault(address, row) != row:
                twice.add(address)
    if twice:
        raise InputError(
            f"{tree.root}: {len(twice)} pictures are labelled twice, differently (first: {min(twice)}); "
            "keep one table, or one row for each."
        )
    return rows, coded, tables


def _file_name(address: str) -> str:
    """The last part of an address, in lower case: the name under which its picture is kept."""
    try:
        path = urlsplit(address).path
    except ValueError:  # no address of the web
        path = address
    return PurePosixPath(unquote(path)).name.lower()


def _sheet(data: bytes, name: str) -> Iterator[list[str]]:
    """The rows of the first sheet, as text."""
    from openpyxl import load_workbook  # here: other readers need not wait for it

    try:
        book: Any = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield ["" if cell is None else str(cell) for cell in row]
    except Exception as error:  # openpyxl has no common class for what it raises of damaged files
        raise InputError(f"{name}: cannot be read as a spreadsheet ({error}); save it as CSV.") from error


EMOTIONET: Final[DataSet] = DataSet(
    name="emotionet",
    title="EmotioNet",
    about="pictures from the web: a spreadsheet of labels, or numbered folders",
    read=_read,
    layout=("emotionet_facs_24600.xlsx with the pictures that it names", "N_0000000001/N_0000000001_00003.jpg"),
    licence="by signed agreement with Ohio State University, research only, no redistribution",
    options=frozenset({"aus", "frames"}),
)
