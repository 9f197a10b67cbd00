"""`duchenne evaluate probes`: what a representation encodes.

au         AUC of action units under the linear protocol, on subjects not trained on
identity   whether the nearest other clip shows the same subject; no subject is trained on
pose       R2 of the head's angles by ridge regression, on subjects not trained on
light      R2 of the light, likewise
order      whether distances in time are in order (t, then t + 1, then t + 1 + k, ..., frames of 1/25 s)

A representation for action units is high in the first; high values of the others name what else it holds, and what a
method that learns from clips may have learned instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from duchenne import plots
from duchenne.data.folds import from_assignment, k_fold, people_of
from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.evaluation.describing import describe_data, versions
from duchenne.evaluation.protocols import known, probe_measures
from duchenne.evaluation.protocols.base import Protocol, write_tables
from duchenne.evaluation.protocols.registry import ProbesArguments
from duchenne.evaluation.report.parts import to_data_uri
from duchenne.evaluation.result import EvaluationResult
from duchenne.evaluation.scoring import INTERVAL, Predictions, Summariser, mean_defined
from duchenne.evaluation.setup import check_names, find_models
from duchenne.evaluation.state import State, data_hash, kept_features
from duchenne.features.source import Context, FeatureSource
from duchenne.files import write_text
from duchenne.heads.linear import linear_protocol
from duchenne.heads.settings import LinearSettings
from duchenne.metrics import RESAMPLES, json_number
from duchenne.pages import render_page
from duchenne.progress import progress_bar

COLUMNS: Final = ("model", "probe", "item", "value", "low", "high", "chance", "cases")
TITLES: Final = {
    "au": "action units, AUC", "identity": "identity", "pose": "pose, R²", "light": "light, R²",
    "order": "order in time",
}  # fmt: skip
EXACT: Final = "known: "
"""Begins the names of rows about what the data know, in place of a model."""


class Probes(Protocol[ProbesArguments]):
    """Measures what features hold: action units, identity, pose, light, order in time."""

    name = "probes"

    def evaluate(self, models: Sequence[FeatureSource], data: Data, out: Path) -> EvaluationResult:
        """See `Protocol`. Writes `probes.csv`, `summary.json` and `report.html`.

        Args:
            models: those that were named.
            data: prepared; a probe whose labels they lack is left out and named.
            out: folder to write to.

        Returns:
            One row per model, probe and item (`mean` over the items first): `value, low, high` (95 %, subjects
            resampled), `chance` and `cases`.

        Raises:
            UsageError: when an encoder has seen the subjects' labels, or a fold would train on one subject.
            InputError: when something cannot be read or written, or subjects are unknown.
        """
        check_names(models)
        arguments, strengths = self.arguments, self.arguments.l2
        chosen, prepared = resolve_device(arguments.device), open_prepared(data)
        everything = np.arange(len(prepared))
        found = find_models(models, arguments, prepared, everything, prepared.subject_names())
        bench = _Bench(prepared, int(arguments.folds), strengths)
        state = State(out, {"probes": data_hash(prepared), "device": str(chosen), "versions": versions()})
        rows = bench.exact()
        for source in found.sources:
            with progress_bar(quiet=arguments.quiet) as bar:
                task = bar.add_task(source.name[-32:], total=len(prepared), note="features")
                context = Context(device=chosen, feature=arguments.feature, advance=partial(bar.advance, task))
                values = kept_features(source, prepared, everything, context, state)
                bar.update(task, note="probes")
                rows += bench.measure(source.name, values)
                bar.update(task, completed=len(prepared), note="")
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = {
            "protocol": {
                "name": self.name, "folds": int(arguments.folds), "feature": arguments.feature, "l2": list(strengths),
                "interval": {**INTERVAL, "of": "subjects"}, "left_out": bench.left_out,
                "pose_and_light": "as rendered" if known.rendered(prepared) else "measured on landmarks and crops",
                "baselines": {"added": [source.name for source in found.added], "left_out": found.left_out},
                "device": chosen.type, "versions": versions(),
            },
            "data": [describe_data(prepared, number, trained=0) for number in range(len(prepared.infos))],
            "models": {
                source.name: {**source.describe(), "seen": found.seen[source.name]} for source in found.sources
            },
        }  # fmt: skip
        write_tables(out, {"probes.csv": table})
        write_text(out / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
        write_text(out / "report.html", _page(table, summary))
        state.clear()
        return EvaluationResult(table, summary=summary, out=out)

    def lines(self, table: pd.DataFrame, out: Path) -> list[str]:
        """See `Protocol`: a row per model, a column per probe."""
        means = table[table["item"] == "mean"].pivot(index="model", columns="probe", values="value")
        return [means.to_string(float_format="%.3f", na_rep=""), f"{out / 'report.html'}"]


class _Bench:
    """Everything that is the same for all models."""

    def __init__(self, data: Prepared, folds: int, strengths: Sequence[float]) -> None:
        self._data, self._strengths = data, strengths
        self._assigned = k_fold(data.subject_names(), folds)
        self._plan = from_assignment(self._assigned)
        self._group, self._clips = data.subject_ids(), data.clip_ids()
        self._people, _ = pd.factorize(people_of(data.subject_names()))
        if any(len(np.unique(self._people[fold.train])) < 2 for fold in self._plan):
            raise UsageError(
                f"--folds {folds}: a fold would train on one subject; give more folds, or data of more people."
            )
        self._labels = data.occurrence() if data.aus else np.full((len(data), 0), np.nan, dtype=np.float32)
        self._coded = np.flatnonzero(~np.isnan(self._labels).all(axis=1)) if data.aus else np.arange(0)
        self._targets = {"pose": known.pose(data), "light": known.light(data)}
        sequences = {f"k{k}": probe_measures.triplets(data, k) for k in probe_measures.INTERVALS}
        self._sequences = {name: rows for name, rows in sequences.items() if rows is not None}
        self.left_out: dict[str, str] = {}
        if not len(self._coded):
            self.left_out["au"] = "no action unit is coded"
        if not self._targets["pose"]:
            self.left_out["pose"] = "faces have no landmarks"
        self.left_out |= {f"order {name}": "no clip is long enough" for name in sequences if sequences[name] is None}

    def exact(self) -> list[dict[str, Any]]:
        """How far what the data know orders frames in time: a method can win the order by these."""
        quantities: dict[str, NDArray[np.float64] | None] = {
            "action units": known.intensities(self._data),
            "head pose": np.stack(list(self._targets["pose"].values()), axis=1) if self._targets["pose"] else None,
        }
        rows: list[dict[str, Any]] = []
        for name, values in quantities.items():
            if values is not None and self._sequences:
                scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
                rows += self._order(EXACT + name, scaled)
        return rows

    def measure(self, model: str, features: NDArray[np.float32]) -> list[dict[str, Any]]:
        """All probes of one model."""
        rows = self._action_units(model, features) if len(self._coded) else []
        scaled = probe_measures.standardised(features)
        found = probe_measures.identity(scaled, self._clips, self._group)
        if found is None:
            self.left_out["identity"] = "fewer than two subjects have several clips"
        else:
            rows.append({"model": model, "probe": "identity", "item": "mean", **found.estimate()})
        known_values = [values for targets in self._targets.values() for values in targets.values()]
        targets_of = np.stack(known_values, axis=1)
        sums = iter(probe_measures.regression(scaled, targets_of, self._plan, self._group, self._people))
        for probe, targets in self._targets.items():
            if targets:
                rows += _with_mean(model, probe, {name: next(sums).estimate() for name in targets})
        return rows + (self._order(model, scaled) if self._sequences else [])

    def _action_units(self, model: str, features: NDArray[np.float32]) -> list[dict[str, Any]]:
        here, labels = self._coded, self._labels[self._coded]
        plan = from_assignment(self._assigned[here])
        settings = LinearSettings(l2=tuple(self._strengths))
        try:
            score = linear_protocol(features[here], labels, plan, self._people[here], settings).score
        except UsageError as error:  # too few coded people; the other probes need no codes
            self.left_out["au"] = str(error)
            return []
        fold = self._assigned[here]
        fold_of = np.full(int(self._group.max()) + 1, -1)
        fold_of[self._group[here]] = fold
        items = [f"AU{au:02d}" for au in self._data.aus]
        summariser = Summariser(labels, items, self._group[here], fold_of, resamples=RESAMPLES, exclusive=False)
        found = summariser.add(model, {0: Predictions(score, score > 0, fold)})
        estimates = {item: found["items"][item]["mean_of_folds"]["auc"] for item in items}
        same = {"model": model, "probe": "au", "chance": 0.5, "cases": len(here)}
        estimates = {"mean": found["mean_of_folds"]["auc"], **estimates}
        return [{**same, "item": item, **estimate} for item, estimate in estimates.items()]

    def _order(self, model: str, values: NDArray[np.floating]) -> list[dict[str, Any]]:
        estimates = {
            name: probe_measures.order(values, rows, self._group).estimate() for name, rows in self._sequences.items()
        }
        return _with_mean(model, "order", estimates)


def _with_mean(model: str, probe: str, estimates: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one probe; their mean first, without an interval."""
    mean = mean_defined(np.array([estimate["value"] for estimate in estimates.values()], dtype=np.float64))
    first = next(iter(estimates.values()))
    rows: list[dict[str, Any]] = [
        {"item": "mean", "value": json_number(mean), "chance": first["chance"], "cases": first["cases"]}
    ]
    rows += [{"item": item, **estimate} for item, estimate in estimates.items()]
    return [{"model": model, "probe": probe, **row} for row in rows]


