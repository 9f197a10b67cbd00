"""Reader `emotionet`: pictures from the web with 11 or more action units, from a spreadsheet or in numbered folders.

The spreadsheet (`.xlsx`, or saved as CSV) names pictures by address. Its headers carry quote characters (`'AU 1'`), its
addresses may end with one, and 999 marks what was not looked for. Pictures are known by the last part of their address;
many of them are no longer on the web. The numbered folders (`N_0000000001/N_0000000001_00003.jpg`) are labelled where a
table names their files, or a list of automatic labels does (`dataFile_0001.txt`: address, original address and AU1 to
AU60 in each line, separated by tabs, without a header), and serve pretraining otherwise.

With automatic labels and hand-coded ones, the split is that of temporal ranking (Lu et al., BMVC 2020): hand-coded
pictures are the test split, of the others four fifths, drawn by their names, the training split and one fifth the
validation split.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from duchenne.data.cells import split_cells, workbook_cells
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
from duchenne.preparing.sources.tree import Tree

AUTOMATIC: Final = 943_673
"""Pictures with automatic labels that temporal ranking had (754,938 to train, 188,735 to validate)."""
VALIDATION_SHARE: Final = 0.2
COLUMNS: Final = 62
"""Of a line of automatic labels: two addresses and AU1 to AU60."""
LABELLED: Final = 24_600
"""Rows of `emotionet_facs_24600.xlsx`, coded by people."""
_AU: Final = re.compile(r"AU\s*_?0?(\d{1,2})", re.IGNORECASE)
_QUOTES: Final = " '\"‘’"


def _read(tree: Tree, options: Options) -> Reading:
    rows, coded, tables = _labels(tree)
    automatic, lists = _automatic(tree, chosen(options, AU_SETS["emotionet"], range(1, COLUMNS - 1)))
    by_hand = {_file_name(address) for address in rows}
    if automatic:
        tables = [*tables, *lists]
        coded |= {int(column[2:]) for column in next(iter(automatic.values()))}
        rows = {**{name: row for name, row in automatic.items() if name not in by_hand}, **rows}
    split = _split(automatic, by_hand) if automatic and by_hand else {}
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
            images.append(lone(tree, found[0], {**only(wanted[0], columns), "split": split.get(key)}))
            continue
        lost += [(("", key), number) for number in wanted]
        if found:
            many["pictures" if len(found) > 1 else "rows"].append(key)
    if rows:
        survey.count("rows coded by people", len(by_hand), LABELLED)
        if automatic:
            survey.count("automatic labels", len(automatic), AUTOMATIC)
        for au, number in sorted(positives(rows.values(), aus, 1).items()):
            survey.count(f"AU{au} positive", number)
    survey.missing += tree.problems
    if many["pictures"]:
        survey.missing.append(f"names in the table that two pictures have: {listed(many['pictures'])}")
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
        packed = suffix == ".xlsx"
        sheets = workbook_cells(Path(name), tree.data(name)) if packed else [split_cells(tree.text(name), name)]
        lines = iter(next(iter(sheets), []))
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


def _automatic(tree: Tree, aus: Sequence[int]) -> tuple[dict[str, Labels], list[str]]:
    """File name -> columns of some action units, from the lists of automatic labels; and the lists.

    Raises:
        InputError: for a line with another number of cells, another label than 0, 1 and 999, or a file named twice.
    """
    rows: dict[str, Labels] = {}
    lists = []
    for name in tree.names:
        if not name.lower().endswith(".txt"):
            continue
        lines = tree.text(name).splitlines()
        if not lines or len(lines[0].split("\t")) != COLUMNS or "/" not in lines[0].split("\t")[0]:
            continue  # another text
        lists.append(name)
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            cells = line.split("\t")
            key = _file_name(cells[0].strip(_QUOTES))
            if len(cells) != COLUMNS or not key:
                raise InputError(f"{name}, row {number}: is not an address, an original one and 60 labels; check it.")
            row = {au_column(au): occurrence(cells[au + 1].strip(), name, number) for au in aus}
            if rows.setdefault(key, row) != row:
                raise InputError(f"{name}, row {number}: {key} is labelled twice, differently; keep one line.")
    return rows, lists


def _split(automatic: Iterable[str], by_hand: Collection[str]) -> dict[str, str]:
    """File name -> split, see the module's first lines; a picture's part does not depend on what else is there."""
    split = dict.fromkeys(by_hand, "test")
    for name in automatic:
        draw = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") / 2**64
        split.setdefault(name, "validation" if draw < VALIDATION_SHARE else "train")
    return split


def _file_name(address: str) -> str:
    """The last part of an address, in lower case: the name under which its picture is kept."""
    try:
        path = urlsplit(address).path
    except ValueError:  # no address of the web
        path = address
    return PurePosixPath(unquote(path)).name.lower()


EMOTIONET: Final[DataSet] = DataSet(
    name="emotionet",
    title="EmotioNet",
    about="pictures from the web: a spreadsheet of labels, lists of automatic ones, numbered folders",
    read=_read,
    layout=(
        "emotionet_facs_24600.xlsx with the pictures that it names",
        "N_0000000001/N_0000000001_00003.jpg",
        "dataFile_0001.txt",
    ),
    licence="by signed agreement with Ohio State University, research only, no redistribution",
    options=frozenset({"aus", "frames"}),
)
