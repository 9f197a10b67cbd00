"""`duchenne compare`: evaluations and the papers' rows in one table, and what keeps them from being comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from duchenne.data.spreadsheets import written_cells
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.comparing.published_rows import Evaluation, explain, find_rows, table_rows
from duchenne.evaluation.comparing.summaries import read_summary
from duchenne.evaluation.comparing.writing import REMARKS, check_out, write_comparison
from duchenne.evaluation.result import EvaluationResult
from duchenne.evaluation.scoring import mean_defined
from duchenne.files import each_once
from duchenne.keywords import check_choice
from duchenne.published import Metric

Aggregate = Literal["mean_of_folds", "pooled"]
PROTOCOL_KEYS: Final = (
    "name", "target", "items", "folds", "seeds", "repeats", "frames", "feature", "weighting", "threshold",
)  # fmt: skip
OWN_KEYS: Final = ("l2", "areas")
"""Of some protocols only."""
DATA_KEYS: Final = ("name", "alignment", "size_px", "label_kind", "crops")
NUMBERS: Final = ("mean", "low", "high")
_FIXED: Final = {"evaluation", "model", "protocol", *NUMBERS, *REMARKS}


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` gives.

    Attributes:
        table: one row per evaluation and model: `evaluation, model, protocol`, one column per item, `mean`, `low`,
            `high` (of the mean), all 0 to 1; the model `always positive` stands beside every F1. Null: undefined. With
            published rows, which follow with the comparable ones first: `same_method` (models of the evaluations that
            are of the row's method), `comparable_with` (evaluations), `differs` and `caution` (words that
            `explanations` explains) and `note` (errors in the printed row, remarks).
        warnings: what differs between the evaluations, one sentence each.
        explanations: what the words in `differs` and `caution` mean here, one sentence each.
    """

    table: pd.DataFrame
    warnings: tuple[str, ...]
    explanations: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Short: rows are counted."""
        return f"<comparison: {len(self.table)} rows, {len(self.items)} items, {len(self.warnings)} warnings>"

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        return str(self.table.to_html(index=False, na_rep="", max_rows=60, float_format="{:.3f}".format))

    @property
    def items(self) -> list[str]:
        """The columns of action units or emotions."""
        return [str(name) for name in self.table if name not in _FIXED]


def compare(
    folders: str | Path | EvaluationResult | Sequence[str | Path | EvaluationResult] = (),
    *,
    published: str | Sequence[str] = (),
    ablations: bool = False,
    metric: Metric = "f1",
    aggregate: Aggregate = "mean_of_folds",
    out: str | Path | None = None,
) -> Comparison:
    """Puts the models of several evaluations side by side, together with the papers' printed results.

    Args:
        folders: that `duchenne evaluate` wrote, or what `evaluate` returned; one or several.
        published: data sets whose printed rows to add: `bp4d`, `disfa`, `gft`, `emotionet`, `affectnet`, `raf-db`.
        ablations: whether the papers' ablations on these data sets are added, each with the recipe that trains it.
        metric: `f1`, `auc`, or `recall` (of emotions: the accuracy of each class).
        aggregate: `mean_of_folds` or `pooled`.
        out: `FILE.csv`, `FILE.html` or `FILE.md` to write the table to, or a folder for all three.

    Returns:
        The table, and what differs between the protocols.

    Raises:
        UsageError: when there is nothing to show, a word is unknown, a folder is given twice, `out` has another ending,
            or no paper printed this metric for a data set.
        InputError: when a folder holds no evaluation.
    """
    check_choice("metric", metric, Metric)
    check_choice("aggregate", aggregate, Aggregate)
    several = [folders] if isinstance(folders, str | Path | EvaluationResult) else [*folders]
    paths = each_once([one.out if isinstance(one, EvaluationResult) else Path(one) for one in several])
    wanted = [published] if isinstance(published, str) else list(published)
    if not (paths or wanted):
        raise UsageError("compare: name at least one folder of `duchenne evaluate`.")
    if ablations and not wanted:
        raise UsageError("--ablations: are those on the data sets of --published; name one, or leave it out.")
    if out is not None:
        check_out(out)
    names = [path.name if [p.name for p in paths].count(path.name) == 1 else str(path) for path in paths]
    evaluations = [Evaluation(name, path, read_summary(path)) for name, path in zip(names, paths)]
    groups = find_rows(wanted, metric, ablations=ablations)
    printed = table_rows(groups, evaluations)
    own = [row for evaluation in evaluations for row in _own_rows(evaluation, metric, aggregate)]
    items = [item for evaluation in evaluations for item in evaluation.protocol["items"]]
    items = list(dict.fromkeys([*items, *(name for row in printed for name in row if name not in _FIXED)]))
    items.sort(key=lambda item: item if item.startswith("AU") else "")  # emotions keep their order
    columns = ["evaluation", "model", "protocol", *items, *NUMBERS, *(REMARKS if wanted else ())]
    table = pd.DataFrame([*own, *printed], columns=columns).astype(dict.fromkeys([*items, *NUMBERS], "float64"))
    result = Comparison(table, tuple(_warnings(evaluations)), explain(groups, evaluations, aggregate))
    if out is not None:
        title = f"{'AUC' if metric == 'auc' else metric.capitalize()}, {aggregate.replace('_', ' ')}"
        write_comparison(Path(out), result.table, result.items, title, result.warnings, result.explanations)
    return result


def _own_rows(evaluation: Evaluation, metric: Metric, aggregate: Aggregate) -> list[dict[str, Any]]:
    summary = evaluation.summary
    start = {"evaluation": evaluation.name, "protocol": evaluation.protocol["name"]}
    rows = []
    if metric == "f1":
        always = summary["always_positive"]
        values = {item: cell[aggregate] for item, cell in always["items"].items()}
        rows.append({**start, "model": "always positive", **values, "mean": always[aggregate]})
    recalls = _recalls(evaluation, aggregate) if metric == "recall" else {}
    for model, found in summary["models"].items():
        if metric == "recall":
            values = recalls.get(model, {})
            mean = found[aggregate].get("mean_recall", {"value": float(mean_defined(np.array(list(values.values()))))})
        else:
            values = {item: cell[aggregate][metric]["value"] for item, cell in found["items"].items()}
            mean = found[aggregate][metric]
        bounds = {"mean": mean["value"], "low": mean.get("low"), "high": mean.get("high")}
        rows.append({**start, "model": model, **values, **bounds})
    return rows


def _recalls(evaluation: Evaluation, aggregate: Aggregate) -> dict[str, dict[str, float]]:
    """Model -> item -> recall, from `scores.csv`: the summary holds it for the mean over emotions only."""
    file = evaluation.folder / "scores.csv"
    try:
        scores = written_cells(pd.read_csv(file))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({' '.join(str(error).split())}); evaluate again.") from error
    scores["found"] = scores["recall"] * scores["positives"]
    out: dict[str, dict[str, float]] = {}
    for (model, item), cells in scores[scores["positives"] > 0].groupby(["model", "item"], sort=False):
        seeds = cells.groupby("seed")
        sums = seeds[["found", "positives"]].sum()
        by_seed = sums["found"] / sums["positives"] if aggregate == "pooled" else seeds["recall"].mean()
        out.setdefault(str(model), {})[str(item)] = float(mean_defined(by_seed.to_numpy(float)))
    return out


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    """A sentence for each setting in which the evaluations differ, and for each model that has seen tested subjects."""
    out = []
    for evaluation in evaluations:
        first, name = evaluations[0].name, evaluation.name
        protocols = (evaluations[0].protocol, evaluation.protocol)
        keys = (*PROTOCOL_KEYS, *(OWN_KEYS if protocols[0]["name"] == protocols[1]["name"] else ()))
        pairs = [(key, *(protocol.get(key) for protocol in protocols)) for key in keys]
        training = [_training(one) for one in (evaluations[0], evaluation)]
        pairs.append(("intervals resampled", *map(_resampled, protocols)))
        pairs += [
            (f"training {key}", training[0][key], training[1][key]) for key in sorted(training[0].keys() & training[1])
        ]
        data = (evaluations[0].summary["data"], evaluation.summary["data"])
        for number, (one, other) in enumerate(zip(*data), start=1):
            place = f"data {number}"
            pairs += [(f"{place} {key}", one[key], other[key]) for key in DATA_KEYS]
            pairs.append((f"{place} positive_from", _presence(evaluations[0], one), _presence(evaluation, other)))
            pairs.append((f"{place} missing", *(part["settings"].get("missing", "drop") for part in (one, other))))
        if len(data[0]) != len(data[1]):
            pairs.append(("number of data sets", len(data[0]), len(data[1])))
        out += [f"{key}: {first} has {_plain(a)}, {name} {_plain(b)}." for key, a, b in pairs if a != b]
        models = evaluation.summary["models"].items()
        seen = [model for model, found in models if found["seen"]["transductive"]]
        if seen:
            out.append(f"transductive in {name} (tested subjects seen without labels): {', '.join(seen)}.")
    return out


def _resampled(protocol: Mapping[str, Any]) -> str:
    """How people were drawn for the intervals; files that do not say so are from when it was within folds."""
    stated = protocol.get("interval")
    return str(stated.get("resampled", "within folds")) if isinstance(stated, Mapping) else "within folds"


def _training(evaluation: Evaluation) -> dict[str, Any]:
    """How the encoders of an evaluation were trained further; nothing where they were not. The weighting is named."""
    found = (model.get("training") for model in evaluation.summary["models"].values())
    return {key: value for key, value in next(filter(None, found), {}).items() if key != "weighting"}


def _presence(evaluation: Evaluation, data: Mapping[str, Any]) -> str:
    """What counts as present in one of its data sets, in words."""
    stated = (evaluation.protocol["positive_from"] or {}).get(data["name"], data["positive_from"])
    if stated != "as coded":
        return f"{stated:g}"
    return "as coded" if data["label_kind"] != "intensity" else f"as coded, or {data['positive_from']:g}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping) and {"area_boxes", "area_groups"} <= value.keys():
        return f"{len(value['area_boxes'])} areas in {len(value['area_groups'])} groups (summary.json)"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
