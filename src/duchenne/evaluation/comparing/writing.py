"""A comparison as CSV, HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne.data.spreadsheets import plain_cells
from duchenne.errors import UsageError
from duchenne.evaluation.comparing.published_rows import sources
from duchenne.files import replacing, write_text
from duchenne.pages import render_page
from duchenne.plain import as_markdown
from duchenne.published import PROTOCOLS

SUFFIXES: Final = (".csv", ".html", ".md")
NAME: Final = "comparison"
REMARKS: Final = ("same_method", "comparable_with", "differs", "caution", "note")
"""Columns of words that stand beside published rows."""


def check_out(out: str | Path) -> None:
    """Refuses what is neither a folder nor a file that can be written, before there is work.

    Raises:
        UsageError: when the suffix is another one.
    """
    path = Path(out)
    if path.suffix and not path.is_dir() and path.suffix not in SUFFIXES:
        raise UsageError(f"--out {out}: give a name that ends in .csv, .html or .md, or a folder for all three.")


def write_comparison(
    out: Path,
    table: pd.DataFrame,
    items: Sequence[str],
    title: str,
    warnings: Sequence[str],
    explanations: Sequence[str],
) -> None:
    """Writes a comparison to one file by its suffix, or to `comparison.csv`, `.html` and `.md` in a folder.

    Args:
        out: file or folder.
        table: of `Comparison`.
        items: its columns of action units or emotions.
        title: what the numbers are.
        warnings: what differs between the evaluations.
        explanations: of the words in `differs` and `caution`.
    """
    single = out.suffix in SUFFIXES and not out.is_dir()
    for path in [out] if single else [out / f"{NAME}{suffix}" for suffix in SUFFIXES]:
        if path.suffix == ".csv":
            with replacing(path) as temporary:
                plain_cells(table).to_csv(temporary, index=False)
        elif path.suffix == ".html":
            write_text(path, _page(table, items, title, warnings, explanations))
        else:
            write_text(path, _markdown(table, items, title, warnings, explanations))


def _page(
    table: pd.DataFrame, items: Sequence[str], title: str, warnings: Sequence[str], explanations: Sequence[str]
) -> str:
    numbers = [*items, "mean"]
    papers = "differs" in table
    values = table.groupby("evaluation")[numbers]
    highest = values.transform("max")
    best = highest.eq(table[numbers]) & highest.gt(values.transform("min"))  # where all are alike none is best
    if papers:
        best[table["differs"].notna()] = False  # the papers' rows are no contest of their own
    rows = [(row, set(marks.index[marks])) for row, (_, marks) in zip(_clean(table), best.iterrows())]
    return render_page(
        "duchenne.evaluation.comparing",
        "compare.jinja",
        {
            "title": title, "rows": rows, "items": list(items), "warnings": warnings, "explanations": explanations,
            "papers": sources() if papers else [], "protocols": _protocols(table) if papers else {},
        },
    )  # fmt: skip


def _protocols(table: pd.DataFrame) -> dict[str, str]:
    """What the protocols of the table are, those that the papers know."""
    return {str(name): text for name, text in PROTOCOLS.items() if name in set(table["protocol"])}


def _clean(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def _markdown(
    table: pd.DataFrame, items: Sequence[str], title: str, warnings: Sequence[str], explanations: Sequence[str]
) -> str:
    numbers = [*items, "mean"]
    words = [name for name in REMARKS if name in table]
    header = ["evaluation", "model", "protocol", *numbers, *(word.replace("_", " ") for word in words)]
    lines = [
        f"# {title}",
        "",
        "In percent.",
        "",
        _line(header),
        _line(["---"] * 3 + ["--:"] * len(numbers) + ["---"] * len(words)),
    ]
    for row in _clean(table):
        texts = [str(row[name]) for name in ("evaluation", "model", "protocol")]
        values = ["–" if row[name] is None else f"{100 * row[name]:.1f}" for name in numbers]
        lines.append(_line([*texts, *values, *(row[name] or "" for name in words)]))
    parts = {"Not the same in all": warnings, "What the words mean": explanations}
    if words:
        parts["Protocols"] = [f"{name}: {text}." for name, text in _protocols(table).items()]
        parts["Papers"] = sources()
    for heading, sentences in parts.items():
        if sentences:
            lines += ["", f"## {heading}", "", *(f"- {sentence}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(as_markdown, cells)) + " |"
