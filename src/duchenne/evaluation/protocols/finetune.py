"""The `finetune` protocol: encoders trained further in every fold, and methods that learn from labels trained in each.

Of a `--model` a fresh copy is trained with one linear unit per item on the fold's training rows (`tuning.py`; AdamW,
1e-4 for the encoder and 1e-3 for the units, 10 epochs). A `--method` is pretrained from the start on the same rows and
says itself what it sees. Either way no tested person, and nobody of the same name in another data set, has any part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.config import from_mapping, to_mapping
from duchenne.data.folds import Fold, check_apart, hold_out
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.protocols.base import ScoredProtocol
from duchenne.evaluation.protocols.frozen import plan_hash
from duchenne.evaluation.protocols.registry import FinetuneArguments
from duchenne.evaluation.scoring import mean_defined
from duchenne.facs import au_column
from duchenne.features.resolve import source_of
from duchenne.features.source import Context, Features, FeatureSource, NetworkSource, SingleSource
from duchenne.heads.fit_network import learnable_shares
from duchenne.heads.settings import TuneSettings
from duchenne.heads.tuning import score_faces, tune_encoder
from duchenne.methods.base import Method
from duchenne.methods.families.labelled_method import LabelledMethod
from duchenne.methods.registry import method_class, method_name, register_method, registered_methods
from duchenne.metrics import f1_score, json_number, roc_auc
from duchenne.parallel import in_processes
from duchenne.progress import progress_bar
from duchenne.training.config import method_run_config
from duchenne.training.pretrain import train_on
from duchenne.training.recipes import load_recipe
from duchenne.training.runs import TrainedOn

Found = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class MethodSource(SingleSource):
    """One `--method`: learned anew in every fold, from the labels of its training rows.

    Attributes:
        name: as given, `NAME` or `NAME:RECIPE`.
        method: of the registry.
        config: of its runs; seed and device are the evaluation's.
    """

    name: str
    method: str
    config: Any
    seeded: bool = True
    trained_on: tuple[TrainedOn, ...] = ()

    def describe(self) -> dict[str, Any]:
        """What it is, as plain values for `summary.json`."""
        return {"kind": "method", "method": self.method, "settings": to_mapping(self.config)}

    def features(self, data: Prepared, rows: NDArray[np.int64], context: Context) -> Features:
        """There are none outside of a fold.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"--method {self.name}: is trained in every fold; use evaluate finetune.")


def resolve_method(name: str | type[Method]) -> MethodSource:
    """Finds out what a `--method` means: `supervised`, `cl_ile`, or one of them with a recipe, `cl_ile:cpu/cl_ile`.

    From Python also the class of a method.

    Raises:
        UsageError: when there is no such method or recipe, or it does not learn from action unit labels.
    """
    name = method_name(name)
    method, _, recipe = name.partition(":")
    if not issubclass(method_class(method), LabelledMethod):
        raise UsageError(
            f"--method {method}: learns without action unit labels; pretrain it and name the run with --model."
        )
    values = load_recipe(recipe, method) if recipe else {}
    return MethodSource(name, method, from_mapping(method_run_config(method), values, where=f"--method {name}"))


def weighting_of(sources: Sequence[FeatureSource]) -> str | None:
    """The weighting of classes that all methods among the sources train with; None where they differ."""
    found = {source.config.weighting for source in sources if isinstance(source, MethodSource)}
    return str(found.pop()) if len(found) == 1 else None


class Finetune(ScoredProtocol[FinetuneArguments]):
    """The protocol, see the module's first lines."""

    name = "finetune"
    text = (
        "BatchNorm and one linear unit per item, trained together with the encoder; methods (--method) are trained "
        "from the start in every fold and give their own scores"
    )
    needs_encoder = True

    def __init__(self, arguments: FinetuneArguments) -> None:
        super().__init__(arguments)
        self.feature = arguments.feature

    def own_models(self) -> list[FeatureSource]:
        """See `ScoredProtocol`: the methods."""
        return [resolve_method(name) for name in self.arguments.method]

    def check(self, source: FeatureSource) -> None:
        """See `ScoredProtocol`; methods make their encoders themselves."""
        if not isinstance(source, MethodSource):
            super().check(source)

    def describe(self, models: Sequence[FeatureSource]) -> dict[str, Any]:
        """See `ScoredProtocol`; of methods alone their own weighting, and no feature."""
        if all(isinstance(source, MethodSource) for source in models):
            return {"weighting": weighting_of(models)}
        return super().describe(models)

    def run(self, source: FeatureSource, job: Job) -> Outcome:
        """See `ScoredProtocol`."""
        arguments, tuning = self.arguments, self.arguments.tuning
        folds = [(seed, number) for seed, plan in job.plans.items() for number in range(len(plan))]
        for seed, number in folds:
            check_apart([job.plans[seed][number]], job.task.subjects)
        scores = {seed: np.full(job.task.labels.shape, np.nan, dtype=np.float32) for seed in job.plans}
        facts: dict[str, Any] = {}
        width = 0
        with progress_bar(quiet=job.quiet) as bar:
            task = bar.add_task(source.name[-32:], total=len(folds), note="folds")
            done = _folds(source, job, arguments, tuning, folds)
            for (seed, number), found in zip(folds, done, strict=True):
                scores[seed][job.plans[seed][number].test] = found["score"]
                facts.setdefault(str(seed), []).append(
                    {name: _plain(values) for name, values in found.items() if name not in ("score", "width")}
                )
                width = int(found["width"])
                bar.advance(task)
        training = {"weighting": arguments.weighting, **asdict(tuning)} if source.network else {}
        return Outcome(scores=scores, width=width, facts={"training": training, "folds": facts})


