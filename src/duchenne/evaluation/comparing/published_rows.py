"""The papers' rows beside an evaluation, and whether the two measure the same thing."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from duchenne.data.partitions import BP4D_PARTS, DISFA_PARTS
from duchenne.errors import UsageError
from duchenne.published import (
    AVERAGE,
    PAPERS,
    PROTOCOLS,
    SPREAD_OVER_SPLITS,
    Metric,
    Row,
    load,
    load_ablations,
)

THRESHOLD: Final = 0.5
LEVELS: Final = {"disfa": 2.0}
"""Data sets that tell presence by intensity, and from which it counts in the papers; others code presence by itself."""
EMOTION_SETS: Final = ("AffectNet", "RAF-DB")
PARTS: Final = {"BP4D": BP4D_PARTS, "DISFA": DISFA_PARTS}
"""Data set -> the three parts of subjects on which published 3-fold results rest."""
_TRAINED_ON_LABELS: Final = {"finetune", "supervised"}


@dataclass(frozen=True)
class Evaluation:
    """A folder of `duchenne evaluate`: what it is called in the table, where it lies, and its summary."""

    name: str
    path: Path
    summary: Mapping[str, Any]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Every setting of the evaluation."""
        found: Mapping[str, Any] = self.summary["protocol"]
        return found

    def level(self, data: Mapping[str, Any]) -> float:
        """The lowest intensity that counts as present of one of its data sets."""
        used = (self.protocol["positive_from"] or {}).get(data["name"])
        return float(used if isinstance(used, int | float) else data["positive_from"])

    @property
    def folder(self) -> Path:
        """Where its other files lie."""
        return self.path if self.path.is_dir() else self.path.parent


def find_rows(datasets: Sequence[str], metric: Metric, *, ablations: bool = False) -> list[list[Row]]:
    """The printed rows of some data sets; those that several papers print alike in one group, the maker's own first.

    Args:
        datasets: names, in upper or lower case.
        metric: what is compared.
        ablations: whether the rows of the papers' ablations are added.

    Raises:
        UsageError: when no paper has the data set, or none printed this metric for it.
    """
    found = []
    for key, name in {_key(name): name for name in datasets}.items():
        there = [row for row in load() if _key(row.dataset) == key]
        if not there:
            known = ", ".join(dict.fromkeys(row.dataset.lower() for row in load()))
            raise UsageError(f"--published {name}: the papers have no such data set; choose {known}.")
        printed = [row for row in there if row.metric == metric]
        if not printed:
            metrics = " and ".join(dict.fromkeys(row.metric for row in there))
            raise UsageError(f"--published {name}: printed as {metrics}; use --metric {there[0].metric}.")
        found += _merge(printed)
        if ablations:
            found += [[row] for row in load_ablations() if _key(row.dataset) == key and row.metric == metric]
    return found


