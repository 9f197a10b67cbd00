"""Parts of the report beyond scores: spread, label efficiency, sweeps, correlations, attention; each with its CSV."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from duchenne import plots
from duchenne.data.prepared import Prepared
from duchenne.data.shards import encode_jpeg
from duchenne.evaluation.report.area_figure import area_figure, boxes_of, typical_face
from duchenne.evaluation.report.correlations import distance, label_correlations, score_correlations
from duchenne.evaluation.report.gradcam import Attention, drawn
from duchenne.evaluation.scoring import Predictions, mean_defined
from duchenne.faces.areas import AreaTable
from duchenne.metrics import json_number
from duchenne.pages import jpeg_uri

ATTENTION_PX: Final = 112


def label_efficiency(summary: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """The curves over shares of the labels; nothing where there are none.

    Args:
        summary: of `summary.json`.
        titles: metric -> its name.
    """
    every = summary["models"]
    models = {name: every[name]["label_efficiency"] for name in every if "label_efficiency" in every[name]}
    if not models:
        return {"efficiency": None, "efficiency_csv": ""}
    first = next(iter(models.values()))
    lines = {
        title: {name: [point[metric] for point in points] for name, points in models.items()}
        for metric, title in titles.items()
    }
    unit = summary["protocol"]["label_unit"]
    figure = plots.shares(lines, [point["share"] for point in first], label=f"share of the training {unit}")
    rows = [["model", "share", "training_units", "training_frames", "metric", "value", "low", "high"]] + [
        [name, point["share"], point["training_units"], point["training_frames"], m, *point[m].values()]
        for name, points in models.items()
        for point in points
        for m in titles
    ]
    return {"efficiency": Markup(figure), "efficiency_csv": to_data_uri(rows)}


def epochs(summary: Mapping[str, Any], titles: Mapping[str, str], colours: Mapping[str, str]) -> dict[str, Any]:
    """How the scores of tested faces rose while encoders were fine-tuned; nothing where that was not asked for.

    An epoch's point is the mean over folds and seeds, of those trainings that reached it and have a score there.
    """
    lines: dict[str, dict[str, tuple[list[float], list[float]]]] = {metric: {} for metric in titles}
    for name, model in summary["models"].items():
        folds = [fold for seed in model.get("folds", {}).values() for fold in seed if "epoch_auc" in fold]
        for metric in titles if folds else ():
            curves = [fold[f"epoch_{metric}"] for fold in folds]
            reached = range(max(map(len, curves)))
            rows_of = [[curve[e] for curve in curves if e < len(curve)] for e in reached]
            means = [float(mean_defined(np.array(scores, dtype=np.float64))) for scores in rows_of]
            lines[metric][name] = [float(e + 1) for e in reached], means
    if not any(lines.values()):
        return {"epochs": {}, "epochs_csv": ""}
    drawn = {
        metric: Markup(plots.curves(found, label=titles[metric], colours=colours, across="epoch"))
        for metric, found in lines.items()
    }
    rows: list[list[Any]] = [["model", "metric", "epoch", "value"]] + [
        [name, metric, int(epoch), json_number(value)]
        for metric, found in lines.items()
        for name, (places, values) in found.items()
        for epoch, value in zip(places, values)
    ]
    return {"epochs": drawn, "epochs_csv": to_data_uri(rows)}


def sweep(summary: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """The scores of the runs against a setting; nothing where none was asked for."""
    values, models = summary["sweep"], summary["models"]
    if not values:
        return {"sweep": None, "sweep_csv": ""}
    scores = {name: model["mean_of_folds"] for name, model in models.items()}
    by, key = summary["sweep_by"], summary["protocol"]["sweep_by"]
    lines = {name: f"{key} {by[name]}" if by else "" for name in values}
    points = {title: [(x, scores[name][m], lines[name]) for name, x in values.items()] for m, title in titles.items()}
    beside = {title: {n: s[m] for n, s in scores.items() if n not in values} for m, title in titles.items()}
    figure = plots.sweeps(points, beside, label=summary["protocol"]["sweep"])
    own = [key] if by else []
    rows = [["model", summary["protocol"]["sweep"], *own, "metric", "value", "low", "high"]] + [
        [name, x, *([by[name]] if by else []), m, *scores[name][m].values()]
        for name, x in values.items()
        for m in titles
    ]
    return {"sweep": Markup(figure), "sweep_csv": to_data_uri(rows)}


def correlations(
    items: Sequence[str], labels: NDArray[np.floating], runs: Mapping[str, Mapping[int, Predictions]]
) -> dict[str, Any]:
    """The correlations of labels and of every model's scores, over tested rows; nothing for a single item."""
    if len(items) < 2:
        return {"correlations": None, "correlations_csv": "", "apart": {}}
    tested = np.any([run.fold >= 0 for run in next(iter(runs.values())).values()], axis=0)
    truth = label_correlations(labels[tested])
    found = {"labels": truth, **{name: score_correlations(run) for name, run in runs.items()}}
    rows: list[list[Any]] = [["of", "item", "other", "correlation"]] + [
        [name, item, other, json_number(matrix[i, j])]
        for name, matrix in found.items()
        for i, item in enumerate(items)
        for j, other in enumerate(items)
        if i < j
    ]
    return {
        "correlations": Markup(plots.matrices(items, found)),
        "correlations_csv": to_data_uri(rows),
        "apart": {name: json_number(distance(truth, matrix)) for name, matrix in found.items() if name != "labels"},
    }


