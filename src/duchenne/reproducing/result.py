"""The printed rows of a table beside what came out here, and what keeps the two from being comparable.

Columns of `table.csv`: `dataset, method, protocol, metric`; `printed`, `ours`, `low`, `high` (95 %) and `difference`
(ours less printed), all in percent, means over items, `ours` the mean of folds; `model` (ours), `differs` and `caution`
(words that the comparison beside it explains), `note` (errors in the printed row, or why it was not made).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from duchenne.data.spreadsheets import plain_cells
from duchenne.evaluation.comparing.published_rows import Evaluation, differences
from duchenne.evaluation.comparing.summaries import read_summary
from duchenne.files import replacing, write_text
from duchenne.plain import as_code, as_markdown
from duchenne.published import AVERAGE
from duchenne.reproducing.plan import Step
from duchenne.reproducing.tables import Entry, Table

NUMBERS: Final = ("printed", "ours", "low", "high", "difference")
COLUMNS: Final = ("dataset", "method", "protocol", "metric", *NUMBERS, "model", "differs", "caution", "note")
METRICS: Final = {"recall": "mean_recall"}
"""Metric of a row -> what `summary.json` calls it."""


def result_table(table: Table, steps: Sequence[Step], *, miniature: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The printed rows beside ours.

    Args:
        table: which one.
        steps: that were run.
        miniature: whether it was only tried out.

    Returns:
        The table, and what to know of it, one sentence each.
    """
    rows = [
        {
            "dataset": entry.row.dataset, "method": entry.row.method, "protocol": entry.row.protocol,
            "metric": entry.row.metric, "printed": entry.row.average, "note": _note(entry), **_ours(entry, steps),
        }
        for entry in table.entries
    ]  # fmt: skip
    found = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))
    found["difference"] = found["ours"] - found["printed"]
    notes = ["Made on synthetic faces in a few steps, to see that everything runs: the numbers mean nothing."]
    notes = notes if miniature else []
    if any(found["differs"].fillna("") != ""):
        notes.append("Rows with a word under `differs` are not comparable with the printed ones; docs/published.md.")
    if table.left_out:
        notes.append(table.left_out)
    return found, tuple(notes)


def write_result(folder: Path, table: Table, found: pd.DataFrame, notes: Sequence[str]) -> None:
    """Writes `table.csv` and `table.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "table.csv") as temporary:
        plain_cells(found).to_csv(temporary, index=False)
    lines = [f"# {table.title}", "", *(f"{note}\n" for note in notes), _line(COLUMNS)]
    lines.append("|" + "|".join("--:" if name in NUMBERS else "---" for name in COLUMNS) + "|")
    for row in found.to_dict("records"):
        cells = [_cell(row[name]) for name in COLUMNS if name != "model"]
        cells.insert(COLUMNS.index("model"), as_code(str(row["model"])) if isinstance(row["model"], str) else "")
        lines.append("| " + " | ".join(cells) + " |")
    write_text(folder / "table.md", "\n".join(lines) + "\n")


def _ours(entry: Entry, steps: Sequence[Step]) -> dict[str, Any]:
    for step in steps:
        name = dict(step.entries).get(entry)
        if name is None:
            continue
        evaluation = Evaluation(step.out.name, step.out, read_summary(step.out))
        score = evaluation.summary["models"][name]["mean_of_folds"].get(
            METRICS.get(entry.row.metric, entry.row.metric), {}
        )
        hard, soft = differences(entry.row, evaluation)
        values = {key: None if score.get(key) is None else 100 * score[key] for key in ("value", "low", "high")}
        return {
            "model": name, "ours": values["value"], "low": values["low"], "high": values["high"],
            "differs": " ".join(hard), "caution": " ".join(soft),
        }  # fmt: skip
    return {}


def _note(entry: Entry) -> str:
    said = [sentence if item == AVERAGE else f"{item}, {sentence}" for item, sentence in entry.row.notes]
    return "; ".join([f"not made: {entry.reason}"] * bool(entry.reason) + said)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.1f}"
    return as_markdown(str(value or ""))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
