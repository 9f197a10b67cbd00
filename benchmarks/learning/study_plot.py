"""The picture of the learning study; `study_report.py --plot` draws it."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

GREY, BLUE = "#8a8a8a", "#1f5fa8"
MARKS = ("o", "s", "^", "D", "v")


def plot(table: pd.DataFrame, models: dict[str, str], rungs: dict[str, str], path: Path) -> None:
    """AUC of every model, of its control and of its untrained weights; a panel per rung, a kind of mark per training.

    Args:
        table: rows of one network and scale, learned from and tested on one rung each.
        models: names in the table -> in words, from top to bottom.
        rungs: names -> titles.
        path: of the picture.
    """
    models = {name: shown for name, shown in models.items() if name in set(table["model"])}
    rows, seeds = list(models)[::-1], sorted(set(table["seed"]))
    size = (1.6 + 2.5 * len(rungs), 1.8 + 0.34 * len(rows))
    figure, axes = plt.subplots(1, len(rungs), figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis, (rung, title) in zip(axes[0], rungs.items(), strict=True):
        here = table[table["learned_from"] == rung]
        for y, model in enumerate(rows):
            found = here[here["model"] == model]
            for seed in sorted(set(found["seed"])):
                _draw(axis, found[found["seed"] == seed], y, seeds.index(seed))
            if not len(found):
                axis.text(0.5, y, " not run", color=GREY, fontsize=7, va="center")
        axis.axvline(0.5, color=GREY, linestyle="--", linewidth=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_yticks(range(len(rows)), [models[name] for name in rows], fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    kinds = [
        plt.Line2D([], [], color=BLUE, marker="o", markersize=5, label="trained"),
        plt.Line2D([], [], color=GREY, marker="o", markersize=5, markerfacecolor="white", label="control"),
        plt.Line2D([], [], color="black", marker="|", markersize=8, linestyle="", label="same network, untrained"),
        plt.Line2D([], [], color=GREY, marker="o", markersize=5, label="no network"),
    ]
    kinds += [
        plt.Line2D([], [], color=BLUE, marker=mark, markersize=5, linestyle="", label=f"seed {seed}")
        for mark, seed in zip(itertools.cycle(MARKS), seeds, strict=False)
    ]
    figure.supxlabel("linear AUC on people never seen (dashed: guessing)", fontsize=9)
    figure.legend(handles=kinds, fontsize=9, frameon=False, loc="upper center", ncols=4)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(path, dpi=120)


def _draw(axis: Axes, rows: pd.DataFrame, y: float, number: int) -> None:
    """One training, its control and its untrained weights."""
    y -= 0.22 * number
    scores = rows[rows["figure"] == "auc"]
    for _, row in scores.iterrows():
        off = row["aus"] == "off"
        colour = BLUE if row["aus"] == "on" else GREY
        place, face = y + 0.1 * off, "white" if off else colour
        axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
        axis.plot(row["value"], place, MARKS[number % len(MARKS)], color=colour, markersize=5, markerfacecolor=face)
    over = rows[rows["figure"] == "auc over untrained"]["value"]
    for untrained in scores[scores["aus"] == "on"]["value"].to_numpy()[: len(over)] - over.to_numpy():
        axis.plot(untrained, y, "|", color="black", markersize=8)
