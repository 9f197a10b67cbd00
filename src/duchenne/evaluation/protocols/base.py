"""What a protocol is: an object with its arguments that evaluates models.

`ScoredProtocol` is the base of those that train on the training rows of every fold of every seed and score the tested
rows: a subclass has `run` and says what it is. Folds, decisions, counting, intervals and the report are the same for
all of them, and stand here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np
import pandas as pd

from duchenne.data.prepared import Data
from duchenne.data.spreadsheets import plain_cells
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import CommonArguments, MapKind, MappedArguments, ScoredArguments
from duchenne.evaluation.comparing.sweep import sweep_values
from duchenne.evaluation.describing import versions
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.protocols.label_share import Efficiency
from duchenne.evaluation.report.gradcam import Attention
from duchenne.evaluation.report.maps import MapSettings, choose_points
from duchenne.evaluation.report.page import write_report
from duchenne.evaluation.result import EvaluationResult
from duchenne.evaluation.scoring import COLUMNS, Predictions, cells, model_means, spread, undefined
from duchenne.evaluation.setup import Models, Setup, check_names, find_models, make_summariser, set_up
from duchenne.evaluation.state import State, array_hash, data_hash
from duchenne.evaluation.summary import summarise
from duchenne.evaluation.tasks import folds_table, one_split
from duchenne.evaluation.thresholds import decisions
from duchenne.features.source import FeatureKind, FeatureSource, NetworkSource
from duchenne.files import replacing, write_text

TABLES: Final = ("scores.csv", "folds.csv", "label_efficiency.csv", "probes.csv")
"""What evaluations write beside `summary.json` and `report.html`, which all of them write."""

A = TypeVar("A", bound=CommonArguments)
S = TypeVar("S", bound=ScoredArguments)
M = TypeVar("M", bound=MappedArguments)


class Protocol(ABC, Generic[A]):
    """One protocol with its arguments.

    Args:
        arguments: see `protocols/registry.py`.
    """

    name: ClassVar[str]

    def __init__(self, arguments: A) -> None:
        self.arguments = arguments

    @abstractmethod
    def evaluate(self, models: Sequence[FeatureSource], data: Data, out: Path) -> EvaluationResult:
        """Evaluates models and writes what was found; goes on from what an interrupted call has finished.

        Args:
            models: those that were named.
            data: prepared.
            out: folder to write to.
        """

    @abstractmethod
    def lines(self, table: pd.DataFrame, out: Path) -> list[str]:
        """What the command prints of a finished evaluation.

        Args:
            table: that `evaluate` has given.
            out: the folder.
        """


class ScoredProtocol(Protocol[S]):
    """A protocol that scores tested faces.

    Attributes:
        text: what is trained, in words, for the report.
        needs_encoder: whether models must be single encoders; baselines that are none are left out.
        single_models: whether features of several models side by side are refused.
        attention_text: ends the sentence of the report that says whose attention is drawn.
        feature: which features of an encoder are taken.
        maps: which map of the features is drawn.
        map_settings: what is on it.
    """

    text: ClassVar[str]
    needs_encoder: ClassVar[bool] = False
    single_models: ClassVar[bool] = False
    attention_text: ClassVar[str] = ""

    def __init__(self, arguments: S) -> None:
        super().__init__(arguments)
        self.feature: FeatureKind = "embedding"
        self.maps: MapKind = "none"
        self.map_settings = MapSettings()

    @abstractmethod
    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """Trains on `fold.train` of every fold alone, and scores every tested row.

        Args:
            source: one model.
            job: the evaluation.

        Raises:
            UsageError: when it makes no sense for this model.
        """

    def check(self, source: FeatureSource) -> None:
        """Refuses what the protocol cannot evaluate.

        Raises:
            UsageError: when it cannot.
        """
        if self.needs_encoder and not source.network:
            raise UsageError(f"evaluate {self.name}: --model {source.name} is no single encoder; use evaluate linear.")
        if self.single_models and len(source.members) > 1:
            raise UsageError(f"evaluate {self.name}: --model {source.name} are several; evaluate them one by one.")

    def own_models(self) -> list[FeatureSource]:
        """Models that only this protocol can name."""
        return []

    def describe(self, models: Sequence[FeatureSource]) -> dict[str, Any]:
        """What `summary.json` says of the settings, beside what it says of all protocols.

        Args:
            models: those that were named.
        """
        return {"feature": self.feature, "weighting": self.arguments.weighting}

    def attention(self, source: NetworkSource, job: Job, found: Outcome, tested: Predictions) -> list[Attention]:
        """Where an encoder looked in the first fold of the first seed; nothing where units lie on no encoder.

        Args:
            source: the encoder.
            job: the evaluation.
            found: what `run` gave.
            tested: its predictions of the first seed.
        """
        return []

    def evaluate(self, models: Sequence[FeatureSource], data: Data, out: Path) -> EvaluationResult:
        """See `Protocol`.

        Returns:
            The table of `scores.csv`.
        """
        arguments, named = self.arguments, [*models, *self.own_models()]
        check_names(named)
        setup = set_up(arguments, data)
        task, plans = setup.task, setup.plans
        self.map_settings.check(task.items, setup.data.column("emotion", task.rows))
        swept = sweep_values(arguments.sweep, [source.name for source in named]) if arguments.sweep else ({}, {})
        tested = pd.Series(np.any([fold.test for plan in plans.values() for fold in plan], axis=0))
        chosen = find_models(
            named, arguments, setup.data, task.rows, task.subjects[tested], encoders_only=self.needs_encoder
        )
        for source in chosen.sources:
            self.check(source)
        state = State(out, {
            "data": data_hash(setup.data), "rows": array_hash(task.rows, task.labels, task.group),
            "device": str(setup.device), "versions": versions(),
        })  # fmt: skip
        job = Job(
            data=setup.data, task=task, plans=plans, device=setup.device, feature=self.feature, maps=self.maps,
            state=state, quiet=arguments.quiet, repeats=arguments.repeats,
            map_places=choose_points(task.group, self.map_settings),
        )  # fmt: skip
        found = self._score(chosen, setup, job, swept, out)
        state.clear()
        return found

    def lines(self, table: pd.DataFrame, out: Path) -> list[str]:
        """See `Protocol`: a line per model."""
        means = model_means(table)
        width = max(map(len, means.index))
        f1 = "F1 (oracle thresholds)" if self.arguments.threshold == "oracle" else "F1"
        said = [f"{name:<{width}}  AUC {row['auc']:.3f}  {f1} {row['f1']:.3f}" for name, row in means.iterrows()]
        if self.arguments.target == "emotion":
            models = json.loads((out / "summary.json").read_text(encoding="utf-8"))["models"]
            right = [models[name]["mean_of_folds"] for name in means.index]
            more = [
                f"accuracy {of['accuracy']['value']:.3f}, mean of classes {of['mean_recall']['value']:.3f}"
                for of in right
            ]
        else:
            more = [f"(always positive {value:.3f})" for value in means["f1_always_positive"]]
        said = [f"{line}  {rest}" for line, rest in zip(said, more)]
        return [*said, f"{out / 'report.html'}"]

    def _score(
        self, models: Models, setup: Setup, job: Job, swept: tuple[Mapping[str, Any], Mapping[str, Any]], out: Path
    ) -> EvaluationResult:
        """Runs every model, counts, and writes the files."""
        arguments, task = self.arguments, job.task
        summariser, lost, labels = make_summariser(setup)
        if arguments.shares and len(lost.group):
            raise UsageError("--label-share: does not count pictures without a crop; prepare with --missing drop.")
        rows: list[dict[str, Any]] = []
        summaries: dict[str, Any] = {}
        outcomes: dict[str, Outcome] = {}
        runs: dict[str, dict[int, Predictions]] = {}
        efficiency = Efficiency(job, arguments.shares, arguments.label_unit, arguments.threshold)
        for source in models.sources:
            name, beside = source.name, source.name in models.beside

            def run(part: Job, source: FeatureSource = source) -> Outcome:
                return self.run(source, part)

            found = outcomes[name] = run(replace(job, maps="none") if beside else job)
            runs[name], thresholds = decisions(arguments.threshold, job, found, run)
            counted = {seed: lost.count(some, seed) for seed, some in runs[name].items()}
            mine = cells(name, arguments.target, task.items, labels, counted)
            rows += mine
            summaries[name] = {
                **source.describe(),
                "baseline": beside,
                "features": found.width,
                "seen": models.seen[name],
                **summariser.add(name, counted),
                "spread": spread(mine, one_split=one_split(job.plans, len(task.rows))),
                "undefined": undefined(mine),
                **thresholds,
                **found.facts,
            }
            if arguments.shares:
                summaries[name]["label_efficiency"] = efficiency.add(name, runs[name], run, summariser)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        if isinstance(arguments.threshold, str):
            table["threshold"] = arguments.threshold
        summary = summarise(
            self.name, self.describe(models.named), arguments, setup, models, lost, rows,
            summaries, summariser.differences(models.beside), swept,
        )  # fmt: skip
        shown = [
            face
            for source in (models.named if arguments.sample_faces else ())
            if (network := source.network)
            for face in self.attention(network, job, outcomes[source.name], runs[source.name][0])
        ]
        tables = {"scores.csv": table, "folds.csv": lost.add_to(folds_table(task, job.plans))}
        write_tables(out, tables | ({"label_efficiency.csv": efficiency.table} if arguments.shares else {}))
        write_text(out / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
        drawn = {name: found.points for name, found in outcomes.items() if found.points is not None}
        write_report(
            out, table, summary, setup.data, task.rows, task.labels, runs, classifier=self.text,
            sample_faces=arguments.sample_faces, maps=drawn, map_places=job.map_places,
            map_settings=self.map_settings, attention=shown, attention_text=self.attention_text,
        )  # fmt: skip
        return EvaluationResult(table, summary=summary, out=out)


class FeatureProtocol(ScoredProtocol[M]):
    """A protocol on features of whole faces, of which maps are drawn."""

    def __init__(self, arguments: M) -> None:
        super().__init__(arguments)
        self.feature, self.maps = arguments.feature, arguments.maps
        self.map_settings = MapSettings(
            faces=arguments.map_faces, subjects=arguments.map_subjects, items=arguments.map_items,
            emotion=arguments.map_emotion,
        )  # fmt: skip


def write_tables(out: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Writes CSV files, each in one step, their texts safe to open in a spreadsheet.

    Those of a former evaluation that this one does not have are removed: beside its summary they would pass as its own.

    Args:
        out: folder.
        tables: name of `TABLES` -> what is in it.
    """
    for name in TABLES:
        if name in tables:
            with replacing(out / name) as temporary:
                plain_cells(tables[name]).to_csv(temporary, index=False)
        else:
            (out / name).unlink(missing_ok=True)
