"""Names that begin with = + - @ or hold escapes are text in CSV, Markdown and terminal, and come back unchanged."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

import duchenne
from duchenne.cli.main import main
from duchenne.data.spreadsheets import csv_text, read_csv_table
from duchenne.detectors.model_card import _table
from duchenne.plain import as_cell, as_code, as_line, as_markdown, as_written, tell
from duchenne.preparing.codes.names import read_names
from duchenne.progress import _Words

NAMES = ["=1+1.mp4", "+a", "-b.mp4", "@c", "'=d", "''x", "-0.5", '=HYPERLINK("x")', "a|b", "NA", "007", "\x1b[31mred"]


@given(st.text())
def test_cells_come_back(text: str) -> None:
    assert as_written(as_cell(text)) == text
    cell = as_cell(text)
    assert not cell.startswith(("=", "@", "\t", "\r"))
    if cell.startswith(("+", "-")):
        float(cell.replace(",", "."))  # a number is no formula


def test_names_in_tables_come_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"source": NAMES, "AU12_s": -0.25})
    (tmp_path / "t.csv").write_text(csv_text(table), encoding="utf-8")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:5] == ["'=1+1.mp4", "'+a", "'-b.mp4", "'@c"]
    again = read_csv_table(tmp_path / "t.csv")
    assert again["source"].tolist() == NAMES
    assert again["AU12_s"].tolist() == [-0.25] * len(NAMES)
    plain = [name for name in NAMES if not name.startswith("\x1b")]
    rows = "".join(f"{number}.mp4,0,{as_cell(name)}\n".replace('"', '""') for number, name in enumerate(plain))
    (tmp_path / "names.csv").write_text("source,face,name\n" + rows)
    found = read_names(tmp_path / "names.csv", [f"{number}.mp4" for number in range(len(plain))])
    assert [name.replace('""', '"') for name in found.values()] == plain


def test_summaries_of_such_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"source": "=\x1b]0;x\x07.mp4", "frame": f, "time_s": f / 2, "face": 0, "AU12_s": 0.9} for f in range(2)]
    (tmp_path / "t_aus.csv").write_text(csv_text(pd.DataFrame(rows)), encoding="utf-8")
    assert main(["summarize", str(tmp_path / "t_aus.csv"), "-o", str(tmp_path)]) == 0
    assert read_csv_table(tmp_path / "t_summary.csv")["source"].tolist() == [rows[0]["source"]]
    assert (tmp_path / "t_summary.csv").read_text().splitlines()[1].startswith("'=")
    assert duchenne.summarize(tmp_path / "t_aus.csv").faces["source"].tolist() == [rows[0]["source"]]
    assert main(["summarize", str(tmp_path / "\x1b[2Jgone.csv")]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\\x1b[2Jgone.csv: there is no such file" in said.err


def test_terminal_and_progress() -> None:
    assert as_line("a\x1b[31m\x9b\u202eb\udcff\nc") == "a\\x1b[31m\\x9b\\u202eb\\xff\nc"
    stream = io.StringIO()
    with Progress(_Words(), console=Console(file=stream, force_terminal=False, width=80)) as bar:
        bar.add_task("[red]a\x1b[2J", total=1)
    assert "[red]a\\x1b[2J" in stream.getvalue()


def test_a_line_goes_out_in_one_piece() -> None:
    """Processes on one stream would break each other's lines otherwise, where PYTHONUNBUFFERED is set."""

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    pieces: list[str] = []
    tell("a", 1, "\x1b", file=Stream(), flush=True)
    assert pieces == ["a 1 \\x1b\n"]


def test_markdown() -> None:
    assert as_markdown("a|b `c` <script> [x](y) *z*\n# d") == r"a\|b \`c\` \<script\> \[x\](y) \*z\* \# d"
    assert as_code("a`b") == "`` a`b ``"
    (row, *_) = _table(("data",), [["x | y\n<img>"]])[2:]
    assert row == r"| x \| y \<img\> |"
