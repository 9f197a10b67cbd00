"""Tables and a picture of the learning study, from its table.

    python benchmarks/learning/study_report.py benchmarks/learning/results/learning.csv
                                               [--plot FILE.png] [--into docs/learning.md ...]

Prints Markdown: an overview; for each rung a line per training with its AUC on unseen people and its leads over
untrained weights and over its control, the same training without action units (95 % intervals over people); trainings
that were repeated; the comparisons; and what few labels give, as far as the table holds them. `--into` puts each table
into a page, in the place of what stands there between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from study import METHODS, SCALES
from study_plot import plot

TOLD = ("action units", "emotions", "order", "landmarks", "nothing")
TRAINED = [(told, name) for told in TOLD for name, arm in METHODS.items() if arm.told == told]
BESIDE = {"landmarks": "exact landmarks", "HOG": "HOG", "pixels": "pixels, 32 x 32", "16 x 16 pixels": "16 x 16 pixels"}
"""Representations that no network makes: name in the table -> in words."""
RUNGS = {"fixed": "nothing else moves", "still": "eyes, blinks", "natural": "the head, too"}
AGAIN = "0, again"
"""What `seed` is in a row of one more training with seed 0, on another processor."""


def read(path: Path) -> pd.DataFrame:
    """The table, with numbers where numbers are."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    for name in ("value", "low", "high"):
        table[name] = pd.to_numeric(table[name])
    return table


def select(table: pd.DataFrame, **key: str) -> pd.DataFrame:
    """The rows with a key."""
    for name, value in key.items():
        table = table[table[name] == value]
    return table


def one(table: pd.DataFrame, figure: str, **key: str) -> pd.Series | None:
    """The row with a figure, or None."""
    found = select(table, figure=figure, **key)
    if len(found) > 1:
        raise SystemExit(f"{len(found)} rows with {figure} of {key}: which one counts?")
    return found.iloc[0] if len(found) else None


