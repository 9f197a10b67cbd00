"""`duchenne evaluate`: any number of representations under one protocol, on the same folds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.data.across import common_level, levels
from duchenne.data.prepared import Data, Prepared, folders_of, open_prepared
from duchenne.data.spreadsheets import plain_cells
from duchenne.devices import resolve_device
from duchenne.errors import UsageError
from duchenne.evaluation.comparing.sweep import sweep_values
from duchenne.evaluation.describing import describe_data, versions
from duchenne.evaluation.job import Job, Outcome
from duchenne.evaluation.missing import missing_rows
from duchenne.evaluation.protocols.areas import AREA_PROTOCOLS, load_areas, run_areas, run_areas_tuned
from duchenne.evaluation.protocols.finetune import resolve_method, run_finetune, weighting_of
from duchenne.evaluation.protocols.frozen import run_knn, run_linear, run_ridge
from duchenne.evaluation.protocols.label_share import Efficiency, LabelUnit, check_shares
from duchenne.evaluation.protocols.linear_bn import run_linear_bn
from duchenne.evaluation.protocols.probes import probes
from duchenne.evaluation.report.gradcam import Attention, attention_after_bn, attention_of
from duchenne.evaluation.report.maps import POINTS, MapKind, MapSettings, choose_points
from duchenne.evaluation.report.page import write_report
from duchenne.evaluation.result import EvaluationResult
from duchenne.evaluation.scoring import COLUMNS, Predictions, Summariser, always_positive, cells, spread, undefined
from duchenne.evaluation.semi.learning import PRIORS, Prior
from duchenne.evaluation.semi.protocol import run_semi
from duchenne.evaluation.state import State, array_hash, data_hash
from duchenne.evaluation.tasks import DEFAULT_FOLDS, Target, describe_folds, fold_of, folds_table, make_plans, make_task
from duchenne.evaluation.thresholds import Threshold, check_threshold, decisions
from duchenne.features.baselines import baselines_of
from duchenne.features.encoder import EncoderSource
from duchenne.features.overlap import overlap
from duchenne.features.resolve import Model, sources_of
from duchenne.features.source import FeatureKind, FeatureSource
from duchenne.files import replacing, write_text
from duchenne.heads.linear import L2_CANDIDATES, LinearSettings, Weighting
from duchenne.heads.tuning import Tune, TuneSettings
from duchenne.methods.base import Method
from duchenne.metrics import RESAMPLES

PROTOCOLS: Final[dict[str, Callable[..., Outcome]]] = {
    "linear": run_linear, "linear+bn": run_linear_bn, "knn": run_knn, "ridge": run_ridge, "finetune": run_finetune,
    "areas": run_areas, "areas+finetune": run_areas_tuned, "semi": run_semi,
}  # fmt: skip
"""Name -> protocol, see `duchenne.evaluation.job`."""
ATTENTIVE: Final = ("linear", "linear+bn")
"""Protocols whose units lie on an encoder that a picture shows the attention of."""
MAPPED: Final = ("linear", "linear+bn", "knn", "ridge", "semi")
"""Those that draw maps of the features."""
PENALISED: Final = ("linear", "ridge", "semi")
"""Those with an L2 strength, chosen on held-out training subjects."""


def evaluate(
    protocol: str = "linear",
    *,
    model: Model | Sequence[Model] = (),
    method: str | type[Method] | Sequence[str | type[Method]] = (),
    data: Data,
    out: str | Path,
    target: Target = "au",
    train_data: Data = (),
    positive_from: float | None = None,
    folds: str | int = DEFAULT_FOLDS,
    seeds: int = 1,
    repeats: int = 1,
    feature: FeatureKind = "embedding",
    weighting: Weighting = "balanced",
    l2: float | Sequence[float] = L2_CANDIDATES,
    threshold: Threshold = 0.5,
    label_share: Sequence[float] = (),
    label_unit: LabelUnit = "subjects",
    prior: Prior | None = None,
    areas: str | Path | None = None,
    sweep: str | Sequence[str] = (),
    tune: Tune = "all",
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 1e-4,
    head_lr: float = 1e-3,
    layer_decay: float = 1.0,
    patience: int = 0,
    curve: bool = False,
    workers: int = 1,
    baselines: bool = True,
    sample_faces: int = 12,
    maps: MapKind = "pca",
    map_items: Sequence[str] = (),
    map_emotion: str | None = None,
    map_subjects: int = 0,
    map_faces: int = POINTS,
    device: str = "auto",
    quiet: bool = False,
) -> EvaluationResult:
    """Scores representations under one protocol, subjects never on both sides.

    Writes `scores.csv`, `summary.json`, `folds.csv` and `report.html` into `out`, and `label_efficiency.csv` where
    shares of the labels are asked for; `probes` have a table of their own (see `protocols.probes`). When it
    is interrupted, the same call goes on from what was finished (see `duchenne.evaluation.state`).

    Args:
        protocol: `linear`, `linear+bn`, `finetune`, `areas`, `areas+finetune`, `semi`, for a quick look `knn`
            or `ridge`, or `probes`.
        model: one or several: words, torch modules or encoders, see `duchenne.features.resolve`.
        method: with `finetune`: methods that learn from labels, trained in every fold: `NAME`, `NAME:RECIPE` or a
            class, see `duchenne.register_method`.
        data: prepared folders with labels, or such data that is open; one or several.
        out: folder to write to.
        target: `au` (occurrence) or `emotion`.
        train_data: other data to train on; then all of `data` is tested, on the action units that all of them code.
        positive_from: the lowest intensity (0 to 5) that counts as present in every data set; None: as each says, or
            with `train_data` the highest of theirs where all code intensities.
        folds: number of subject-exclusive folds, `split` for the data's own split, or a CSV (subject, fold) such as
            the `folds.csv` of another evaluation.
        seeds: everything that is drawn (folds, held-out subjects, untrained weights, the course of training) is drawn
            this many times.
        repeats: per seed, folds and held-out subjects are drawn this many times; all else that is drawn stays.
        feature: `embedding` for what an encoder gives, `pooled` for its averaged last map.
        weighting: of the classes, see `LinearSettings`.
        l2: penalty strengths; of several, one per fold is chosen on held-out training subjects.
        threshold: on the sigmoid of a score, from which an AU is called present; `stored`: learned on held-out
            training subjects; `oracle`: the best for the tested faces, see `duchenne.evaluation.thresholds`.
        label_share: shares of the training labels to evaluate with as well, see `protocols.label_share`.
        label_unit: what is left out: `subjects`, `clips` or `frames`.
        prior: with `semi`: what is known of how labels go together, `rbm` (DAU-R) or `group_sparse` (BGCS), see
            `duchenne.evaluation.semi`.
        areas: YAML with areas of the face for the protocols on areas, see `duchenne.faces.areas.AreaTable`.
        sweep: a key of the runs' `config.yaml`, against which the report draws their scores; a second: a line for each
            of its values.
        tune: with `finetune`: what of an encoder is trained, `head` (nothing), `bn` (BatchNorm) or `all`; for this and
            the next, see `duchenne.heads.tuning`.
        epochs, batch_size, lr, head_lr, layer_decay, patience: with `finetune`: how it is trained.
        curve: with `finetune`: score the tested faces after every epoch of an encoder too, for a figure; nothing is
            chosen by it.
        workers: with `finetune`: folds trained at the same time.
        baselines: add an untrained encoder, `blendshapes` and `landmarks`, see `duchenne.features.baselines`.
        sample_faces: faces shown in the report; 0 keeps pictures out of it.
        maps: two-dimensional maps of the features in the report: `pca`, `tsne` (seconds per model) or `none`.
        map_items, map_emotion, map_subjects, map_faces: what is on them, see `report.maps.MapSettings`.
        device: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        The table of `scores.csv`: one row per model, item, fold and seed. An undefined AUC is NaN. It also has
        `summary`, `intervals` and `differences`, see `EvaluationResult`.

    Raises:
        UsageError: for an unknown protocol or model, settings that exclude each other, fewer subjects than folds, or
            an encoder that has seen the test subjects' labels.
        InputError: when something cannot be read or written, holds no labels, or lies on both sides.
    """
    if protocol == "probes":
        return _probes(dict(locals()))
    if protocol not in PROTOCOLS:
        choices = ", ".join([*PROTOCOLS, "probes"])
        raise UsageError(f"evaluate {protocol}: there is no such protocol; choose {choices}.")
    models: list[Any] = [*model] if isinstance(model, list | tuple) else [model]
    methods: list[Any] = [*method] if isinstance(method, list | tuple) else [method]
    if not models and not methods:
        raise UsageError("--model: name at least one model, and each only once.")
    tuning = TuneSettings(
        tune=tune, epochs=epochs, batch_size=batch_size, lr=lr, head_lr=head_lr, layer_decay=layer_decay,
        patience=patience, curve=curve,
    )  # fmt: skip
    if protocol != "finetune" and (methods or tuning != TuneSettings() or workers != 1):
        raise UsageError(
            f"evaluate {protocol}: --method, --tune, --epochs, --batch-size, --lr, --head-lr, --layer-decay, "
            "--patience, --curve and --workers belong to evaluate finetune; leave them out."
        )
    if prior not in (PRIORS if protocol == "semi" else (None,)):
        raise UsageError(
            f"evaluate semi: needs --prior {' or '.join(PRIORS)}, how labels go together; other protocols have none."
        )
    if protocol == "semi" and target == "emotion":
        raise UsageError("evaluate semi: models how action units go together; a face has one emotion. Use linear.")
    if not models and (tuning, weighting, feature) != (TuneSettings(), "balanced", "embedding"):
        raise UsageError(
            "evaluate finetune: --tune, --epochs, --batch-size, --lr, --head-lr, --layer-decay, --patience, --curve, "
            "--weighting and --feature are of encoders (--model); a --method is trained as its recipe says "
            "(NAME:RECIPE). Leave them out."
        )
    mapped = MapSettings(faces=map_faces, subjects=map_subjects, items=tuple(map_items), emotion=map_emotion)
    if (maps == "tsne" or mapped != MapSettings()) and protocol not in MAPPED:
        raise UsageError(f"evaluate {protocol}: draws no maps of features; leave --maps, --map-items ... out.")
    if maps == "none" and mapped != MapSettings():
        raise UsageError("--maps none: there are no maps, so --map-items, --map-emotion ... have no meaning.")
    if workers < 1:
        raise UsageError(f"--workers {workers}: must be at least 1.")
    if min(seeds, repeats) < 1 or sample_faces < 0:
        raise UsageError("--seeds and --repeats must be at least 1, --sample-faces at least 0.")
    if positive_from is not None and target == "emotion":
        raise UsageError(f"--positive-from {positive_from:g}: emotions have no intensity; leave it out.")
    if positive_from is not None and not 0 < positive_from <= 5:
        raise UsageError(f"--positive-from {positive_from:g}: must lie between 0 and 5.")
    settings = LinearSettings(l2=(float(l2),) if isinstance(l2, int | float) else tuple(l2), weighting=weighting)
    threshold, shares = check_threshold(threshold, target), check_shares(label_share, label_unit)
    chosen = resolve_device(device)
    sources: list[FeatureSource] = [*(sources_of(models) if models else ()), *map(resolve_method, methods)]
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UsageError("--model: name at least one model, and each only once.")
    others = folders_of(train_data)
    prepared = Prepared([*others, *folders_of(data)]) if others else open_prepared(data)
    level = common_level(prepared) if others and positive_from is None and target == "au" else positive_from
    task = make_task(prepared, target, level)
    mapped.check(task.items, prepared.frames["emotion"].iloc[task.rows])
    places = choose_points(task.group, mapped)
    plans = make_plans(prepared, task, str(folds), seeds, repeats, trained=len(others))
    keys = [sweep] if isinstance(sweep, str) else list(sweep)
    swept, lines = sweep_values(keys, names) if keys else ({}, {})
    added, left_out = baselines_of(sources, prepared, task.rows) if baselines else ([], {})
    if protocol == "finetune":  # there is nothing in columns that could be trained
        added = [source for source in added if isinstance(source, EncoderSource)]
    sources += added
    beside = {source.name for source in added}
    tested = pd.Series(np.any([fold.test for plan in plans.values() for fold in plan], axis=0))
    seen = {source.name: overlap(source, prepared, task.subjects[tested]) for source in sources}

    state = State(out, {
        "data": data_hash(prepared), "rows": array_hash(task.rows, task.labels, task.group), "device": str(chosen),
        "versions": versions(),
    })  # fmt: skip
    job = Job(
        data=prepared, task=task, plans=plans, device=chosen, feature=feature, maps=maps, state=state, quiet=quiet,
        repeats=repeats, areas=load_areas(areas, protocol), map_places=places,
    )  # fmt: skip
    lost = missing_rows(prepared, task, level)
    if shares and len(lost.group):
        raise UsageError("--label-share: does not count pictures without a crop; prepare with --missing drop.")
    labels, group = np.concatenate([task.labels, lost.labels]), np.concatenate([task.group, lost.group])
    strata = np.full(int(group.max()) + 1, -1)
    np.maximum.at(strata, group, lost.folds(task, fold_of(plans[0], len(task.rows))))
    summariser = Summariser(labels, task.items, group, strata, resamples=RESAMPLES, exclusive=task.exclusive)
    rows: list[dict[str, Any]] = []
    summaries: dict[str, Any] = {}
    runs: dict[str, dict[int, Predictions]] = {}
    drawn: dict[str, NDArray[np.float64]] = {}
    adapted: dict[str, Mapping[str, NDArray[np.generic]]] = {}
    efficiency = Efficiency(job, shares, label_unit)
    for source in sources:
        own: dict[str, Any] = {"tuning": tuning, "workers": workers} if protocol == "finetune" else {}
        own |= {"prior": prior} if protocol == "semi" else {}
        run = partial(PROTOCOLS[protocol], source, settings=settings, **own)
        found = run(replace(job, maps="none") if source.name in beside else job)
        adapted[source.name] = found.adapted
        if found.points is not None:
            drawn[source.name] = found.points
        runs[source.name], thresholds = decisions(threshold, job, found, run)
        counted = {seed: lost.count(task, run) for seed, run in runs[source.name].items()}
        mine = cells(source.name, target, task.items, labels, counted)
        rows += mine
        summaries[source.name] = {
            **source.describe(),
            "baseline": source.name in beside,
            "features": found.width,
            "seen": seen[source.name],
            **summariser.add(source.name, counted),
            "spread": spread(mine),
            "undefined": undefined(mine),
            **thresholds,
            **found.facts,
        }
        if shares:
            summaries[source.name]["label_efficiency"] = efficiency.add(
                source.name, runs[source.name], run, threshold, summariser
            )
    attention: list[Attention] = []
    for source in sources if sample_faces and protocol in ATTENTIVE else ():
        if isinstance(source, EncoderSource) and source.name not in beside:
            said = runs[source.name][0]
            if protocol == "linear":
                strength = summaries[source.name]["l2"]["0"][0]
                attention += attention_of(source, job, said, strength, weighting)
            else:
                attention += attention_after_bn(source, job, said, adapted[source.name])
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if isinstance(threshold, str):
        table["threshold"] = threshold
    summary = {
        "protocol": {
            "name": protocol, "target": target, "items": list(task.items), "aggregates": ["mean_of_folds", "pooled"],
            **describe_folds(task, plans, "train-data" if others else str(folds), repeats),
            "positive_from": levels(prepared, level) if target == "au" else None,
            "prior": prior, "feature": feature if models else None,
            "weighting": weighting if models else weighting_of(sources),
            "l2": list(settings.l2) if protocol in PENALISED else None,
            "held_out": settings.held_out if protocol in PENALISED else None,
            "areas": asdict(job.areas) if protocol in AREA_PROTOCOLS else None,
            "missing": {"counted_as_absent": len(lost.group), "left_out": lost.left_out},
            "threshold": None if task.exclusive else threshold,
            "interval": {"level": 0.95, "resamples": RESAMPLES, "of": "subjects" if task.knows_subjects else "images"},
            "label_unit": label_unit if shares else None,
            "sweep": keys[0] if keys else None, "sweep_by": keys[1] if len(keys) > 1 else None,
            "baselines": {"added": sorted(beside), "left_out": left_out},
            "device": chosen.type, "versions": versions(),
        },
        "data": [describe_data(prepared, number, trained=len(others)) for number in range(len(prepared.infos))],
        "always_positive": always_positive(task.items, [row for row in rows if row["model"] == names[0]]),
        "models": summaries,
        "differences": summariser.differences(beside),
        "sweep": swept,
        "sweep_by": lines,
    }  # fmt: skip
    out = Path(out)
    _write_table(out / "scores.csv", table)
    _write_table(out / "folds.csv", folds_table(task, plans))
    if shares:
        _write_table(out / "label_efficiency.csv", efficiency.table)
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_report(
        out, table, summary, prepared, task.rows, task.labels, runs, sample_faces=sample_faces, maps=drawn,
        map_places=places, map_settings=mapped, attention=attention,
    )  # fmt: skip
    state.clear()
    return EvaluationResult(table, summary=summary, out=out)


def _probes(given: dict[str, Any]) -> EvaluationResult:
    """Probes with the arguments of `evaluate`; those that they do not have must be left at their defaults."""
    taken, all_ = signature(probes).parameters, signature(evaluate).parameters
    foreign = [
        name for name, value in given.items() if name not in (*taken, "protocol") and value != all_[name].default
    ]
    if foreign:
        raise UsageError(f"evaluate probes: --{foreign[0].replace('_', '-')} has no meaning there; leave it out.")
    return probes(**{name: given[name] for name in taken})


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        plain_cells(table).to_csv(temporary, index=False)
