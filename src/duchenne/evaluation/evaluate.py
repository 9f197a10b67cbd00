"""`duchenne evaluate`: any number of representations under one protocol, on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from duchenne.evaluation.protocols.base import Protocol
from duchenne.evaluation.protocols.registry import find_protocol, read_arguments
from duchenne.evaluation.setup import Data
from duchenne.features.resolve import source_of
from duchenne.features.source import FeatureSource

Model = str | Path | nn.Module | FeatureSource


def evaluate(
    protocol: str = "linear", *, model: Model | Sequence[Model] = (), data: Data, out: str | Path, **fields: Any
) -> pd.DataFrame:
    """Scores representations under one protocol, subjects never on both sides.

    Writes `scores.csv`, `summary.json`, `folds.csv` and `report.html` into `out`, and `label_efficiency.csv` where
    shares of the labels are asked for; `probes` have a table of their own (see `protocols.probes`). When it
    is interrupted, the same call goes on from what was finished (see `duchenne.evaluation.state`).

    Args:
        protocol: `linear`, `linear+bn`, `finetune`, `areas`, `areas+finetune`, `semi`, for a quick look `knn`
            or `ridge`, or `probes`; see `duchenne.evaluation.protocols.registry`.
        model: one or several: a word (see `duchenne.features.resolve`), a torch module or a source of features.
        data: prepared data with labels.
        out: folder to write to.
        **fields: any field of the protocol's arguments, as `duchenne evaluate PROTOCOL --help` lists them, with
            underscores: `folds=3`, `seeds=3`, `l2=[0.1, 1.0]` ...; one value stands for a list of one.

    Returns:
        The table of `scores.csv`: one row per model, item, fold and seed. An undefined AUC is NaN. Of `probes` the
        table of `probes.csv`.

    Raises:
        UsageError: for an unknown protocol or model, a field that the protocol does not have, settings that exclude
            each other, fewer subjects than folds, or an encoder that has seen the test subjects' labels.
        InputError: when something cannot be read or written, holds no labels, or lies on both sides.
    """
    models = list(model) if isinstance(model, Sequence) and not isinstance(model, str) else [model]
    chosen = open_protocol(protocol, fields, models=len(models))
    return chosen.evaluate([source_of(str(one) if isinstance(one, Path) else one) for one in models], data, Path(out))


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
