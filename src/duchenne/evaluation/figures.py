"""Figures of the report as SVG that follows the page's text colour, so that they read on light and dark pages."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS: Final = ("#0a7abf", "#e08a00", "#0f9d75", "#c4679d", "#8c6bd1", "#d1552b", "#5ab0de", "#9a9a32")
"""Of models, in order; told apart by people who see red and green alike."""
TEXT: Final = "#010203"
"""Stands for the page's text colour until the SVG is written."""
STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "duchenne",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    **{
        key: TEXT
        for key in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    },
}

Estimate = Mapping[str, float | None]


def colour(index: int) -> str:
    """The colour of the model with this number."""
    return COLOURS[index % len(COLOURS)]


def overview(
    estimates: Mapping[str, Mapping[str, Estimate]], baselines: Mapping[str, float | None], labels: Mapping[str, str]
) -> str:
    """One row per model, one panel per metric, a dot with its interval.

    Args:
        estimates: model -> metric (`auc`, `f1`) -> value, low, high.
        baselines: metric -> a line to beat.
        labels: metric -> title of its panel.
    """
    models = list(estimates)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 0.85 + 0.42 * len(models)), layout="constrained")
        axes = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
        for axis, (metric, title) in zip(axes, labels.items()):
            for place, model in enumerate(models):
                value, low, high = (estimates[model][metric][key] for key in ("value", "low", "high"))
                if value is None:
                    continue
                if low is not None and high is not None:
                    axis.plot([low, high], [place, place], color=colour(place), linewidth=2.5, alpha=0.6)
                axis.plot(value, place, "o", color=colour(place), markersize=8)
            baseline = baselines.get(metric)
            if baseline is not None:
                axis.axvline(baseline, color=TEXT, linestyle="--", linewidth=1, alpha=0.6)
            axis.set_title(title, fontsize=10, loc="left")
            axis.grid(axis="x")
        axes[0].set_yticks(range(len(models)), [short(model) for model in models])
        axes[0].set_ylim(len(models) - 0.5, -0.5)
        return to_svg(figure)


def bars(
    items: Sequence[str],
    estimates: Mapping[str, Sequence[Estimate]],
    *,
    label: str,
    baseline: Sequence[float | None] | float,
) -> str:
    """One group of bars per item, one bar per model, with intervals and the line or marks to beat.

    Args:
        items: names of the groups.
        estimates: model -> one estimate per item.
        label: of the axis.
        baseline: one value per item, or one for all.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1), layout="constrained")
        axis: Axes = figure.subplots()
        width = 0.84 / max(1, len(estimates))
        places = np.arange(len(items))
        for number, (model, values) in enumerate(estimates.items()):
            heights = np.array([_plain(value["value"]) for value in values])
            at = places + (number - (len(estimates) - 1) / 2) * width
            axis.bar(at, np.nan_to_num(heights), width * 0.92, color=colour(number), label=short(model))
            low, high = (np.array([_plain(value[key]) for value in values]) for key in ("low", "high"))
            known = ~np.isnan(heights) & ~np.isnan(low)
            axis.vlines(at[known], low[known], high[known], color=TEXT, linewidth=1, alpha=0.75)
            for place in at[np.isnan(heights)]:
                axis.text(place, 0.02, "n/a", rotation=90, ha="center", va="bottom", fontsize=7)
        if isinstance(baseline, float):
            axis.axhline(baseline, color=TEXT, linestyle="--", linewidth=1, alpha=0.7)
        else:
            heights = np.array([_plain(value) for value in baseline])
            axis.hlines(heights, places - 0.46, places + 0.46, color=TEXT, linestyle="--", linewidth=1.2)
        axis.set_xticks(places, items)
        axis.set_xlim(-0.6, len(items) - 0.4)
        axis.set_ylim(0, 1)
        axis.set_ylabel(label)
        axis.grid(axis="y")
        axis.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
        return to_svg(figure)


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, label: str) -> str:
    """One line per run.

    Args:
        lines: name -> (steps, values).
        label: of the vertical axis.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 2.6), layout="constrained")
        axis: Axes = figure.subplots()
        for number, (name, (steps, values)) in enumerate(lines.items()):
            axis.plot(steps, values, color=colour(number), linewidth=1.8, label=short(name))
        axis.set_xlabel("step")
        axis.set_ylabel(label)
        axis.grid(visible=True)
        axis.legend(frameon=False, fontsize=9)
        return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element: scalable, in the page's font and text colour, the same bytes each time."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(TEXT, "currentColor").replace("'DejaVu Sans', ", "")
    return text.replace("<svg ", '<svg role="presentation" ', 1)


def short(name: str) -> str:
    """A model's name for a legend: the end of a long path."""
    return name if len(name) <= 28 else f"…{name[-27:]}"


def _plain(value: Any) -> float:
    return float("nan") if value is None else float(value)
