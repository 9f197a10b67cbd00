"""Figures of the report as SVG that follows the page's text colour, so that they read on light and dark pages."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

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

LONGEST_NAME: Final = 28
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
        places, lowest = np.arange(len(items)), 0.0
        for number, (model, values) in enumerate(estimates.items()):
            heights = np.array([_plain(value["value"]) for value in values])
            at = places + (number - (len(estimates) - 1) / 2) * width
            axis.bar(at, np.nan_to_num(heights), width * 0.92, color=colour(number), label=short(model))
            low, high = (np.array([_plain(value[key]) for value in values]) for key in ("low", "high"))
            known = ~np.isnan(heights) & ~np.isnan(low)
            lowest = float(np.nanmin([lowest, *heights, *low[known]]))
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
        axis.set_ylim(lowest, 1)
        if lowest < 0:  # agreement below chance
            axis.axhline(0, color=TEXT, linewidth=1)
        axis.set_ylabel(label)
        axis.grid(axis="y")
        axis.grid(visible=False, axis="x")
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
        return to_svg(figure)


def matrices(items: Sequence[str], values: Mapping[str, NDArray[np.float64]]) -> str:
    """Correlation matrices side by side, from -1 (orange) over 0 (white) to 1 (blue); undefined cells are empty.

    Args:
        items: names of the rows and columns.
        values: title -> (A, A).
    """
    across = 2 if len(values) in (2, 4) else min(3, len(values))
    down = -(-len(values) // across)
    scale = LinearSegmentedColormap.from_list(
        "correlation", [COLOURS[5], COLOURS[1], "#ffffff", COLOURS[6], COLOURS[0]]
    )
    with mpl.rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(9.2, 0.4 + 3.0 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        for axis in grid.flat[len(values) :]:
            axis.set_axis_off()
        for axis, (title, matrix) in zip(grid.flat, values.items()):
            mesh = axis.pcolormesh(np.ma.masked_invalid(matrix), cmap=scale, vmin=-1, vmax=1)
            axis.set_title(short(title), fontsize=10, loc="left")
            places = np.arange(len(items)) + 0.5
            axis.set_xticks(places, items, rotation=90)
            axis.set_yticks(places, items)
            axis.invert_yaxis()
            axis.set_aspect("equal")
        figure.colorbar(mesh, ax=grid, shrink=0.8, label="correlation")
        return to_svg(figure)


def shares(lines: Mapping[str, Mapping[str, Sequence[Estimate]]], amounts: Sequence[float], *, label: str) -> str:
    """One line per model over the share of the labels, one panel per metric, with bands for the intervals.

    Args:
        lines: title of the panel -> model -> one estimate per share.
        amounts: the shares, ascending.
        label: of the horizontal axis.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.2), layout="constrained")
        for axis, (title, models) in zip(figure.subplots(1, len(lines), squeeze=False)[0], lines.items()):
            for number, (model, values) in enumerate(models.items()):
                middle, low, high = (np.array([_plain(v[key]) for v in values]) for key in ("value", "low", "high"))
                axis.fill_between(amounts, low, high, color=colour(number), alpha=0.15, linewidth=0)
                axis.plot(amounts, middle, "o-", color=colour(number), markersize=4, label=short(model))
            axis.set_xscale("log")
            axis.set_xticks(amounts, [f"{100 * share:g} %" for share in amounts])
            axis.minorticks_off()
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_xlabel(label)
            axis.grid(visible=True)
        handles, names = axis.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
        return to_svg(figure)


def sweeps(
    points: Mapping[str, Sequence[tuple[Any, Estimate, str]]],
    beside: Mapping[str, Mapping[str, Estimate]],
    *,
    label: str,
) -> str:
    """Scores of runs against a setting, one panel per metric, one line per group; other models as dashed lines.

    Args:
        points: title of the panel -> (value of the setting, estimate, name of the group) per run.
        beside: title of the panel -> model -> estimate.
        label: name of the setting.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.2), layout="constrained")
        for axis, (title, runs) in zip(figure.subplots(1, len(points), squeeze=False)[0], points.items()):
            numeric = all(isinstance(x, int | float) and not isinstance(x, bool) for x, *_ in runs)
            known: list[Any] = sorted({x if numeric else str(x) for x, *_ in runs})
            groups = sorted({group for *_, group in runs})
            for number, group in enumerate(groups):
                mine = [(float(x) if numeric else known.index(str(x)), value) for x, value, own in runs if own == group]
                _sweep_line(axis, mine, colour(number), group, joined=numeric)
            for number, (model, value) in enumerate(beside[title].items(), start=len(groups)):
                if value["value"] is not None:
                    axis.axhline(
                        value["value"], color=colour(number), linestyle="--", linewidth=1.2, label=short(model)
                    )
            places = known if numeric else range(len(known))
            _spread_out(axis, known if numeric else [])
            axis.set_xticks(places, [f"{x:g}" for x in known] if numeric else known)
            axis.minorticks_off()
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_xlabel(label)
            axis.grid(visible=True)
        handles, names = axis.get_legend_handles_labels()
        if names:
            figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
        return to_svg(figure)


def _spread_out(axis: Axes, values: Sequence[float]) -> None:
    """A logarithmic scale where values span more than a factor of 20; 0 then has a place of its own."""
    above = [x for x in values if x > 0]
    if not above or min(values) < 0 or max(above) / min(above) <= 20:
        return
    if len(above) == len(values):
        axis.set_xscale("log")
    else:
        axis.set_xscale("symlog", linthresh=min(above))


def _sweep_line(axis: Axes, runs: Sequence[tuple[float, Estimate]], own: str, group: str, *, joined: bool) -> None:
    """Runs as points with intervals and, where their places have an order, a line through the means of equal places."""
    for place, value in runs:
        if value["low"] is not None and value["high"] is not None:
            axis.plot([place, place], [value["low"], value["high"]], color=own, linewidth=2, alpha=0.4)
    places = np.array([place for place, _ in runs])
    heights = np.array([_plain(value["value"]) for _, value in runs])
    axis.plot(places, heights, "o", color=own, label=None if joined else group or None)
    if joined:  # names have no order that a line could follow
        line = np.unique(places)
        axis.plot(line, [np.nanmean(heights[places == x]) for x in line], color=own, label=group or None)


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    label: str,
    colours: Mapping[str, str] | None = None,
    across: str = "step",
) -> str:
    """One line per run; a point where there is one value only.

    Args:
        lines: name -> (steps, values).
        label: of the vertical axis.
        colours: name -> colour, that of the run's other figures; None: one after another.
        across: label of the horizontal axis.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 2.6), layout="constrained")
        axis: Axes = figure.subplots()
        for number, (name, (steps, values)) in enumerate(lines.items()):
            marker, own = "o" if len(steps) == 1 else None, colours[name] if colours else colour(number)
            axis.plot(steps, values, color=own, linewidth=1.8, marker=marker, label=short(name))
        axis.set_xlabel(across)
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
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
    """A model's name for a legend: of a long one its kind (`initial:`) and the end of its path."""
    if len(name) <= LONGEST_NAME:
        return name
    kind, colon, _ = name.partition(":")
    start = f"{kind}:" if colon and len(kind) < LONGEST_NAME // 2 else ""
    return f"{start}…{name[len(start) + 1 - LONGEST_NAME :]}"


def _plain(value: Any) -> float:
    return float("nan") if value is None else float(value)