def attention(data: Prepared, faces: Sequence[Attention]) -> dict[str, Any]:
    """Faces with attention maps, model by model and item by item; nothing where there are none."""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for face in faces:
        picture = jpeg_uri(encode_jpeg(drawn(data, face, ATTENTION_PX)))
        alt = f"attention for {face.item} on a face; {face.verdict}"
        groups.setdefault(face.model, {}).setdefault(face.item, []).append(
            {"source": picture, "alt": alt, "verdict": face.verdict}
        )
    rows: list[list[Any]] = [["model", "item", "row", "verdict", "score", "y", "x", "attention"]] + [
        [face.model, face.item, face.row, face.verdict, round(face.score, 4), y, x, round(float(value), 4)]
        for face in faces
        for (y, x), value in np.ndenumerate(face.cells)
    ]
    sides = dict.fromkeys(face.cells.shape for face in faces)
    return {
        "attention": groups,
        "attention_csv": to_data_uri(rows),
        "attention_cells": " or ".join(f"{width} × {height}" for height, width in sides),
    }


def face_areas(
    table: Mapping[str, Sequence[str]] | None, data: Prepared, rows: NDArray[np.integer], *, picture: bool
) -> dict[str, Any]:
    """Where the areas of a face lie and how they are related; nothing for other protocols or without landmarks.

    Args:
        table: `areas` of the protocol.
        data: the faces.
        rows: that took part, one of which is shown.
        picture: show the face; else its landmarks alone.
    """
    row = typical_face(data, rows) if table else None
    if table is None or row is None:
        return {"face_areas": None, "face_areas_csv": ""}
    areas = AreaTable(area_boxes=tuple(table["area_boxes"]), area_groups=tuple(table["area_groups"]))
    with mpl.rc_context(plots.STYLE):
        drawn_areas = plots.to_svg(area_figure(data, row, areas, picture=picture))
    size = data.image(row).shape[0]
    boxes = [[number, *sides] for number, sides in enumerate(np.round(boxes_of(data, row, areas, size), 2), start=1)]
    cells = [["area", "row", "left", "top", "right", "bottom"]] + [[box[0], row, *box[1:]] for box in boxes]
    return {"face_areas": Markup(drawn_areas), "face_areas_csv": to_data_uri(cells)}


def to_data_uri(rows: Iterable[Sequence[Any]]) -> str:
    """A CSV of these rows as a link target."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return text_uri(buffer.getvalue())


def text_uri(text: str) -> str:
    """A text (CSV) as a link target."""
    return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()