def _page(table: pd.DataFrame, summary: dict[str, Any]) -> str:
    means = table[table["item"] == "mean"]
    present = [probe for probe in TITLES if (means["probe"] == probe).any()]
    models = list(summary["models"])
    empty = {"value": None, "low": None, "high": None}
    estimates: dict[str, dict[str, Any]] = {name: dict.fromkeys(present, empty) for name in models}
    for row in means[means["model"].isin(models)].to_dict("records"):
        numbers = {key: None if pd.isna(row[key]) else row[key] for key in empty}
        estimates[row["model"]][row["probe"]] = numbers
    chance = {probe: _first_chance(means, probe) for probe in present}
    figure = plots.overview(estimates, chance, {probe: TITLES[probe] for probe in present})
    cells = {(row["model"], row["probe"], row["item"]): row for row in table.to_dict("records")}
    shown = table[(table["probe"] != "au") | (table["item"] == "mean")]
    pairs = list(dict.fromkeys(zip(shown["probe"], shown["item"])))
    columns = [pair for probe in present for pair in pairs if pair[0] == probe]
    facts = [name for name in dict.fromkeys(table["model"]) if name not in models]
    return render_page("duchenne.evaluation.protocols", "probes.jinja", {
        "title": "probes", "summary": summary, "figure": Markup(figure), "cells": cells, "columns": columns,
        "rows": [*models, *facts], "titles": TITLES, "chance": chance,
        "csv": to_data_uri([list(COLUMNS), *table.astype(object).where(table.notna(), None).to_numpy().tolist()]),
    })  # fmt: skip


def _first_chance(means: pd.DataFrame, probe: str) -> float | None:
    values = means.loc[means["probe"] == probe, "chance"].dropna()
    return float(values.iloc[0]) if len(values) else None
