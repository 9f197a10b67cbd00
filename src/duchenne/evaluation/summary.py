"""`summary.json` of an evaluation: how it was made, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from duchenne.data.across import levels
from duchenne.evaluation.arguments import ScoredArguments
from duchenne.evaluation.describing import describe_data, versions
from duchenne.evaluation.missing import Missing
from duchenne.evaluation.scoring import INTERVAL, always_positive
from duchenne.evaluation.setup import Models, Setup
from duchenne.evaluation.tasks import describe_folds

OWN: Final = ("prior", "feature", "weighting", "l2", "held_out", "areas")
"""What only some protocols have; null for the others, so that evaluations can be compared."""


def summarise(
    name: str,
    described: Mapping[str, Any],
    arguments: ScoredArguments,
    setup: Setup,
    models: Models,
    lost: Missing,
    rows: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Any],
    differences: Sequence[Mapping[str, Any]],
    swept: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> dict[str, Any]:
    """Everything as plain values.

    Args:
        name: of the protocol.
        described: what it says of its own settings.
        arguments: its settings.
        setup: data, task and folds.
        models: what was evaluated.
        lost: labelled rows without a crop that are tested.
        rows: of `scores.csv`.
        summaries: model -> what was found.
        differences: between models.
        swept: run -> the value of the first key that is swept, and of the second.
    """
    task, keys = setup.task, arguments.sweep
    data = setup.data
    return {
        "protocol": {
            "name": name, "target": arguments.target, "items": list(task.items),
            "aggregates": ["mean_of_folds", "pooled"],
            **describe_folds(task, setup.plans, "train-data" if setup.trained else arguments.folds, arguments.repeats),
            "positive_from": levels(data, setup.level) if arguments.target == "au" else None,
            **dict.fromkeys(OWN), **described,
            "missing": {"counted_as_absent": lost.counted, "left_out": lost.left_out},
            "threshold": None if task.exclusive else arguments.threshold,
            "interval": {**INTERVAL, "of": "subjects" if task.knows_subjects else "images"},
            "label_unit": arguments.label_unit if arguments.shares else None,
            "sweep": keys[0] if keys else None, "sweep_by": keys[1] if len(keys) > 1 else None,
            "baselines": {"added": sorted(models.beside), "left_out": models.left_out},
            "device": setup.device.type, "versions": versions(),
        },
        "data": [describe_data(data, number, trained=setup.trained) for number in range(len(data.infos))],
        "always_positive": always_positive(task.items, [row for row in rows if row["model"] == models.named[0].name]),
        "models": summaries,
        "differences": differences,
        "sweep": swept[0],
        "sweep_by": swept[1],
    }  # fmt: skip
