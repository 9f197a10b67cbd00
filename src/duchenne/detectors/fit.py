"""`duchenne fit`: your own detector, trained on coded faces, for `duchenne detect --model`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from duchenne._version import __version__
from duchenne.config import SEEDS
from duchenne.data.epochs import check_people, copied_recordings, is_unnamed
from duchenne.data.folds import check_apart, from_assignment
from duchenne.data.prepared import Data, Prepared, open_prepared
from duchenne.detectors.calibrating.by_group import group_rows, group_scores
from duchenne.detectors.calibrating.calibrated import (
    FEWEST_SHOWING,
    FEWEST_TO_VALIDATE,
    KAPPA_BAR,
    LOWER_BAR,
    CalibratedHeads,
    held_out,
    held_out_figures,
    train_calibrated,
    trainings,
)
from duchenne.detectors.calibrating.calibration import Calibration
from duchenne.detectors.calibrating.reliability import reliability_picture
from duchenne.detectors.coded import Coded, coded_rows, counts, lacks, levels_of_presence, trained_on
from duchenne.detectors.files import check_target, save_detector
from duchenne.detectors.model_card import model_card
from duchenne.detectors.records import AuRecord, DetectorRecord
from duchenne.detectors.tuned import train_tuned, tuned_trainings
from duchenne.devices import resolve_device
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT
from duchenne.features.overlap import overlap
from duchenne.features.resolve import Model, source_of
from duchenne.features.source import Context, FeatureSource
from duchenne.files import locked_beside, shown_name
from duchenne.keywords import check_choice, check_number
from duchenne.progress import progress_bar

Tuning = Literal["head", "all"]
"""What `fit` trains: linear units alone, or the encoder, too."""
COLUMNS: Final = (
    "au", "frames", "present", "subjects", "showing", "auc", "f1", "kappa", "kappa_low", "kappa_high",
    "calibration_error", "icc", "icc_low", "icc_high", "mae", "threshold", "passed", "why",
)  # fmt: skip


_TUNED: Final = "The encoder was trained along, on these people too; the figures come from encoders without them."


def fit(
    *,
    model: Model,
    data: Data,
    out: str | Path,
    tune: Tuning = "head",
    calibration: Calibration = "platt",
    by: str | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> pd.DataFrame:
    """Trains a detector on all labelled rows: a linear unit per action unit on what an encoder sees.

    Writes the folder `out`: `detector.json`, `detector.safetensors`, `model_card.md`, `reliability.png`
    (docs/detectors.md). Where intensity is coded, it is read too.

    Args:
        model: what looks at the faces: `blendshapes` or `landmarks` for a few coded clips; or a run, an encoder file,
            `random`, `pixels`, `package.module:builder`, or several joined by `+`; from Python also an encoder itself.
            Its weights are not changed.
        data: prepared folders with labels, or such data that is open; one or several.
        out: the detector to write; an earlier one is replaced.
        tune: `head` trains linear units on the encoder as it is; `all` trains a copy of the encoder along, seven times
            (see `duchenne.detectors.tuned`).
        calibration: what makes scores probabilities: `platt`, two numbers per action unit, or `isotonic`, a curve.
        by: also judge groups one by one: a column of `frames.parquet`, or a CSV file with `subject` and `group`.
        seed: of the folds and of untrained weights.
        device: where features are computed: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        One row per coded action unit: counts, figures on subjects left out (NaN where there are none), and whether
        and why decisions are written. Action units that are not in the detector have no threshold.

    Raises:
        UsageError: when `model` means nothing or cannot look at new faces, or `out` holds something else, or another
            process writes it.
        InputError: when something cannot be read or written, nothing is labelled, there are too few subjects, or people
            have names in one folder and numbers in another.
    """
    check_target(out)
    check_number("seed", seed, SEEDS)
    check_choice("tune", tune, Tuning)
    check_choice("calibration", calibration, Calibration)
    chosen, source = resolve_device(device), source_of(model)
    network = source.network if tune == "all" else None
    if tune == "all" and network is None:
        raise UsageError(
            f"--tune all: --model {source.name} is no single encoder, so there is nothing to train; leave it out."
        )
    prepared = open_prepared(data)
    check_people(prepared, "nobody can be left out to judge the detector on")
    coded = coded_rows(prepared)
    crop_px = prepared.infos[0].size_px
    reader = source.for_new_faces(crop_px=crop_px, seed=seed)
    needs_crops = any(member.sees_pictures for member in reader.members)
    if needs_crops and any(info.size_px != crop_px for info in prepared.infos):
        sizes = ", ".join(f"{path}: {info.size_px}" for path, info in zip(prepared.paths, prepared.infos, strict=True))
        raise UsageError(f"--data: the crops differ in size ({sizes}); prepare them with one --size.")
    seen = overlap(source, prepared, coded.subjects)
    number = len(np.unique(coded.groups))
    validate = number >= FEWEST_TO_VALIDATE
    groups = group_rows(by, prepared, coded) if by else None
    if groups and not validate:
        raise InputError(f"--by {by}: {number} subjects are too few to leave any out, so nothing can be compared.")
    how: dict[str, Any] = {"intensity": coded.intensity, "calibration": calibration, "seed": seed, "device": chosen}
    with locked_beside(out), progress_bar(quiet=quiet) as bar:
        if network is not None:
            training = bar.add_task("encoders", total=tuned_trainings(coded.groups), note="")
            tuned = train_tuned(
                network, prepared, coded.rows, coded.labels, coded.groups, advance=lambda: bar.advance(training), **how
            )
            heads, result = tuned.heads, tuned.result
            assert reader.network is not None
            reader = reader.network.trained_further(tuned.encoder)
        else:
            done = bar.add_task("features", total=len(coded.rows) * len(source.members), note="")
            context = Context(device=chosen, seed=seed, advance=lambda faces: bar.advance(done, faces))
            features = source.features(prepared, coded.rows, context)
            training = bar.add_task("linear units", total=trainings(coded.groups, validate=validate), note="")
            how["advance"] = lambda: bar.advance(training)
            heads = train_calibrated(features, coded.labels, coded.groups, **how)
            result = held_out(features, coded.labels, coded.groups, **how) if validate else None
        if not heads.usable.any():
            raise InputError(
                f"{prepared.paths[0]}: no action unit is both present and absent in enough subjects to be learned; "
                f"code more ({'; '.join(f'{au} {lacks(coded, column)}' for column, au in enumerate(coded.aus))})."
            )
        figures: list[dict[str, Any] | None] = [None] * len(coded.aus)
        if result is not None:
            check_apart(from_assignment(result.fold), coded.subjects)
            figures = held_out_figures(
                coded.labels, result, coded.groups, bootstrap=coded.known, intensity=coded.intensity, seed=seed
            )

        records = {
            au: _au_record(coded, heads, column, figures[column])
            for column, au in enumerate(coded.aus)
            if heads.usable[column]
        }
        record = DetectorRecord(
            model=_without_folders(source.name),
            parts=tuple(member.to_spec() for member in reader.members),
            crop_px=crop_px if needs_crops else None,
            alignment=ALIGNMENT,
            l2=heads.l2,
            aus=records,
            left_out={au: lacks(coded, column) for column, au in enumerate(coded.aus) if au not in records},
            validation={
                "subjects": number if coded.known else None,
                "folds": len(np.unique(result.fold)) if result else 0,
                "bar": {"kappa": KAPPA_BAR, "lower_bound": LOWER_BAR, "subjects_showing": FEWEST_SHOWING},
            },
            trained_on=trained_on(prepared, coded),
            encoder_trained_on={"seen_these_subjects": seen["transductive"], "data": _encoder_data(source)},
            notes=(*_notes(prepared, coded, reader, number), *([_TUNED] if tune == "all" else [])),
            duchenne=__version__,
            calibration=calibration,
            groups=group_scores(coded, result, groups, seed=seed) if groups and result else None,
        )
        save_detector(out, record, _only_usable(heads), reader, model_card(record), reliability_picture(records))
    return _table(coded, record, figures)


def _au_record(coded: Coded, heads: CalibratedHeads, column: int, figures: Mapping[str, Any] | None) -> AuRecord:
    number = counts(coded, column)
    passed, why = _verdict(coded, number["showing"], figures)
    curve, scale = heads.curves.get(column), heads.scales.get(column)
    return AuRecord(
        prior=float(heads.prior[column]),
        slope=float(heads.slope[column]),
        offset=float(heads.offset[column]),
        threshold=float(heads.threshold[column]),
        passed=passed,
        why=why,
        held_out=figures,
        curve=asdict(curve) if curve else None,
        intensity=asdict(scale) if scale else None,
        frames=number["frames"],
        present=number["present"],
        subjects=number["subjects"],
        showing=number["showing"],
    )


def _verdict(coded: Coded, showing: int, figures: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether decisions are written, and why."""
    if not coded.known:
        return False, "not validated: it is not known whom all frames show"
    if figures is None:
        return False, "not validated: too few subjects to leave any out"
    if showing < FEWEST_SHOWING:
        return False, f"not validated: {_number(showing, 'subject')} of at least {FEWEST_SHOWING} needed show it"
    kappa, low = figures["kappa"], figures["kappa_low"]
    if kappa is None or low is None:
        return False, "failed: agreement is not defined on the subjects left out"
    said = f"kappa {kappa:.2f}, lower bound {low:.2f}"
    if kappa >= KAPPA_BAR and low > LOWER_BAR:
        return True, f"passed: {said}"
    return False, f"failed: {said}; required: {KAPPA_BAR:.2f} and more than {LOWER_BAR:.2f}"


