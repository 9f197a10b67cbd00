"""What an evaluation needs before anything is trained: data, task, folds, models, and what each has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne.data.across import common_level
from duchenne.data.epochs import check_people
from duchenne.data.folds import Fold
from duchenne.data.prepared import Data, Prepared, folders_of, open_prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import CommonArguments, ScoredArguments
from duchenne.evaluation.missing import Missing, missing_rows
from duchenne.evaluation.scoring import Summariser
from duchenne.evaluation.tasks import Task, fold_of, make_plans, make_task
from duchenne.features.baselines import baselines_of
from duchenne.features.overlap import overlap
from duchenne.features.source import FeatureSource
from duchenne.metrics import RESAMPLES


@dataclass(frozen=True, kw_only=True)
class Models:
    """What is evaluated.

    Attributes:
        named: by whoever evaluates.
        added: what stands beside them (baselines).
        left_out: baselines that are not among them, with the reason.
        seen: model -> what it has seen of the tested people.
    """

    named: Sequence[FeatureSource]
    added: Sequence[FeatureSource]
    left_out: Mapping[str, str]
    seen: Mapping[str, Any]

    @property
    def sources(self) -> list[FeatureSource]:
        """All, those that were named first."""
        return [*self.named, *self.added]

    @property
    def beside(self) -> set[str]:
        """Names of the baselines."""
        return {source.name for source in self.added}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Which faces are trained on and tested.

    Attributes:
        data: prepared, what is only trained on first.
        trained: how many of its folders are only trained on.
        level: from which intensity an action unit counts as present everywhere; None: as each data set says.
        task: what is predicted, on which rows.
        plans: seed -> folds.
        folds: what they were made by, see `duchenne.evaluation.tasks.make_plan`.
        device: where it runs.
    """

    data: Prepared
    trained: int
    level: float | None
    task: Task
    plans: Mapping[int, list[Fold]]
    folds: str
    device: torch.device


def set_up(arguments: ScoredArguments, data: Data) -> Setup:
    """Opens the data and draws the folds.

    Raises:
        UsageError: when settings exclude each other, or there are fewer subjects than folds.
        InputError: when something cannot be read, holds no labels, or lies on both sides, or people may have a name in
            one folder and a number in another.
    """
    device, others = resolve_device(arguments.device), arguments.train_data
    prepared = Prepared([*others, *folders_of(data)]) if others else open_prepared(data)
    check_people(prepared, "no fold can leave them out")
    level = arguments.positive_from
    if others and level is None and arguments.target == "au":
        level = common_level(prepared)
    task = make_task(prepared, arguments.target, level)
    plans = make_plans(prepared, task, arguments.folds, arguments.seeds, arguments.repeats, trained=len(others))
    return Setup(
        data=prepared, trained=len(others), level=level, task=task, plans=plans, folds=arguments.folds, device=device,
    )  # fmt: skip


def check_names(sources: Sequence[FeatureSource]) -> None:
    """Refuses two models of one name.

    Raises:
        UsageError: when there are any.
    """
    if len({source.name for source in sources}) < len(sources):
        raise UsageError("--model: name at least one model, and each only once.")


def find_models(
    named: Sequence[FeatureSource],
    arguments: CommonArguments,
    data: Prepared,
    rows: NDArray[np.int64],
    people: pd.Series[str],
    *,
    encoders_only: bool = False,
) -> Models:
    """The models that were named and their baselines, and what they have seen.

    Args:
        named: the models.
        arguments: whether there are baselines.
        data: the faces.
        rows: that take part.
        people: who are tested.
        encoders_only: leave out baselines in which nothing could be trained.

    Raises:
        UsageError: when a model has seen their labels.
    """
    added, left_out = baselines_of(named, data, rows) if arguments.baselines else ([], {})
    if encoders_only:
        added = [source for source in added if source.network]
    seen = {source.name: overlap(source, data, people) for source in [*named, *added]}
    return Models(named=named, added=added, left_out=left_out, seen=seen)


def make_summariser(setup: Setup) -> tuple[Summariser, Missing, NDArray[np.float32]]:
    """What counts the scores; the labelled rows without a crop that it counts; and the labels of all."""
    task = setup.task
    lost = missing_rows(setup.data, task, setup.level, setup.plans, setup.folds, trained=setup.trained)
    labels, group = np.concatenate([task.labels, lost.labels]), np.concatenate([task.group, lost.group])
    fold = np.full(int(group.max()) + 1, -1)
    np.maximum.at(fold, group, np.concatenate([fold_of(setup.plans[0], len(task.rows)), lost.fold[0]]))
    summariser = Summariser(labels, task.items, group, fold, resamples=RESAMPLES, exclusive=task.exclusive)
    return summariser, lost, labels
