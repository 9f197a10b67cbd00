"""`duchenne evaluate`: any number of representations under one protocol, on the same folds."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.evaluation.baselines import baselines_of
from duchenne.evaluation.encoders import FeatureKind, FeatureSource, resolve
from duchenne.evaluation.frozen import run_linear
from duchenne.evaluation.linear import L2_CANDIDATES, LinearSettings, Weighting
from duchenne.evaluation.maps import MapKind
from duchenne.evaluation.protocols import Job
from duchenne.evaluation.report import write_report
from duchenne.evaluation.scoring import COLUMNS, Predictions, Summariser, always_positive, cells, undefined
from duchenne.evaluation.state import State, array_hash, data_hash
from duchenne.evaluation.tasks import Target, decide, describe_folds, fold_of, folds_table, make_plan, make_task
from duchenne.files import replacing, write_text
from duchenne.metrics import RESAMPLES

PROTOCOLS: Final = {"linear": run_linear}
"""Name -> protocol, see `duchenne.evaluation.protocols`."""


def evaluate(
    protocol: str = "linear",
    *,
    model: str | Sequence[str],
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    target: Target = "au",
    folds: str | int = 3,
    seeds: int = 1,
    feature: FeatureKind = "embedding",
    weighting: Weighting = "balanced",
    l2: float | Sequence[float] = L2_CANDIDATES,
    threshold: float = 0.5,
    baselines: bool = True,
    sample_faces: int = 12,
    maps: MapKind = "pca",
    device: str = "auto",
    quiet: bool = False,
) -> pd.DataFrame:
    """Scores representations with linear units on frozen features, subjects never on both sides.

    Writes `scores.csv`, `summary.json`, `folds.csv` and `report.html` into `out`. When it is interrupted, the same call
    goes on from what was finished (see `duchenne.evaluation.state`).

    Args:
        protocol: `linear`.
        model: one or several, see `duchenne.evaluation.encoders`.
        data: prepared data with labels.
        out: folder to write to.
        target: `au` (occurrence) or `emotion`.
        folds: number of subject-exclusive folds, `split` for the data's own split, or a CSV (subject, fold) such as
            the `folds.csv` of another evaluation.
        seeds: everything that is drawn (folds, held-out subjects, untrained weights) is drawn this many times.
        feature: `embedding` for what an encoder gives, `pooled` for its averaged last map.
        weighting: of the classes, see `LinearSettings`.
        l2: penalty strengths; of several, one per fold is chosen on held-out training subjects.
        threshold: on the sigmoid of a score, from which an AU is called present.
        baselines: evaluate an untrained encoder, `blendshapes` and `landmarks` too, see `duchenne.evaluation.baselines`.
        sample_faces: faces shown in the report; 0 keeps pictures out of it.
        maps: two-dimensional maps of the features in the report: `pca`, `tsne` (seconds per model) or `none`.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        The table of `scores.csv`: one row per model, item, fold and seed. An undefined AUC is NaN.

    Raises:
        UsageError: for an unknown protocol or model, fewer subjects than folds, or an encoder that has seen the test
            subjects' labels.
        InputError: when something cannot be read or written, or holds no labels.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"evaluate {protocol}: there is no such protocol; choose {', '.join(PROTOCOLS)}.")
    names = [model] if isinstance(model, str) else list(model)
    if not names or len(set(names)) < len(names):
        raise UsageError("--model: name at least one model, and each only once.")
    if not 0 < threshold < 1 or seeds < 1 or sample_faces < 0:
        raise UsageError("--threshold must lie between 0 and 1, --seeds be at least 1, --sample-faces at least 0.")
    settings = LinearSettings(l2=(float(l2),) if isinstance(l2, int | float) else tuple(l2), weighting=weighting)
    chosen, sources = resolve_device(device), [resolve(name) for name in names]
    prepared = Prepared([data] if isinstance(data, str | Path) else list(data))
    task = make_task(prepared, target)
    plans = {seed: make_plan(prepared, task, str(folds), seed) for seed in range(seeds)}
    added, left_out = baselines_of(sources, prepared, task.rows) if baselines else ([], {})
    sources += added
    beside = {source.name for source in added}
    tested = pd.Series(np.any([fold.test for plan in plans.values() for fold in plan], axis=0))
    seen = {source.name: overlap(source, prepared, task.subjects[tested]) for source in sources}

    state = State(out, {
        "data": data_hash(prepared), "rows": array_hash(task.rows, task.labels, task.group), "device": str(chosen),
        "versions": _versions(),
    })  # fmt: skip
    job = Job(
        data=prepared, task=task, plans=plans, device=chosen, feature=feature, maps=maps, state=state, quiet=quiet
    )  # fmt: skip
    first = fold_of(plans[0], len(task.rows))
    strata = np.full(int(task.group.max()) + 1, -1)
    np.maximum.at(strata, task.group, first)
    summariser = Summariser(
        task.labels, task.items, task.group, strata, resamples=RESAMPLES, exclusive=task.exclusive
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    summaries: dict[str, Any] = {}
    runs: dict[str, dict[int, Predictions]] = {}
    drawn: dict[str, NDArray[np.float64]] = {}
    for source in sources:
        found = PROTOCOLS[protocol](source, replace(job, maps="none") if source.name in beside else job, settings)
        if found.points is not None:
            drawn[source.name] = found.points
        runs[source.name] = {seed: decide(task, plans[seed], score, threshold) for seed, score in found.scores.items()}
        mine = cells(source.name, target, task.items, task.labels, runs[source.name])
        rows += mine
        summaries[source.name] = {
            **source.describe(),
            "baseline": source.name in beside,
            "features": found.width,
            "seen": seen[source.name],
            **summariser.add(source.name, runs[source.name]),
            "undefined": undefined(mine),
            **found.facts,
        }
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    summary = {
        "protocol": {
            "name": protocol, "target": target, "items": list(task.items), "aggregates": ["mean_of_folds", "pooled"],
            **describe_folds(task, plans, str(folds)),
            "feature": feature, "weighting": weighting, "l2": list(settings.l2), "held_out": settings.held_out,
            "threshold": None if task.exclusive else threshold,
            "interval": {"level": 0.95, "resamples": RESAMPLES, "of": "subjects" if task.knows_subjects else "images"},
            "baselines": {"added": sorted(beside), "left_out": left_out},
            "device": chosen.type, "versions": _versions(),
        },
        "data": [_describe_data(prepared, number) for number in range(len(prepared.infos))],
        "always_positive": always_positive(task.items, [row for row in rows if row["model"] == names[0]]),
        "models": summaries,
        "differences": summariser.differences(beside),
    }  # fmt: skip
    out = Path(out)
    with replacing(out / "scores.csv") as temporary:
        table.to_csv(temporary, index=False)
    with replacing(out / "folds.csv") as temporary:
        folds_table(task, plans).to_csv(temporary, index=False)
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_report(out, table, summary, prepared, task.rows, task.labels, runs, sample_faces=sample_faces, maps=drawn)
    state.clear()
    return table


def overlap(source: FeatureSource, data: Prepared, subjects: pd.Series[str]) -> dict[str, Any]:
    """What an encoder has seen of the subjects it is tested on.

    Args:
        source: with its record of training data.
        data: tested on.
        subjects: `dataset:subject` of every tested row, null where unknown.

    Returns:
        `transductive`: whether it has seen tested subjects without their labels; `test_subjects`: how many of them;
        `data`: the names of the data sets it was trained on.

    Raises:
        UsageError: when it has seen labels of tested subjects.
    """
    tested = set(subjects.dropna().unique())
    unnamed = {info.name for info in data.infos} if bool(subjects.isna().any()) else set()
    shared: set[str] = set()
    for item in source.trained_on:
        common = tested & set(item.subjects)
        blind = item.dataset in unnamed or (not item.subjects and any(s.startswith(f"{item.dataset}:") for s in tested))
        if item.labels and (common or blind):
            what = f"{len(common)} test subjects (first: {min(common)})" if common else f"test images of {item.dataset}"
            raise UsageError(
                f"--model {source.name}: was trained with the labels of {what}, so its scores would mean nothing; "
                "train it without them or test on other subjects."
            )
        shared |= common | ({f"{item.dataset}:unknown subjects"} if blind else set())
    return {
        "transductive": bool(shared),
        "test_subjects": len(shared),
        "data": sorted({item.dataset for item in source.trained_on}),
    }


def _describe_data(data: Prepared, number: int) -> dict[str, Any]:
    info = data.infos[number]
    facts = asdict(info)
    kept = ("name", "alignment", "size_px", "label_kind", "positive_from", "licence", "settings", "format_version")
    return {key: facts[key] for key in kept} | {"crops": int((data.frames["dataset"] == number).sum())}


def _versions() -> dict[str, str]:
    return {
        "duchenne": duchenne.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "threads": str(torch.get_num_threads()),
    }