def _only_usable(heads: CalibratedHeads) -> CalibratedHeads:
    keep, head = heads.usable, heads.head
    place = {int(column): number for number, column in enumerate(np.flatnonzero(keep))}
    return CalibratedHeads(
        replace(head, weight=head.weight[:, keep], bias=head.bias[keep], trained=head.trained[keep]),
        heads.l2,
        prior=heads.prior[keep],
        slope=heads.slope[keep],
        offset=heads.offset[keep],
        threshold=heads.threshold[keep],
        usable=keep[keep],
        curves={place[column]: curve for column, curve in heads.curves.items()},
        scales={place[column]: scale for column, scale in heads.scales.items()},
    )


def _encoder_data(source: FeatureSource) -> list[dict[str, Any]]:
    return [
        {"dataset": item.dataset, "subjects": len(item.subjects), "labels": item.labels, "licence": item.licence}
        for item in source.trained_on
    ]


def _notes(data: Prepared, coded: Coded, reader: FeatureSource, number: int) -> tuple[str, ...]:
    notes = []
    if not coded.known:
        notes.append("Some frames have no subject, so its performance on people it has not seen is unknown.")
    elif number < FEWEST_TO_VALIDATE:
        notes.append(f"Only {number} subjects: too few to leave one out and judge the rest, so there are no figures.")
    elif number < FEWEST_SHOWING:
        notes.append(f"Only {number} subjects: too few for decisions ({FEWEST_SHOWING} must show an action unit).")
    nameless = sorted(name for name in coded.subjects.dropna().unique() if is_unnamed(name))
    if len({name.rpartition("#")[0] for name in nameless}) > 1:
        notes.append(
            f"{len(nameless)} of the people have no name, only that of a recording and a number (first: "
            f"{nameless[0]}): whoever is in two recordings counts as two, and the figures on people left out are too "
            "good then; name them (`prepare --names`)."
        )
    copies = copied_recordings(data)
    if copies:
        notes.append(
            f"{len(copies)} recordings lie in several of the folders (first: {copies[0]}); their frames are counted, "
            "and learned from, once for each."
        )
    unlike: dict[tuple[float, ...], list[str]] = {}
    for au, levels in levels_of_presence(data).items():
        if len(levels) > 1:
            unlike.setdefault(levels, []).append(au)
    for levels, aus in unlike.items():
        said = " and ".join(f"{level:g}" for level in levels)
        notes.append(
            f"Intensities of {', '.join(aus)} count as present from {said} in different data, so none are read."
        )
    if any(member.sees_pictures or member.name == "landmarks" for member in reader.members):
        other = sorted({info.alignment for info in data.infos} - {ALIGNMENT})
        notes += [
            f"Trained on crops aligned otherwise ({alignment}) than those of new recordings ({ALIGNMENT}); "
            "probabilities may be off."
            for alignment in other
        ]
    return tuple(notes)


def _table(coded: Coded, record: DetectorRecord, figures: Sequence[Mapping[str, Any] | None]) -> pd.DataFrame:
    rows = []
    for column, au in enumerate(coded.aus):
        own = record.aus.get(au)
        decided = {
            "threshold": own.threshold if own else None,
            "passed": own.passed if own else False,
            "why": own.why if own else f"left out: {record.left_out[au]}",
        }
        rows.append({"au": au, **(figures[column] or {}), **counts(coded, column), **decided})
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _without_folders(name: str) -> str:
    """The name given to `--model`, without the folders of any path in it: a detector may be handed on."""
    return re.sub(r"[^+:]*[/\\]", "", shown_name(name.rstrip("/\\")))