def table_rows(groups: Sequence[Sequence[Row]], evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The groups as rows of a comparison, as shares of 1: comparable ones first, then by falling mean."""
    rows = [_as_row(group, evaluations) for group in groups]
    return sorted(rows, key=lambda row: (not row["comparable_with"], -np.nan_to_num(row["mean"], nan=-1.0)))


def explain(groups: Sequence[Sequence[Row]], evaluations: Sequence[Evaluation], aggregate: str) -> tuple[str, ...]:
    """What the words in `differs` and `caution` mean for these evaluations, one sentence each."""
    sentences, cautions = [], set()
    for evaluation in evaluations:
        protocol, data = evaluation.protocol, evaluation.summary["data"]
        found = [differences(group[0], evaluation) for group in groups]
        words = {word for both in found for part in both for word in part}
        cautions |= words
        own = "that of each method"
        known = {
            "data": f"its data are {', '.join(part['name'] for part in data)}, not those of the row",
            "target": f"it predicts {protocol['target']}, the row the other of au and emotion",
            "items": f"its items are {' '.join(protocol['items'])}, the row's are others: compare items, not means",
            "protocol": f"it is {protocol['name']} ({PROTOCOLS.get(protocol['name'], 'a protocol of its own')})",
            "split": (
                f"its folds ({_folds(evaluation)}) do not test whom the papers' do; the split alone moved published F1 "
                f"by up to {SPREAD_OVER_SPLITS:g} points"
            ),
            "weighting": f"its weighting of classes is {protocol['weighting'] or own}; the row's is another or unknown",
            "threshold": f"its threshold is {protocol['threshold']}, the papers' {THRESHOLD:g}",
            "labels": f"an intensity counts as present from {_levels(evaluation)[0]:g}, not {_levels(evaluation)[1]:g}",
        }  # fmt: skip
        sentences += [f"{word}: {evaluation.name}: {text}." for word, text in known.items() if word in words]
    if "alignment" in cautions:
        ours = {f"{e.name}: {part['alignment']}": None for e in evaluations for part in e.summary["data"]}
        sentences.append(
            f"alignment: the papers cut faces with other tools ({'; '.join(ours)}); it moves F1 by points."
        )
    if "start" in cautions:
        sentences.append("start: both are trained on the labels, but the row is of another model with its own start.")
    if groups and evaluations and aggregate == "pooled":
        sentences.append("aggregate: no paper says so, but most published F1 are means of folds, not pooled.")
    return tuple(sentences)


def _merge(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one method and protocol with the same numbers, those that a paper made itself first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row.method, row.protocol, row.average, *sorted(row.values.items()))
        groups.setdefault(key, []).append(row)
    return [sorted(group, key=lambda row: row.cited) for group in groups.values()]


def _as_row(group: Sequence[Row], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    first = group[0]
    found = {evaluation.name: differences(first, evaluation) for evaluation in evaluations}
    return {
        "evaluation": f"{first.dataset}: " + ", ".join(dict.fromkeys(f"{row.paper} {row.table}" for row in group)),
        "model": first.method,
        "protocol": first.protocol,
        **{item: round(value / 100, 6) for item, value in first.values.items()},
        "mean": round(first.average / 100, 6),
        "same_method": ", ".join(
            f"{evaluation.name}: {model}"
            for evaluation in evaluations
            for model, facts in evaluation.summary["models"].items()
            if first.own_method and facts.get("method") == first.own_method
        ),
        "comparable_with": ", ".join(name for name, (hard, _) in found.items() if not hard),
        "differs": _together({name: hard for name, (hard, _) in found.items()}),
        "caution": _together({name: soft for name, (_, soft) in found.items()}),
        "note": " ".join(f"{text[:1].upper()}{text[1:]}." for text in _notes(group)),
    }


def _notes(group: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(
        sentence if item == AVERAGE else f"{item}, {sentence}"
        for row in group for item, sentence in (*row.notes, *_recipe(row)) if not sentence.startswith("cited")
    ))  # fmt: skip


def _recipe(row: Row) -> list[tuple[str, str]]:
    return [(AVERAGE, f"recipe: {row.recipe}")] if row.recipe else []


def _together(found: Mapping[str, Sequence[str]]) -> str:
    """The words of every evaluation: once where they agree, else by name."""
    texts = {name: " ".join(words) for name, words in found.items()}
    if len(set(texts.values())) <= 1:
        return next(iter(texts.values()), "")
    return "; ".join(f"{name}: {text}" for name, text in texts.items() if text)


def differences(row: Row, evaluation: Evaluation) -> tuple[list[str], list[str]]:
    """What keeps an evaluation from being comparable with a printed row, and what might.

    Returns:
        Two lists of words, see `explain`: known differences, and cautions: what the paper does not say, or what always
        differs (alignment).
    """
    protocol, data = evaluation.protocol, evaluation.summary["data"]
    same = len(data) == 1 and _key(row.dataset) == _key(_data_set(data[0]))
    emotions = row.dataset in EMOTION_SETS
    names, both = (protocol["name"], row.protocol), {protocol["name"], row.protocol} == _TRAINED_ON_LABELS
    weightings = {row.weighting, protocol["weighting"]}
    tests = {
        "data": not same,
        "target": (protocol["target"] == "emotion") != emotions,
        "items": (protocol["target"] == "emotion") == emotions and set(protocol["items"]) != _items(row),
        "protocol": names[0] != names[1] and not both,
        "split": same and not _same_split(row.dataset, evaluation),
        "weighting": None not in weightings and len(weightings) > 1,
        "threshold": row.metric == "f1" and protocol["threshold"] not in (None, THRESHOLD),
        "labels": same and data[0]["label_kind"] == "intensity" and len(set(_levels(evaluation))) > 1,
    }
    cautions = {"weighting": None in weightings, "start": both, "alignment": True}
    return [word for word, so in tests.items() if so], [word for word, so in cautions.items() if so]


def _items(row: Row) -> set[str]:
    """What a row predicts; a row of an ablation, of which only the mean is printed, what the other rows do."""
    same = (other for other in load() if (other.dataset, other.metric) == (row.dataset, row.metric))
    return set(row.values or next(same).values)


def _same_split(dataset: str, evaluation: Evaluation) -> bool:
    """Whether the evaluation tests whom the papers test: the three parts, else the data set's own split."""
    if dataset not in PARTS:
        return bool(evaluation.protocol["folds"] == "split") and not _own_parts(evaluation)
    try:
        with (evaluation.folder / "folds.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError:
        return False
    tested: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        if line["fold"]:
            tested.setdefault((line["seed"], line["fold"]), set()).add(line["subject"].rpartition(":")[2].upper())
    return bool(tested) and all(
        {frozenset(whom) for (seed, _), whom in tested.items() if seed == one} == set(map(frozenset, PARTS[dataset]))
        for one in {seed for seed, _ in tested}
    )


def _own_parts(evaluation: Evaluation) -> str | None:
    """The table by which a user divided the data (`prepare --parts`), whose parts then stand for the data set's."""
    found: str | None = evaluation.summary["data"][0]["settings"].get("parts_file")
    return found


def _folds(evaluation: Evaluation) -> str:
    folds, parts = str(evaluation.protocol["folds"]), _own_parts(evaluation)
    return f"{folds} of {parts}" if parts and folds in ("split", "parts") else folds


def _data_set(data: Mapping[str, Any]) -> str:
    """The reader that prepared the data, or their name where it was one for any videos or tables."""
    reader = data["settings"].get("reader", "table")
    return str(data["name"] if reader in ("videos", "table") else reader)


def _levels(evaluation: Evaluation) -> tuple[float, float]:
    """The intensity that counts as present: in an evaluation of one data set, and in the papers."""
    data = evaluation.summary["data"][0]
    return evaluation.level(data), LEVELS.get(_key(_data_set(data)), data["positive_from"])


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def sources() -> list[str]:
    """The papers: name, citation, alignment and weighting, one sentence each."""
    return [
        f"{paper.name}: {paper.citation}. Faces cut with {paper.alignment}; "
        f"classes weighted: {paper.weighting or 'not stated'}."
        for paper in PAPERS.values()
    ]
