"""Tables and a picture of the learning study, from its table.

    python benchmarks/learning/study_report.py benchmarks/learning/results/learning.csv [--plot FILE.png]

Prints Markdown: for each rung and seed a line per model with its AUC on unseen people, its lead over untrained weights
and over the same training without action units (95 % intervals over people), then the comparisons and what few labels
give, as far as the table holds them. A seed `0, again` is one more training with seed 0, on another processor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt

from study import METHODS

TOLD = ("action units", "emotions", "landmarks", "order", "nothing")
MODELS = [(told, name) for told in TOLD for name, arm in METHODS.items() if arm.told == told]
MARKS = ("o", "s", "^", "D", "v")
MODELS += [("", name) for name in ("landmarks", "HOG", "pixels", "16 x 16 pixels")]


def read(path: Path) -> pd.DataFrame:
    """The table, with numbers where numbers are."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    for name in ("value", "low", "high"):
        table[name] = pd.to_numeric(table[name])
    return table


def cell(table: pd.DataFrame, **key: str) -> str:
    """The estimates with a key, one per seed."""
    return ", ".join(words(row) for _, row in select(table, **key).iterrows())


def select(table: pd.DataFrame, **key: str) -> pd.DataFrame:
    """The rows with a key."""
    for name, value in key.items():
        table = table[table[name] == value]
    return table


def words(row: pd.Series) -> str:
    """A value and its interval."""
    sign = "+" if " over " in row["figure"] else ""
    between = "" if pd.isna(row["low"]) else f" ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"
    return f"{row['value']:{sign}.3f}{between}"


def rungs(table: pd.DataFrame) -> str:
    """A table for each rung and network."""
    lines = []
    done = table[table["learned_from"] == table["tested_on"]]
    for place in done[["scale", "passes", "network", "learned_from", "seed"]].drop_duplicates().to_dict("records"):
        here = select(done, **place)
        rung = f"{place['network']}, {int(place['passes']):,} passes, seed {place['seed']}"
        lines += [f"\n### Heads {place['learned_from']}: {rung}\n"]
        lines += ["| told | representation | AUC | lead over untrained | lead over AUs off | F1 |", "|---" * 6 + "|"]
        for told, name in MODELS:
            aus = "" if not told else "on"
            row = [
                cell(here, model=name, aus=aus, figure=figure)
                for figure in ("auc", "auc over untrained", "auc over AUs off")
            ]
            f1 = select(here, model=name, aus=aus, figure="f1")["value"]
            if row[0]:
                shown = ", ".join(f"{value:.3f}" for value in f1)
                lines.append(f"| {told} | {name} | {' | '.join(row)} | {shown} |")
    return "\n".join(lines)


def comparisons(table: pd.DataFrame) -> str:
    """What the papers compare."""
    known = ("auc over untrained", "auc over AUs off")
    found = table[table["figure"].str.startswith("auc over ") & ~table["figure"].isin(known)]
    lines = []
    for _, row in found.iterrows():
        second = row["figure"].removeprefix("auc over ")
        beside = select(table, **{name: row[name] for name in ("scale", "passes", "tested_on", "seed", "model")})
        first, other = (cell(beside, figure=figure) for figure in (f"auc beside {second}", f"auc of {second}"))
        pair = f"{row['model']} over {second}"
        lines.append(f"| {pair} | {row['tested_on']} | {row['seed']} | {first} | {other} | {words(row)} |")
    head = "| comparison | tested on | seed | first | second | lead in AUC |"
    return "\n".join(["", head, "|---" * 6 + "|", *lines]) if lines else ""


def few(table: pd.DataFrame) -> str:
    """AUC by the share of people labelled."""
    found = table[table["figure"].str.startswith("auc, share ")]
    if not len(found):
        return ""
    shares = sorted({name.removeprefix("auc, share ") for name in found["figure"]}, key=float)
    lines = ["", f"| representation | tested on | {' | '.join(shares)} |", "|---" * (2 + len(shares)) + "|"]
    for key in found[["model", "tested_on"]].drop_duplicates().to_dict("records"):
        values = [cell(found, **key, figure=f"auc, share {share}") for share in shares]
        lines.append(f"| {key['model']} | {key['tested_on']} | {' | '.join(values)} |")
    return "\n".join(lines)


def plot(table: pd.DataFrame, path: Path) -> None:
    """AUC of every model, its control as an empty mark; a panel per rung, a kind of mark per training."""
    done = table[(table["learned_from"] == table["tested_on"]) & (table["figure"] == "auc")]
    done = select(done, network="compact", scale="cpu")
    panels = [rung for rung in ("fixed", "still", "natural") if rung in set(done["learned_from"])]
    models = [name for _, name in MODELS if name in set(done["model"])][::-1]
    seeds = sorted(set(done["seed"]))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 + 3.4 * len(panels), 1 + 0.3 * len(models)), sharey=True, squeeze=False
    )
    for axis, rung in zip(axes[0], panels, strict=True):
        for _, row in select(done, learned_from=rung).iterrows():
            off = row["aus"] == "off"
            y = models.index(row["model"]) - 0.2 * seeds.index(row["seed"]) + 0.1 * off
            colour = "#8a8a8a" if off or not row["aus"] else "#1f5fa8"
            axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.4)
            axis.plot(
                row["value"],
                y,
                MARKS[seeds.index(row["seed"])],
                color=colour,
                markersize=5,
                markerfacecolor="white" if off else colour,
            )
        axis.axvline(0.5, color="#8a8a8a", linestyle="--", linewidth=0.8)
        axis.set_title(f"heads {rung}", fontsize=10)
        axis.set_xlabel("linear AUC, unseen people")
        axis.set_yticks(range(len(models)), models, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    kinds = (
        ("#1f5fa8", "#1f5fa8", "trained"),
        ("#8a8a8a", "white", "trained with AUs at zero"),
        ("#8a8a8a", "#8a8a8a", "not trained"),
    )
    handles = [
        plt.Line2D([], [], color=colour, marker="o", markersize=5, markerfacecolor=face, label=label)
        for colour, face, label in kinds
    ]
    handles += [
        plt.Line2D([], [], color="#1f5fa8", marker=mark, markersize=5, linestyle="", label=f"seed {seed}")
        for mark, seed in zip(MARKS, seeds, strict=False)
    ]
    axes[0][-1].legend(handles=handles, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    mpl.use("Agg")
    table = read(arguments.table)
    print(rungs(table), comparisons(table), few(table), sep="\n")
    if arguments.plot:
        plot(table, arguments.plot)


if __name__ == "__main__":
    main()
