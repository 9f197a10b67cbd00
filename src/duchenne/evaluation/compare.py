"""`duchenne compare`: the models of several evaluations in one table, and what keeps them from being comparable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from duchenne.errors import InputError, UsageError
from duchenne.files import replacing, write_text
from duchenne.pages import render_page

Metric = Literal["f1", "auc"]
Aggregate = Literal["mean_of_folds", "pooled"]
PROTOCOL_KEYS: Final = ("name", "target", "items", "folds", "seeds", "frames", "feature", "weighting", "threshold")
DATA_KEYS: Final = ("name", "alignment", "size_px", "label_kind", "positive_from", "crops")


@dataclass(frozen=True)
class Comparison:
    """What `compare` gives.

    Attributes:
        table: one row per evaluation and model: `evaluation, model`, one column per item, `mean`, `low`, `high` (of
            the mean), all 0 to 1; the model `always positive` stands beside every F1. Null: undefined.
        warnings: what differs between the evaluations, one sentence each.
    """

    table: pd.DataFrame
    warnings: tuple[str, ...]


def compare(
    folders: Sequence[str | Path],
    *,
    metric: Metric = "f1",
    aggregate: Aggregate = "mean_of_folds",
    out: str | Path | None = None,
) -> Comparison:
    """Puts the models of several evaluations side by side.

    Args:
        folders: that `duchenne evaluate` wrote.
        metric: `f1` or `auc`.
        aggregate: `mean_of_folds` or `pooled`.
        out: `FILE.csv` or `FILE.html` to write the table to.

    Returns:
        The table, and what differs between the protocols.

    Raises:
        UsageError: when no folder is given, one is given twice, or `out` has another ending.
        InputError: when a folder holds no evaluation.
    """
    paths = [Path(folder) for folder in folders]
    if not paths or len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("compare: name at least one folder of `duchenne evaluate`, and each only once.")
    if out is not None and Path(out).suffix not in (".csv", ".html"):
        raise UsageError(f"--out {out}: give a name that ends in .csv or .html.")
    names = [path.name if [p.name for p in paths].count(path.name) == 1 else str(path) for path in paths]
    summaries = dict(zip(names, (_read(path) for path in paths)))
    items = list(dict.fromkeys(item for summary in summaries.values() for item in summary["protocol"]["items"]))
    rows = []
    for name, summary in summaries.items():
        if metric == "f1":
            always = summary["always_positive"]
            values = {item: cell[aggregate] for item, cell in always["items"].items()}
            rows.append({"evaluation": name, "model": "always positive", **values, "mean": always[aggregate]})
        for model, found in summary["models"].items():
            values = {item: cell[aggregate][metric]["value"] for item, cell in found["items"].items()}
            mean = found[aggregate][metric]
            rows.append({"evaluation": name, "model": model, **values, "mean": mean["value"]} | _bounds(mean))
    table = pd.DataFrame(rows, columns=["evaluation", "model", *items, "mean", "low", "high"])
    table = table.astype(dict.fromkeys([*items, "mean", "low", "high"], "float64"))
    result = Comparison(table, tuple(_warnings(summaries)))
    if out is not None:
        _write(Path(out), result, items, metric, aggregate)
    return result


def _read(path: Path) -> dict[str, Any]:
    file = path / "summary.json" if path.is_dir() else path
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: holds no evaluation (no summary.json); name a folder of `duchenne evaluate`."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}); evaluate again.") from error
    if not isinstance(summary, dict) or not {"protocol", "models", "always_positive", "data"} <= set(summary):
        raise InputError(f"{file}: is no summary of `duchenne evaluate`; name another folder.")
    return summary


def _bounds(estimate: Mapping[str, float | None]) -> dict[str, float | None]:
    return {"low": estimate["low"], "high": estimate["high"]}


def _warnings(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each setting in which the evaluations differ, and for each model that has seen tested subjects."""
    out = []
    first = next(iter(summaries))
    for name, summary in summaries.items():
        pairs = [(key, summaries[first]["protocol"][key], summary["protocol"][key]) for key in PROTOCOL_KEYS]
        for place, (one, other) in enumerate(zip(summaries[first]["data"], summary["data"])):
            pairs += [(f"data {place + 1} {key}", one[key], other[key]) for key in DATA_KEYS]
        if len(summaries[first]["data"]) != len(summary["data"]):
            pairs.append(("number of data sets", len(summaries[first]["data"]), len(summary["data"])))
        out += [f"{key}: {first} has {_plain(a)}, {name} {_plain(b)}." for key, a, b in pairs if a != b]
        seen = [model for model, found in summary["models"].items() if found["seen"]["transductive"]]
        if seen:
            out.append(f"transductive in {name} (tested subjects seen without labels): {', '.join(seen)}.")
    return out


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _write(out: Path, result: Comparison, items: Sequence[str], metric: Metric, aggregate: Aggregate) -> None:
    if out.suffix == ".csv":
        with replacing(out) as temporary:
            result.table.to_csv(temporary, index=False)
        return
    best = result.table.groupby("evaluation")[[*items, "mean"]].transform("max").eq(result.table[[*items, "mean"]])
    clean = result.table.astype(object).where(result.table.notna(), None)
    rows = [(row, set(marks.index[marks])) for row, (_, marks) in zip(clean.to_dict("records"), best.iterrows())]
    title = f"{'F1' if metric == 'f1' else 'AUC'}, {aggregate.replace('_', ' ')}"
    values = {"title": title, "rows": rows, "items": items, "warnings": result.warnings}
    write_text(out, render_page("duchenne.evaluation", "compare.jinja", values))
