"""Tables and a picture of the learning study, from its table.

    python benchmarks/learning/study_report.py benchmarks/learning/results/learning.csv
                                               [--plot FILE.png] [--into docs/learning.md ...]

Prints Markdown: an overview; for each rung a line per training with its AUC on unseen people and its leads over
untrained weights and over its control, the same training without action units (95 % intervals over people); trainings
that were repeated; the comparisons; what few labels give; and what was run at other sizes, as far as the table holds
them. `--into` puts each table into a page, in the place of what stands there between `<!-- table: NAME -->` and
`<!-- end -->`.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from study import METHODS, SCALES, SIZES
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
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:{sign}.3f}")


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


def of_study(table: pd.DataFrame) -> pd.Series:
    """Which rows are of the study itself: of `compact` on a CPU, with as many people, clips and passes as planned."""
    sizes = {name: str(SCALES["cpu"][name]) for name in SIZES if name != "tested"}
    return (table[[*sizes, "scale", "network"]] == [*sizes.values(), "cpu", "compact"]).all(axis=1)


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study that were learned from and tested on one rung."""
    found = table[of_study(table) & (table["learned_from"] == table["tested_on"])]
    return select(found, tested=str(SCALES["cpu"]["tested"]))


def chance(table: pd.DataFrame) -> float:
    """How far two trainings of a method on the order of frames differ, with one seed on the lowest rung.

    Returns:
        Twice the root mean square of their pairs; NaN without any.
    """
    squares = []
    for name in (name for told, name in TRAINED if told == "order"):
        key = {"learned_from": "fixed", "model": name, "aus": "on"}
        first, second = (one(table, "auc", seed=seed, **key) for seed in ("0", AGAIN))
        if first is not None and second is not None:
            squares.append((first["value"] - second["value"]) ** 2)
    return 2 * math.sqrt(sum(squares) / len(squares)) if squares else math.nan


def overview(table: pd.DataFrame) -> str:
    """A cell per method and rung: AUC and lead over the control, one pair per seed."""
    table = ends(table)
    limit, rows, last = chance(table), [], ""
    for told, name in [*TRAINED, *(("not trained", name) for name in BESIDE)]:
        cells = [overview_cell(select(table, learned_from=rung, model=name), limit) for rung in RUNGS]
        if any(cells):
            page = f"../src/duchenne/methods/{METHODS[name].method}/README.md" if name in METHODS else ""
            shown = f"[{name}]({page})" if page else BESIDE[name]
            rows.append([told if told != last else "", shown, *cells])
            last = told
    text = markdown(["told", "", *RUNGS.values()], rows)
    return text + "\n\nNo training was repeated, so nothing says which of the leads is more than chance." * bool(
        text and math.isnan(limit)
    )


def overview_cell(found: pd.DataFrame, limit: float) -> str:
    """AUC and lead of each seed: bold where something was learned, with `?` where the lead may be chance."""
    parts = []
    for seed in sorted(set(found["seed"]) - {AGAIN}):
        here = select(found, seed=seed)
        score = one(here[here["aus"] != "off"], "auc")
        over, lead = (one(here, f"auc over {other}") for other in ("untrained", "AUs off"))
        if score is None:
            continue
        shown = short(score["value"])
        if score["aus"] == "on":
            shown += f", {'control not run' if lead is None else short(lead['value'], '+')}"
        if over is not None and lead is not None and lead["low"] > 0:
            learned = min(lead["value"], over["value"]) > limit and over["low"] > 0
            shown = f"**{shown}**" if learned else f"{shown} ?"
        parts.append(shown)
    return "; ".join(parts)


