"""`duchenne evaluate`: any number of representations under one protocol, on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duchenne.data.prepared import Data, folders_of
from duchenne.evaluation.protocols.base import Protocol
from duchenne.evaluation.protocols.registry import find_protocol, read_arguments
from duchenne.evaluation.result import EvaluationResult
from duchenne.features.resolve import Model, sources_of
from duchenne.files import locked
from duchenne.methods.registry import method_name


def evaluate(
    protocol: str = "linear", *, model: Model | Sequence[Model] = (), data: Data, out: str | Path, **fields: Any
) -> EvaluationResult:
    """Scores representations under one protocol, subjects never on both sides.

    Writes `scores.csv`, `summary.json`, `folds.csv` and `report.html` into `out`, and `label_efficiency.csv` where
    shares of the labels are asked for; `probes` have a table of their own (see `protocols.probes`). When it
    is interrupted, the same call goes on from what was finished (see `duchenne.evaluation.state`).

    Args:
        protocol: `linear`, `linear+bn`, `finetune`, `areas`, `areas+finetune`, `semi`, for a quick look `knn`
            or `ridge`, or `probes`; see `duchenne.evaluation.protocols.registry`.
        model: one or several: words, torch modules, encoders or sources of features, see `duchenne.features.resolve`.
        data: prepared folders with labels, or such data that is open; one or several.
        out: folder to write to.
        **fields: any field of the protocol's arguments, as `duchenne evaluate PROTOCOL --help` lists them, with
            underscores: `folds=3`, `seeds=3`, `l2=[0.1, 1.0]` ...; one value stands for a list of one.
            `train_data` takes what `data` does, and `method` of `finetune` classes too, see `register_method`.

    Returns:
        The table of `scores.csv`: one row per model, item, fold and seed; of `probes` that of `probes.csv`. An
        undefined AUC is NaN. It also has `summary`, `intervals` and `differences`, see `EvaluationResult`.

    Raises:
        UsageError: for an unknown protocol or model, a field that the protocol does not have, settings that exclude
            each other, fewer subjects than folds, an encoder that has seen the test subjects' labels, or when another
            process works in `out`.
        InputError: when something cannot be read or written, holds no labels, or lies on both sides.
    """
    if "method" in fields:
        methods = fields["method"] if isinstance(fields["method"], list | tuple) else [fields["method"]]
        fields["method"] = [method_name(method) for method in methods]
    if fields.get("train_data"):
        fields["train_data"] = folders_of(fields["train_data"], "--train-data")
    models: list[Any] = [*model] if isinstance(model, list | tuple) else [model]
    chosen = open_protocol(protocol, fields, models=len(models))
    sources = sources_of(models) if models else []
    with locked(out):
        return chosen.evaluate(sources, data, Path(out))


def open_protocol(name: str, fields: dict[str, Any], *, models: int) -> Protocol[Any]:
    """The protocol of this name with its arguments.

    Args:
        name: see `evaluate`.
        fields: those of its arguments that were given.
        models: how many models were named.

    Raises:
        UsageError: see `read_arguments`.
    """
    arguments = read_arguments(name, fields, models=models)
    return find_protocol(name).load()(arguments)