def _plain(values: NDArray[Any]) -> Any:
    """As `summary.json` holds it: None where an epoch has no score."""
    return [json_number(value) for value in values] if values.dtype.kind == "f" and values.ndim else values.tolist()


def _folds(
    source: FeatureSource,
    job: Job,
    settings: FinetuneArguments,
    tuning: TuneSettings,
    folds: list[tuple[int, int]],
) -> Iterator[Found]:
    """What was found for every (seed, fold), in their order; finished ones are read back."""
    workers, scheduler = settings.workers, settings.scheduler
    if workers == 1 and scheduler is None:
        yield from (_fold(source, job, settings, tuning, seed, number) for seed, number in folds)
        return
    threads = None if scheduler else max(1, torch.get_num_threads() // workers)
    is_method = isinstance(source, MethodSource)
    travels = source if source.describe()["kind"] == "module" else source.name
    own = registered_methods()
    calls = ((travels, is_method, own, threads, job, settings, tuning, *fold) for fold in folds)
    with in_processes(
        _fold_elsewhere, calls, workers=workers, lost="evaluate finetune", scheduler=scheduler, alone=True
    ) as results:
        yield from results


def _fold_elsewhere(
    model: str | FeatureSource, is_method: bool, own: Mapping[str, type[Method]], threads: int | None, *rest: Any
) -> Found:
    """`_fold` in another process; a source with a name is found again by it, as its code may not travel."""
    if threads is not None:  # a worker of a cluster has what it was started with
        torch.set_num_threads(threads)
    for name, method in own.items():
        register_method(method, name)
    return _fold(resolve_method(str(model)) if is_method else source_of(model), *rest)


def _fold(
    source: FeatureSource,
    job: Job,
    settings: FinetuneArguments,
    tuning: TuneSettings,
    seed: int,
    number: int,
) -> Found:
    fold = job.plans[seed][number]
    key: dict[str, Any] = {
        "finetune": source.describe(), "seed": seed, "start": job.weights_seed(seed), "fold": number,
        "folds": plan_hash([fold]),
    }  # fmt: skip
    if source.network:
        key |= {"model": source.fingerprint(job.model_seed(source, seed)), "feature": job.feature}
        key |= {"tuning": asdict(tuning), "weighting": settings.weighting}
    stored = job.state.get(**key)
    if stored is None:
        if source.network:
            stored = _tuned(source.network, job, settings, tuning, seed, number)
        else:
            assert isinstance(source, MethodSource)
            stored = _learned(source, job, seed, fold, job.state.folder(**key))
        job.state.put(stored, **key)
    return stored


def _tuned(
    source: NetworkSource, job: Job, settings: FinetuneArguments, tuning: TuneSettings, seed: int, number: int
) -> dict[str, NDArray[Any]]:
    task, fold = job.task, job.plans[seed][number]
    held = np.zeros(len(task.rows), dtype=bool)
    if tuning.patience:
        held = hold_out(task.people, fold.train, share=tuning.held_out, seed=seed)
    train, size_px = fold.train & ~held, source.side_px(job.data)
    truth, curve = task.labels[fold.test], list[NDArray[np.float64]]()

    def watch(shown: nn.Module) -> None:
        score = score_faces(shown, job.data, task.rows[fold.test], size_px, job.device)
        said = score == score.max(axis=1, keepdims=True) if task.exclusive else score > 0
        curve.append(np.stack([roc_auc(truth, score), f1_score(truth, said)]))

    network, facts = tune_encoder(
        source.build(job.model_seed(source, seed)),
        lambda module: source.forward(module, job.feature),
        job.data, task.rows[train], task.labels[train], tuning,
        held=(task.rows[held], task.labels[held]) if tuning.patience else None,
        weighting=settings.weighting, size_px=size_px, seed=(job.weights_seed(seed), number),
        device=job.device, watch=watch if tuning.curve else None,
    )  # fmt: skip
    score = score_faces(network, job.data, task.rows[fold.test], size_px, job.device)
    score[:, ~learnable_shares(task.labels[train])[1]] = np.nan
    facts |= {"width": network.units.in_features}
    if curve:
        means = np.array([[mean_defined(row) for row in epoch] for epoch in curve])
        facts |= {"epoch_auc": means[:, 0].round(6), "epoch_f1": means[:, 1].round(6)}
    return {"score": score, **{name: np.array(value) for name, value in facts.items()}}


def _learned(source: MethodSource, job: Job, seed: int, fold: Fold, run: Path) -> dict[str, NDArray[Any]]:
    task = job.task
    if task.exclusive:
        raise UsageError(f"--method {source.name}: learns action units; use --target au.")
    if not np.array_equal(task.labels, job.data.occurrence(job.data.aus)[task.rows], equal_nan=True):
        raise UsageError(f"--method {source.name}: learns the labels as coded; leave --positive-from out.")
    config = replace(source.config, seed=job.weights_seed(seed), device=str(job.device))
    result, method = train_on(
        source.method, config, job.data, task.rows[fold.train], run, job={"evaluate": "finetune"},
        resume=(run / "checkpoint.pt").is_file(), quiet=True, alone=True,
    )  # fmt: skip
    if not result.finished:
        raise KeyboardInterrupt
    assert isinstance(method, LabelledMethod)
    score = np.full((int(fold.test.sum()), len(task.items)), np.nan, dtype=np.float32)
    learned = [task.items.index(au_column(au)) for au in method.config.aus]
    network = _Scores(method).eval()
    score[:, learned] = score_faces(network, job.data, task.rows[fold.test], config.size_px, job.device)
    return {"score": score, "steps": np.array(result.steps), "width": np.array(method.encoder.feature_dim)}


class _Scores(nn.Module):
    """What a method says of pictures, as a network."""

    def __init__(self, method: LabelledMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.method.judge(x)
