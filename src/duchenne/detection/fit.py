"""`duchenne fit`: a detector of one's own from coded faces, for `duchenne detect --model`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.detection.calibrated import (
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
from duchenne.detection.detector_files import check_target, save_detector
from duchenne.detection.model_card import model_card
from duchenne.detection.parts import EncoderPart, Part, parts_of
from duchenne.detection.records import AuRecord, DetectorRecord
from duchenne.detection.tuned import train_tuned, tuned_trainings
from duchenne.devices import resolve_device
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.encoders import Context, EncoderSource, FeatureSource, resolve
from duchenne.evaluation.overlap import overlap
from duchenne.faces.align import ALIGNMENT
from duchenne.facs import au_column
from duchenne.progress import progress_bar

COLUMNS: Final = (
    "au", "frames", "present", "subjects", "showing", "auc", "f1", "kappa", "kappa_low", "kappa_high",
    "calibration_error", "threshold", "passed", "why",
)  # fmt: skip


_TUNED: Final = "The encoder was trained along, on these people too; the figures come from encoders without them."


@dataclass(frozen=True)
class _Coded:
    """The labelled rows.

    Attributes:
        rows: (N,) of the prepared data. labels: (N, A) 0, 1 or NaN. aus: names of the A columns.
        subjects: (N,) `dataset:subject`, null where unknown.
        groups: (N,) a number per subject; per clip where the subject is unknown.
        known: whether every row has a subject.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.float32]
    aus: tuple[str, ...]
    subjects: pd.Series[str]
    groups: NDArray[np.int64]
    known: bool