def rung(table: pd.DataFrame, name: str) -> str:
    """A line per training on a rung."""
    table, rows = select(ends(table), learned_from=name), []
    for told, model in TRAINED:
        found = select(table, model=model)
        for seed in sorted(set(found["seed"]) - {AGAIN}):
            here = select(found, seed=seed)
            score, off = (one(here, "auc", aus=aus) for aus in ("on", "off"))
            if score is None:  # trained for the comparisons alone
                continue
            over, lead = (one(here, f"auc over {other}", aus="on") for other in ("untrained", "AUs off"))
            f1 = one(here, "f1", aus="on")
            bare = "" if over is None else short(score["value"] - over["value"])
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
    """What was trained at another scale, with another network, or with other numbers of people or passes."""
    table, rows = table[(table["learned_from"] == table["tested_on"]) & ~of_study(table)], []
    places = ["scale", "people", "clips", "passes", "network", "learned_from", "seed", "model"]
    for place in table[places].drop_duplicates().to_dict("records"):
        here = select(table[table["aus"] != "off"], **place)
        figures = ("auc", "auc over untrained", "auc over AUs off", "f1")
        rows.append([*place.values(), *(words(one(here, figure)) for figure in figures)])
    head = "scale | people | clips | passes | network | heads | seed | representation | AUC | lead over untrained"
    return markdown([*head.split(" | "), "lead over control", "F1"], rows)


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
    table, known = table[of_study(table)], ("auc over untrained", "auc over AUs off")
    found = table[table["figure"].str.startswith("auc over ") & ~table["figure"].isin(known)]
    rows = []
    for _, row in found.iterrows():
        second = row["figure"].removeprefix("auc over ")
        beside = select(table, **{name: row[name] for name in ("learned_from", "tested_on", "seed", "model")})
        both = [one(beside, figure) for figure in (f"auc beside {second}", f"auc of {second}")]
        pair = f"{row['model']} over {second}"
        rows.append([pair, row["tested_on"], row["seed"], *map(words, both), words(row)])
    pairs = [row[0] for row in rows]  # what was compared twice stands together
    rows.sort(key=lambda row: (pairs.index(row[0]), row[2]))
    return markdown(["first over second", "tested on", "seed", "first", "second", "lead"], rows)


def few(table: pd.DataFrame, tenth: bool) -> str:
    """AUC by the number of people labelled: in all folds, or of a tenth of the people for ten times as long."""
    table = table[of_study(table) & table["figure"].str.startswith("auc, share ")]
    table = table[table["tested_on"].str.endswith("100 epochs") == tenth]
    if not len(table):
        return ""
    (tested,) = set(table["tested"])
    people = int(tested) // 10 if tenth else int(tested) * 2 // 3
    shares = sorted({name.removeprefix("auc, share ") for name in table["figure"]}, key=float)
    places, rows = ["learned_from", "seed", "model", "tested_on"], []
    for key in table[places].drop_duplicates().sort_values(places).to_dict("records"):
        values = [one(select(table, **key), f"auc, share {share}") for share in shares]
        how = "linear unit" if key["tested_on"].endswith("linear") else "fine-tuned"
        shown = {"untrained": "random weights"}.get(key["model"], key["model"])
        start = [key["learned_from"], key["seed"], f"{shown}, {how}"]
        rows.append([*start, *("" if value is None else short(value["value"]) for value in values)])
    labelled = [str(max(2, int(float(share) * people + 0.5))) for share in shares]  # as `--label-share` takes them
    return markdown(["heads", "seed", "people labelled", *labelled], rows)


SECTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "overview": overview,
    **{f"rung {name}": partial(rung, name=name) for name in RUNGS},
    "again": again,
    "comparisons": comparisons,
    "few": partial(few, tenth=False),
    "few, longer": partial(few, tenth=True),
    "other networks and scales": others,
}


def report(table: pd.DataFrame) -> str:
    """All that have rows, each under its name."""
    shown = {name: section(table) for name, section in SECTIONS.items()}
    return "\n".join(f"### {name}\n\n{text}\n" for name, text in shown.items() if text)


def filled(page: str, table: pd.DataFrame) -> str:
    """A page with its tables as they are now; refuses one without a place for any."""

    def fill(found: re.Match[str]) -> str:
        if found[1] not in SECTIONS:
            raise SystemExit(f"There is no table {found[1]!r}; there are: {', '.join(SECTIONS)}.")
        return f"<!-- table: {found[1]} -->\n\n{SECTIONS[found[1]](table)}\n\n<!-- end -->"

    text, count = re.subn(r"<!-- table: ([^>]+) -->.*?<!-- end -->", fill, page, flags=re.DOTALL)
    if not count:
        raise SystemExit("--into: the page has no place for a table, `<!-- table: NAME -->` and `<!-- end -->`.")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--into", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    table = read(arguments.table)
    for page in arguments.into:
        page.write_text(filled(page.read_text(encoding="utf-8"), table), encoding="utf-8")
    if not arguments.into:
        print(report(table))
    if arguments.plot:
        plot(
            ends(table),
            {name: BESIDE.get(name, name) for name in (*(name for _, name in TRAINED), *BESIDE)},
            RUNGS,
            arguments.plot,
        )


if __name__ == "__main__":
    main()
