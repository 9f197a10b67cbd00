"""`report.html` of an evaluation: one page without any network, for screens, phones and paper, light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from duchenne import plots
from duchenne.data.prepared import Prepared
from duchenne.data.shards import encode_jpeg
from duchenne.evaluation.report import parts
from duchenne.evaluation.report.gradcam import Attention
from duchenne.evaluation.report.maps import MapSettings, draw_map
from duchenne.evaluation.report.parts import text_uri, to_data_uri
from duchenne.evaluation.scoring import Predictions
from duchenne.facs import ACTION_UNITS
from duchenne.files import write_text
from duchenne.pages import jpeg_uri, render_page
from duchenne.training.log import read_log

FACE_PX: Final = 128
CHANCE: Final = 0.5
"""AUC of scores that say nothing."""
TITLES: Final = {"auc": "AUC", "f1": "F1"}
ORACLE: Final = (
    "F1 with an oracle's thresholds, chosen on the tested faces: an upper bound, not to be compared with other F1."
)


def write_report(
    out: Path,
    table: pd.DataFrame,
    summary: Mapping[str, Any],
    data: Prepared,
    rows: NDArray[np.int64],
    labels: NDArray[np.floating],
    runs: Mapping[str, Mapping[int, Predictions]],
    *,
    classifier: str,
    sample_faces: int,
    maps: Mapping[str, NDArray[np.float64]],
    map_places: NDArray[np.integer],
    map_settings: MapSettings,
    attention: Sequence[Attention] = (),
    attention_text: str = "",
) -> None:
    """Writes `report.html`.

    Args:
        out: the evaluation's folder.
        table: of `scores.csv`.
        summary: of `summary.json`.
        data: tested on, for the sample faces.
        rows: (N,) rows of the data that took part.
        labels: (N, A) 0, 1 or NaN.
        runs: model -> seed -> what was tested.
        classifier: what is trained, in words.
        sample_faces: how many to show.
        maps: model -> (P, 2) points; empty for no maps.
        map_places: (P,) places of the faces on them among the rows.
        map_settings: what colours them.
        attention: faces with what the encoders looked at.
        attention_text: says more of the encoders that looked.
    """
    models, items = summary["models"], summary["protocol"]["items"]
    names = list(models)
    named = [name for name in names if not models[name]["baseline"]]
    always = summary["always_positive"]
    overview = {name: {metric: models[name]["mean_of_folds"][metric] for metric in TITLES} for name in names}
    per_item = {
        metric: {name: [models[name]["items"][item]["mean_of_folds"][metric] for item in items] for name in names}
        for metric in TITLES
    }
    baseline: dict[str, float | list[float | None]] = {
        "auc": 0.5,
        "f1": [always["items"][item]["mean_of_folds"] for item in items],
    }
    colours = {name: plots.colour(number) for number, name in enumerate(names)}
    losses = {name: values for name in names if (values := log_curve(name, "loss"))}
    page = {
        "summary": summary,
        "title": f"{summary['protocol']['name']} protocol, {', '.join(part['name'] for part in summary['data'])}",
        "findings": findings(summary),
        "classifier": classifier,
        "present_from": _present_from(summary["protocol"]["threshold"]),
        "split": _split(summary["protocol"]),
        "items": items,
        "item_names": {item: item_name(item) for item in items},
        "shares": _shares(table, names[0]),
        "colours": colours,
        "overview": Markup(
            plots.overview(
                overview,
                {"auc": 0.5, "f1": always["mean_of_folds"]},
                {"auc": "AUC, mean over items (dashed: chance)", "f1": "F1, mean over items (dashed: always positive)"},
            )
        ),
        "bars": {
            metric: Markup(plots.bars(items, values, label=TITLES[metric], baseline=baseline[metric]))
            for metric, values in per_item.items()
        },
        "bars_csv": {metric: to_data_uri(_estimate_rows(items, values)) for metric, values in per_item.items()},
        "overview_csv": to_data_uri(_overview_rows(overview)),
        "losses": Markup(plots.curves(losses, label="loss", colours=colours)) if losses else None,
        "losses_csv": to_data_uri(_loss_rows(losses)),
        "faces": sample(data, rows, labels, runs[names[0]][0], items, sample_faces),
        "first": names[0],
        **parts.label_efficiency(summary, TITLES),
        **parts.sweep(summary, TITLES),
        **parts.epochs(summary, TITLES, colours),
        **parts.correlations(items, labels, {name: runs[name] for name in named}),
        **parts.attention(data, attention),
        "attention_text": attention_text,
        **parts.face_areas(summary["protocol"]["areas"], data, rows, picture=sample_faces > 0),
        **_maps(maps, data, rows[map_places], labels[map_places], items, map_settings),
        "scores_csv": text_uri(table.to_csv(index=False)),
        "summary_json": json.dumps(summary, indent=1, allow_nan=False),
        "score": _score,
        "between": _between,
        "signed": _signed,
    }
    write_text(out / "report.html", render_page("duchenne.evaluation.report", "report.jinja", page))


def _maps(
    maps: Mapping[str, NDArray[np.float64]],
    data: Prepared,
    rows: NDArray[np.int64],
    labels: NDArray[np.floating],
    items: Sequence[str],
    settings: MapSettings,
) -> dict[str, Any]:
    emotions, subjects = data.column("emotion", rows), data.subject_names(rows)
    return {
        "maps": {
            name: Markup(draw_map(points, labels, items, emotions, subjects, settings)) for name, points in maps.items()
        },
        "map_items": settings.items,
        "maps_csv": to_data_uri(
            [["model", "row", "x", "y"]]
            + [[name, int(row), *np.round(xy, 4)] for name, points in maps.items() for row, xy in zip(rows, points)]
        ),
    }


def absent_items(summary: Mapping[str, Any]) -> list[str]:
    """Items that no tested face shows."""
    return [item for item, values in summary["always_positive"]["items"].items() if values["pooled"] == 0]


def findings(summary: Mapping[str, Any]) -> list[str]:
    """What the numbers say, in sentences; nothing that the intervals do not carry."""
    models, always = summary["models"], summary["always_positive"]["mean_of_folds"]
    ranked = sorted(models, key=lambda name: -(models[name]["mean_of_folds"]["auc"]["value"] or 0.0))
    best = models[ranked[0]]["mean_of_folds"]["auc"]
    out = [ORACLE] if summary["protocol"]["threshold"] == "oracle" else []
    out += [f"Highest mean AUC: {ranked[0]}, {_score(best['value'])} ({_between(best)})."]
    for pair in summary["differences"]:
        if ranked[0] in (pair["first"], pair["second"]):
            other = pair["second"] if pair["first"] == ranked[0] else pair["first"]
            low, high = (pair["mean_of_folds"]["auc"][key] for key in ("low", "high"))
            if low is not None and low <= 0 <= high:
                out.append(f"Its lead over {other} could be chance: the interval of the difference holds 0.")
    spans = {name: models[name]["mean_of_folds"]["auc"] for name in models}
    below = [name for name, span in spans.items() if span["high"] is not None and span["high"] < CHANCE]
    if below:
        out.append(
            f"Worse than chance in AUC, with the whole interval below {_score(CHANCE)}: {', '.join(below)}. What is "
            "learned on the training subjects is reversed in the tested ones; look at the labels and the folds."
        )
    weak = [name for name in models if (models[name]["mean_of_folds"]["f1"]["value"] or 0.0) <= always]
    if weak:
        out.append(f"No better in F1 than calling every item present ({_score(always)}): {', '.join(weak)}.")
    seen = [name for name in models if models[name]["seen"]["transductive"]]
    if seen:
        out.append(f"Transductive (has seen the tested subjects, without their labels): {', '.join(seen)}.")
    absent = absent_items(summary)
    if absent:
        out.append(
            f"Present in no tested face: {', '.join(absent)}. F1 is 0 there whatever a model says, which lowers every "
            "mean F1; AUC leaves it out."
        )
    cells = next(iter(models.values()))["undefined"]
    if cells["auc"]:
        out.append(f"{cells['auc']} of {cells['of']} cells have no AUC, because a fold lacks positives or negatives.")
    loose = [name for name in models if models[name].get("not_converged")]
    if loose:
        out.append(f"Some linear units did not converge: {', '.join(loose)}.")
    return out


def sample(
    data: Prepared,
    rows: NDArray[np.int64],
    labels: NDArray[np.floating],
    tested: Predictions,
    items: Sequence[str],
    number: int,
) -> list[dict[str, Any]]:
    """Tested faces with what is there and what was said: item after item, one frame that shows it, each once.

    Args:
        data: holds the crops.
        rows: (N,) rows of the data.
        labels: (N, A).
        tested: the predictions shown.
        items: names of the A items.
        number: of faces.

    Returns:
        One entry per face: `source` (data URI), `alt`, and `hits`, `misses`, `extras` as names of items.
    """
    generator = np.random.default_rng(0)
    groups = [generator.permutation(np.flatnonzero((column == 1) & (tested.fold >= 0))) for column in labels.T]
    chosen: list[int] = []
    depth = 0
    while len(chosen) < number and any(depth < len(group) for group in groups):
        for group in groups:
            if depth < len(group) and group[depth] not in chosen and len(chosen) < number:
                chosen.append(int(group[depth]))
        depth += 1
    out = []
    for place in chosen:
        there, said, known = labels[place] == 1, tested.predicted[place], ~np.isnan(labels[place])
        sets = {"hits": there & said, "misses": there & ~said, "extras": ~there & said & known}
        marks = {key: [item.removeprefix("AU") for item, on in zip(items, mask) if on] for key, mask in sets.items()}
        picture = cv2.resize(data.image(int(rows[place])), (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
        source = jpeg_uri(encode_jpeg(np.asarray(picture, dtype=np.uint8)))
        alt = "face; " + "; ".join(f"{key}: {', '.join(values)}" for key, values in marks.items() if values)
        out.append({"source": source, "alt": alt, **marks})
    return out


def log_curve(model: str | Path, key: str) -> tuple[list[float], list[float]] | None:
    """Steps and values of a key from the `log.jsonl` of a run; None where the model is no run or has none."""
    path = Path(model)
    log = (path if path.is_dir() else path.parent) / "log.jsonl"
    if not path.exists() or not log.is_file():
        return None
    lines = [line for _, line in read_log(log) if line is not None]
    pairs = [(line["step"], line[key]) for line in lines if isinstance(line.get(key), int | float)]
    return ([step for step, _ in pairs], [value for _, value in pairs]) if pairs else None


def item_name(item: str) -> str:
    """`inner brow raiser` for `AU01`; nothing for emotions."""
    number = item.removeprefix("AU")
    return ACTION_UNITS[int(number)].name if number.isdigit() and int(number) in ACTION_UNITS else ""


def _estimate_rows(items: Sequence[str], values: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[Any]]:
    header = [["model", "item", "value", "low", "high"]]
    return header + [
        [model, item, estimate["value"], estimate["low"], estimate["high"]]
        for model, estimates in values.items()
        for item, estimate in zip(items, estimates)
    ]


def _overview_rows(overview: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[Any]]:
    return [["model", "metric", "value", "low", "high"]] + [
        [model, metric, estimate["value"], estimate["low"], estimate["high"]]
        for model, metrics in overview.items()
        for metric, estimate in metrics.items()
    ]


def _loss_rows(losses: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> list[list[Any]]:
    return [["model", "step", "loss"]] + [[name, *pair] for name, values in losses.items() for pair in zip(*values)]


def _present_from(threshold: float | str | None) -> str:
    words = {
        "stored": "the threshold of highest F1 on held-out training subjects, per fold and item (summary.json)",
        "oracle": "the threshold of highest F1 on the tested faces, per fold and item: an oracle's",
    }
    if threshold is None:
        return "highest score of all items"
    return words[threshold] if isinstance(threshold, str) else f"a sigmoid of {threshold}"


def _split(protocol: Mapping[str, Any]) -> str:
    known = {"split": "the data's own split", "train-data": "whole data sets to train on and to test on"}
    number, people = len(protocol["first_seed_folds"]), protocol["interval"]["of"] == "subjects"
    folds = (
        f"{number} folds {'without shared subjects' if people else 'of pictures (not of everyone the name is known)'}"
    )
    parts = [known.get(protocol["folds"], folds)]
    for key, word in (("seeds", "seeds"), ("repeats", "splits per seed")):
        if protocol[key] > 1:
            parts.append(f"{protocol[key]} {word}")
    return ", ".join(parts)


def _shares(table: pd.DataFrame, model: str) -> dict[str, float]:
    """Share of positives among the known tested labels of each item."""
    mine = table[table["model"] == model].groupby("item")[["positives", "negatives"]].sum()
    total = mine.sum(axis=1).clip(lower=1)
    return {str(item): float(value) for item, value in (mine["positives"] / total).items()}


def _score(value: float | None) -> str:
    """`.623`; a dash where undefined."""
    if value is None:
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else ("+" if value >= 0 else "−") + _score(abs(value))


def _between(estimate: Mapping[str, float | None]) -> str:
    """`.601 to .645`."""
    if estimate["low"] is None:
        return "no interval"
    return f"{_score(estimate['low'])} to {_score(estimate['high'])}"