def short(value: float, sign: str = "") -> str:
    """A number without the 0 before its point."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1)


def words(row: pd.Series | None) -> str:
    """A value and its interval; a lead with its sign."""
    if row is None:
        return ""
    sign = "+" if " over " in row["figure"] else ""
    between = "" if pd.isna(row["low"]) else f" ({short(row['low'], sign)} to {short(row['high'], sign)})"
    return f"{short(row['value'], sign)}{between}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table, or nothing where there are no rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) if rows else ""


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """What was learned from and tested on one rung, by `compact` on a CPU."""
    return select(table[table["learned_from"] == table["tested_on"]], network="compact", scale="cpu")


def chance(table: pd.DataFrame) -> float:
    """How far two trainings of a method on the order of frames differ: twice the root mean square of their pairs."""
    pairs = []
    for name in (name for told, name in TRAINED if told == "order"):
        both = (one(table, "auc", learned_from="fixed", model=name, aus="on", seed=seed) for seed in ("0", AGAIN))
        pairs.append(tuple(both))
    squares = [(a["value"] - b["value"]) ** 2 for a, b in pairs if a is not None and b is not None]
    return 2 * math.sqrt(sum(squares) / len(squares)) if squares else math.nan


def overview(table: pd.DataFrame) -> str:
    """A cell per method and rung: AUC and lead over the control, one pair per seed."""
    table = ends(table)
    limit, rows, last = chance(table), [], ""
    for told, name in [*TRAINED, *(("not trained", name) for name in BESIDE)]:
        cells = [overview_cell(select(table, learned_from=rung, model=name), limit) for rung in RUNGS]
        if any(cells):
            rows.append([told if told != last else "", BESIDE.get(name, name), *cells])
            last = told
    return markdown(["told", "", *RUNGS.values()], rows)


def overview_cell(found: pd.DataFrame, limit: float) -> str:
    """AUC and lead of each seed: bold where something was learned, with `?` where the lead may be chance."""
    parts = []
    for seed in sorted(set(found["seed"]) - {AGAIN}):
        here = select(found, seed=seed)
        score = one(select(here, aus="on"), "auc")
        over, lead = (one(here, f"auc over {other}") for other in ("untrained", "AUs off"))
        if score is None or over is None or lead is None:
            beside = one(select(here, aus=""), "auc")
            parts += [] if beside is None else [short(beside["value"])]
            continue
        shown = f"{short(score['value'])}, {short(lead['value'], '+')}"
        learned = lead["value"] > limit and lead["low"] > 0 and over["low"] > 0
        parts.append(f"**{shown}**" if learned else f"{shown} ?" if lead["low"] > 0 else shown)
    return "; ".join(parts)


def rung(table: pd.DataFrame, name: str) -> str:
    """A line per training on a rung."""
    table, rows = select(ends(table), learned_from=name), []
    for told, model in TRAINED:
        found = select(table, model=model)
        for seed in sorted(set(found["seed"]) - {AGAIN}):
            here = select(found, seed=seed)
            score, off = (one(here, "auc", aus=aus) for aus in ("on", "off"))
            over, lead = (one(here, f"auc over {other}", aus="on") for other in ("untrained", "AUs off"))
            f1 = one(here, "f1", aus="on")
            bare = "" if score is None or over is None else short(score["value"] - over["value"])
            control = "" if off is None else short(off["value"])
            good = "" if f1 is None else short(f1["value"])
            rows.append([told, model, seed, words(score), bare, control, words(over), words(lead), good])
    for model, shown in BESIDE.items():
        for seed in sorted(set(select(table, model=model)["seed"])):
            score, f1 = (one(select(table, model=model, seed=seed), figure) for figure in ("auc", "f1"))
            rows.append(["", shown, seed, words(score), "", "", "", "", "" if f1 is None else short(f1["value"])])
    head = "told | representation | seed | AUC | untrained | control | lead over untrained | lead over control | F1"
    return markdown(head.split(" | "), rows)


def others(table: pd.DataFrame) -> str:
    """What was trained at another scale, or with another network."""
    table, rows = table[table["learned_from"] == table["tested_on"]], []
    table = table[(table["network"] != "compact") | (table["scale"] != "cpu")]
    places = ["scale", "passes", "network", "learned_from", "seed", "model"]
    for place in table[places].drop_duplicates().to_dict("records"):
        here = select(table[table["aus"] != "off"], **place)
        figures = ("auc", "auc over untrained", "auc over AUs off", "f1")
        rows.append([*place.values(), *(words(one(here, figure)) for figure in figures)])
    head = (
        "scale | passes | network | heads | seed | representation | AUC | lead over untrained | lead over control | F1"
    )
    return markdown(head.split(" | "), rows)


def again(table: pd.DataFrame) -> str:
    """AUC of trainings of one method on the lowest rung."""
    table, rows = select(ends(table), learned_from="fixed", aus="on"), []
    for _, name in TRAINED:
        scores = [one(table, "auc", model=name, seed=seed) for seed in ("0", AGAIN, "1")]
        if sum(score is not None for score in scores) > 1:
            rows.append([name, *("" if score is None else short(score["value"]) for score in scores)])
    return markdown(["representation", "seed 0", "seed 0, again", "seed 1"], rows)


def comparisons(table: pd.DataFrame) -> str:
    """What the papers compare."""
    known = ("auc over untrained", "auc over AUs off")
    found = table[table["figure"].str.startswith("auc over ") & ~table["figure"].isin(known)]
    rows = []
    for _, row in found.iterrows():
        second = row["figure"].removeprefix("auc over ")
        beside = select(table, **{name: row[name] for name in ("scale", "passes", "tested_on", "seed", "model")})
        both = [one(beside, figure) for figure in (f"auc beside {second}", f"auc of {second}")]
        pair = f"{row['model']} over {second}"
        rows.append([pair, row["tested_on"], row["seed"], *map(words, both), words(row)])
    return markdown(["first over second", "tested on", "seed", "first", "second", "lead"], rows)


def few(table: pd.DataFrame, tenth: bool) -> str:
    """AUC by the number of people labelled: in all folds, or of a tenth of the people for ten times as long."""
    table = table[table["figure"].str.startswith("auc, share ")]
    table = table[table["tested_on"].str.endswith("100 epochs") == tenth]
    if not len(table):
        return ""
    people = SCALES["cpu"]["labelled"] // 10 if tenth else SCALES["cpu"]["labelled"] * 2 // 3
    shares = sorted({name.removeprefix("auc, share ") for name in table["figure"]}, key=float)
    rows = []
    for key in (
        table[["model", "tested_on", "seed"]].drop_duplicates().sort_values(["model", "tested_on"]).to_dict("records")
    ):
        values = [one(select(table, **key), f"auc, share {share}") for share in shares]
        how = "linear unit" if key["tested_on"].endswith("linear") else "fine-tuned"
        shown = {"untrained": "random weights"}.get(key["model"], key["model"])
        rows.append([f"{shown}, {how}", *("" if value is None else short(value["value"]) for value in values)])
    labelled = [str(max(2, int(float(share) * people + 0.5))) for share in shares]  # as `--label-share` takes them
    return markdown(["people labelled", *labelled], rows)


SECTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "overview": overview,
    **{f"rung {name}": partial(rung, name=name) for name in RUNGS},
    "again": again,
    "comparisons": comparisons,
    "few": partial(few, tenth=False),
    "few, longer": partial(few, tenth=True),
    "other networks and scales": others,
}


def filled(page: str, table: pd.DataFrame) -> str:
    """A page with its tables as they are now."""

    def fill(found: re.Match[str]) -> str:
        if found[1] not in SECTIONS:
            raise SystemExit(f"There is no table {found[1]!r}; there are: {', '.join(SECTIONS)}.")
        return f"<!-- table: {found[1]} -->\n\n{SECTIONS[found[1]](table)}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([^>]+) -->.*?<!-- end -->", fill, page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--into", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    table = read(arguments.table)
    for page in arguments.into:
        page.write_text(filled(page.read_text(encoding="utf-8"), table), encoding="utf-8")
    for name, section in SECTIONS.items() if not arguments.into else ():
        shown = section(table)
        print(f"\n### {name}\n\n{shown}" if shown else "", end="\n" if shown else "")
    if arguments.plot:
        plot(
            ends(table),
            {name: BESIDE.get(name, name) for name in (*(name for _, name in TRAINED), *BESIDE)},
            RUNGS,
            arguments.plot,
        )


if __name__ == "__main__":
    main()
