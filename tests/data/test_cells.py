"""Users' tables cell by cell: what Excel files hold, whatever they say of their own size."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from duchenne.data import cells
from duchenne.data.cells import read_rows, workbook_cells
from duchenne.errors import InputError

SHEET = "xl/worksheets/sheet1.xml"


def workbook(path: Path, *rows: list[object], says: str | None) -> Path:
    """An Excel file that gives its size as `says` (the tag is left out where that is empty)."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path.with_suffix(".tmp"))
    with zipfile.ZipFile(path.with_suffix(".tmp")) as given, zipfile.ZipFile(path, "w") as changed:
        for name in given.namelist():
            data = given.read(name)
            if name == SHEET and says is not None:
                tag = f'<dimension ref="{says}"/>' if says else ""
                data, number = re.subn(rb"<dimension [^>]*>", tag.encode(), data)
                assert number == 1
            changed.writestr(name, data)
    return path


@pytest.mark.parametrize("says", [None, "A1", "A1:B3", "A1:XFD1048576", ""])
def test_every_row_is_read_whatever_a_sheet_says_of_its_size(tmp_path: Path, says: str | None) -> None:
    rows: list[list[object]] = [["a", "b", "c"], [1, 2.5], [], *([n, None, "x"] for n in range(20))]
    path = workbook(tmp_path / "t.xlsx", *rows, says=says)
    expected = [["a", "b", "c"], ["1", "2.5", ""], ["", "", ""], *([str(n), "", "x"] for n in range(20))]
    assert workbook_cells(path) == [expected]
    assert workbook_cells(Path("elsewhere.xlsx"), path.read_bytes()) == [expected]
    header, read = read_rows(path)
    assert header == ["a", "b", "c"]
    assert [(row.number, row.get("a"), row.get("c")) for row in read] == [
        (2, "1", ""), *((n + 4, str(n), "x") for n in range(20)),
    ]  # fmt: skip


def test_a_lone_cell_far_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_MOST_CELLS", 1000)
    for place in ("A2000", "ZZ1"):
        book = Workbook()
        for _ in range(20):
            book.active.append(["a"])
        book.active[place] = "x"
        book.save(tmp_path / "far.xlsx")
        with pytest.raises(InputError, match=r"far\.xlsx: has more than 1,000 cells; save it as CSV"):
            workbook_cells(tmp_path / "far.xlsx")