def fit(
    *,
    model: str,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    tune: Literal["head", "all"] = "head",
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> pd.DataFrame:
    """Trains a detector on all labelled rows: a linear unit per action unit on what an encoder sees.

    Writes the folder `out`: `detector.json`, `detector.safetensors`, `model_card.md` (docs/detectors.md).

    Args:
        model: what looks at the faces: `blendshapes` or `landmarks` for a few coded clips; or a run, an encoder file,
            `random`, `pixels`, `package.module:builder`, or several joined by `+`. It is not changed.
        data: one or several prepared folders with labels.
        out: the detector to write; an earlier one is replaced.
        tune: `head` trains linear units on the encoder as it is; `all` trains a copy of the encoder along, seven times
            (see `duchenne.detection.tuned`).
        seed: of the folds and of untrained weights.
        device: where features are computed: auto, cpu, cuda, cuda:N or mps.
        quiet: show no progress.

    Returns:
        One row per coded action unit: counts, figures on subjects left out (NaN where there are none), and whether
        and why decisions are written. Action units that are not in the detector have no threshold.

    Raises:
        UsageError: when `model` means nothing or cannot look at new faces, or `out` holds something else.
        InputError: when something cannot be read or written, nothing is labelled, or there are too few subjects.
    """
    check_target(out)
    chosen, source = resolve_device(device), resolve(model)
    if tune == "all" and not isinstance(source, EncoderSource):
        raise UsageError(
            f"--tune all: --model {model} is no single encoder, so there is nothing to train; leave it out."
        )
    prepared = Prepared([data] if isinstance(data, str | Path) else list(data))
    coded = _coded(prepared)
    crop_px = prepared.infos[0].size_px
    parts = parts_of(source, crop_px=crop_px, seed=seed)
    needs_crops = any(part.needs_crops for part in parts)
    if needs_crops and any(info.size_px != crop_px for info in prepared.infos):
        sizes = ", ".join(f"{path}: {info.size_px}" for path, info in zip(prepared.paths, prepared.infos, strict=True))
        raise UsageError(f"--data: the crops differ in size ({sizes}); prepare them with one --size.")
    seen = overlap(source, prepared, coded.subjects)
    number = len(np.unique(coded.groups))
    validate = number >= FEWEST_TO_VALIDATE
    with progress_bar(quiet=quiet) as bar:
        if tune == "all" and isinstance(source, EncoderSource):
            training = bar.add_task("encoders", total=tuned_trainings(coded.groups), note="")
            tuned = train_tuned(
                source, prepared, coded.rows, coded.labels, coded.groups, seed=seed, device=chosen,
                advance=lambda: bar.advance(training),
            )  # fmt: skip
            heads, result = tuned.heads, tuned.result
            parts = [part.with_encoder(tuned.encoder) for part in parts if isinstance(part, EncoderPart)]
        else:
            looking = bar.add_task("features", total=len(coded.rows), note="")
            context = Context(device=chosen, seed=seed, advance=lambda faces: bar.advance(looking, faces))
            features = source.features(prepared, coded.rows, context)
            training = bar.add_task("linear units", total=trainings(coded.groups, validate=validate), note="")
            fields: dict[str, Any] = {"seed": seed, "device": chosen, "advance": lambda: bar.advance(training)}
            heads = train_calibrated(features, coded.labels, coded.groups, **fields)
            result = held_out(features, coded.labels, coded.groups, **fields) if validate else None
        if not heads.usable.any():
            raise InputError(
                f"{prepared.paths[0]}: no action unit is both present and absent in enough subjects to be learned; "
                f"code more ({'; '.join(f'{au} {_lacks(coded, column)}' for column, au in enumerate(coded.aus))})."
            )
    figures: list[dict[str, Any] | None] = [None] * len(coded.aus)
    if result is not None:
        figures = held_out_figures(coded.labels, result, coded.groups, bootstrap=coded.known, seed=seed)

    records = {
        au: _au_record(coded, heads, column, figures[column])
        for column, au in enumerate(coded.aus)
        if heads.usable[column]
    }
    record = DetectorRecord(
        model=_without_folders(source.name),
        parts=tuple(part.spec() for part in parts),
        crop_px=crop_px if needs_crops else None,
        alignment=ALIGNMENT,
        l2=heads.l2,
        aus=records,
        left_out={au: _lacks(coded, column) for column, au in enumerate(coded.aus) if au not in records},
        validation={
            "subjects": number if coded.known else None,
            "folds": len(np.unique(result.fold)) if result else 0,
            "bar": {"kappa": KAPPA_BAR, "lower_bound": LOWER_BAR, "subjects_showing": FEWEST_SHOWING},
        },
        trained_on=_trained_on(prepared, coded),
        encoder_trained_on={"seen_these_subjects": seen["transductive"], "data": _encoder_data(source)},
        notes=(*_notes(prepared, coded, parts, number), *([_TUNED] if tune == "all" else [])),
        duchenne=duchenne.__version__,
    )
    save_detector(out, record, _only_usable(heads), parts, model_card(record))
    return _table(coded, record, figures)


def _coded(data: Prepared) -> _Coded:
    numbers = tuple(sorted(set().union(*(info.aus for info in data.infos))))
    if not numbers:
        raise InputError(f"{data.paths[0]}: codes no action units; prepare it with labels (prepare videos --labels).")
    labels = data.occurrence(numbers)
    rows = np.flatnonzero(~np.isnan(labels).all(axis=1))
    if not len(rows):
        raise InputError(f"{data.paths[0]}: no frame has a known label; prepare it with labels.")
    subjects = data.subject_names().iloc[rows].reset_index(drop=True)
    unknown = subjects.isna()
    clips = pd.Series(data.clip_ids()[rows], dtype="string")
    alone = data.frames["clip"].iloc[rows].isna().to_numpy()
    clips[alone] = [f"image {row}" for row in rows[alone]]
    groups, names = pd.factorize(subjects.where(~unknown, "\0" + clips))
    if len(names) < 2:
        what = "subject" if not unknown.any() else "clip, of an unknown subject,"
        raise InputError(
            f"{data.paths[0]}: only one {what} has labels, so nothing shows how a detector does on anybody else; code "
            "another person, or say who is who with `prepare --names`."
        )
    aus = tuple(map(au_column, numbers))
    return _Coded(rows, labels[rows], aus, subjects, groups.astype(np.int64), not bool(unknown.any()))


def _au_record(coded: _Coded, heads: CalibratedHeads, column: int, figures: Mapping[str, Any] | None) -> AuRecord:
    counts = _counts(coded, column)
    passed, why = _verdict(coded, counts["showing"], figures)
    return AuRecord(
        prior=float(heads.prior[column]),
        slope=float(heads.slope[column]),
        offset=float(heads.offset[column]),
        threshold=float(heads.threshold[column]),
        passed=passed,
        why=why,
        held_out=figures,
        **counts,
    )


def _verdict(coded: _Coded, showing: int, figures: Mapping[str, Any] | None) -> tuple[bool, str]:
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
    return False, f"failed: {said}; needed are {KAPPA_BAR:.2f} and more than {LOWER_BAR:.2f}"


def _counts(coded: _Coded, column: int) -> dict[str, int]:
    labels = coded.labels[:, column]
    known = ~np.isnan(labels)
    return {
        "frames": int(known.sum()),
        "present": int((labels == 1).sum()),
        "subjects": len(np.unique(coded.groups[known])),
        "showing": len(np.unique(coded.groups[labels == 1])),
    }


def _lacks(coded: _Coded, column: int) -> str:
    """Why an action unit could not be learned."""
    labels = coded.labels[:, column]
    for value, word in ((1, "present"), (0, "absent")):
        number = len(np.unique(coded.groups[labels == value]))
        if number < 2:
            return f"is {word} in {'no subject' if not number else 'only one subject'}, two are needed"
    return "is not both present and absent among the other subjects when some are left out; more are needed"


def _only_usable(heads: CalibratedHeads) -> CalibratedHeads:
    keep, head = heads.usable, heads.head
    return CalibratedHeads(
        replace(head, weight=head.weight[:, keep], bias=head.bias[keep], trained=head.trained[keep]),
        heads.l2,
        prior=heads.prior[keep],
        slope=heads.slope[keep],
        offset=heads.offset[keep],
        threshold=heads.threshold[keep],
        usable=keep[keep],
    )


def _trained_on(data: Prepared, coded: _Coded) -> tuple[dict[str, Any], ...]:
    dataset = data.frames["dataset"].to_numpy()[coded.rows]
    return tuple(
        {
            "dataset": info.name, "subjects": sorted(coded.subjects[dataset == number].dropna().unique()),
            "frames": int((dataset == number).sum()), "licence": info.licence, "label_kind": info.label_kind,
            "positive_from": info.positive_from if info.label_kind == "intensity" else None,
            "alignment": info.alignment, "size_px": info.size_px,
        }
        for number, info in enumerate(data.infos)
    )  # fmt: skip


def _encoder_data(source: FeatureSource) -> list[dict[str, Any]]:
    return [
        {"dataset": item.dataset, "subjects": len(item.subjects), "labels": item.labels, "licence": item.licence}
        for item in source.trained_on
    ]


def _notes(data: Prepared, coded: _Coded, parts: Sequence[Part], number: int) -> tuple[str, ...]:
    notes = []
    if not coded.known:
        notes.append("It is not known whom all frames show, so nothing tells how it does on people it has not seen.")
    elif number < FEWEST_TO_VALIDATE:
        notes.append(f"Only {number} subjects: too few to leave one out and judge the rest, so there are no figures.")
    elif number < FEWEST_SHOWING:
        notes.append(f"Only {number} subjects: too few for decisions ({FEWEST_SHOWING} must show an action unit).")
    if any(part.needs_crops or part.spec()["kind"] == "landmarks" for part in parts):
        other = sorted({info.alignment for info in data.infos} - {ALIGNMENT})
        notes += [
            f"Trained on crops aligned otherwise ({alignment}) than those of new recordings ({ALIGNMENT}); "
            "probabilities may be off."
            for alignment in other
        ]
    return tuple(notes)


def _table(coded: _Coded, record: DetectorRecord, figures: Sequence[Mapping[str, Any] | None]) -> pd.DataFrame:
    rows = []
    for column, au in enumerate(coded.aus):
        own = record.aus.get(au)
        decided = {
            "threshold": own.threshold if own else None,
            "passed": own.passed if own else False,
            "why": own.why if own else f"left out: {record.left_out[au]}",
        }
        rows.append({"au": au, **(figures[column] or {}), **_counts(coded, column), **decided})
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _without_folders(name: str) -> str:
    """The name given to `--model`, without the folders of any path in it: a detector may be handed on."""
    return re.sub(r"[^+:]*[/\\]", "", name.rstrip("/\\"))
