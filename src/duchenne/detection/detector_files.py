"""A detector on disk: what `fit` writes and `detect --model DETECTOR` reads.

DETECTOR/detector.json           AUs, thresholds, calibration, parts, crop, figures, data and licences
DETECTOR/detector.safetensors    the linear units, and the encoder's weights where it has one
DETECTOR/model_card.md           the same in words

docs/detectors.md describes the files. Nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from duchenne.config import from_mapping
from duchenne.detection.calibrated import CalibratedHeads
from duchenne.detection.parts import Part, part_from
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.linear import LinearHead
from duchenne.facs import ACTION_UNITS, au_column

FORMAT_VERSION: Final = 1
JSON: Final = "detector.json"
WEIGHTS: Final = "detector.safetensors"
CARD: Final = "model_card.md"
_FILES: Final = {JSON, WEIGHTS, CARD}
_FRAME: Final = ("low", "high", "mean", "factor")


@dataclass(frozen=True, kw_only=True)
class AuRecord:
    """One action unit of a detector.

    Attributes:
        prior: share of the known training frames that show it.
        slope, offset: of the calibration, see `duchenne.detection.calibration`.
        threshold: probability from which it is called present.
        passed: whether agreement with the coder on held-out subjects passed the bar, so that `AUxx_c` is written.
        why: the reason, one sentence.
        frames, present: known training frames, and those of them that show it.
        subjects, showing: subjects with known frames, and those of them who show it.
        held_out: figures on subjects left out (`calibrated.held_out_figures`); None where there are none.
    """

    prior: float
    slope: float
    offset: float
    threshold: float
    passed: bool
    why: str
    frames: int
    present: int
    subjects: int
    showing: int
    held_out: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class DetectorRecord:
    """What `detector.json` holds.

    Attributes:
        model: what `--model` of `fit` was, without folders.
        parts: see `duchenne.detection.parts`.
        crop_px: side of the aligned crops that the parts are given; None where they need no pixels.
        alignment: of the crops it was trained on, in words.
        l2: strength of the penalty.
        aus: column (`AU01`) -> its record, ascending.
        left_out: column -> why this coded action unit is not in the detector.
        validation: how figures were made: `subjects`, `folds`, `bar`.
        trained_on: per data set: dataset, subjects, frames, licence, label_kind, positive_from, alignment, size_px.
        encoder_trained_on: the same of the encoder, as in encoder.json, and whether it has seen these subjects.
        notes: what a user should know, one sentence each.
        weights_sha256: of detector.safetensors.
        duchenne: version of this library.
        format_version: of this file.
    """

    model: str
    parts: tuple[Mapping[str, Any], ...]
    crop_px: int | None
    alignment: str
    l2: float
    aus: Mapping[str, AuRecord]
    left_out: Mapping[str, str]
    validation: Mapping[str, Any]
    trained_on: tuple[Mapping[str, Any], ...]
    encoder_trained_on: Mapping[str, Any]
    notes: tuple[str, ...]
    duchenne: str
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class LoadedDetector:
    """A detector, ready to be used."""

    record: DetectorRecord
    heads: CalibratedHeads
    parts: list[Part] = field(default_factory=list)


def check_target(out: str | Path) -> None:
    """Makes sure that a detector may be written there: nothing, an empty folder, or an earlier detector.

    Raises:
        UsageError: when something else is there.
    """
    out = Path(out)
    if not out.exists():
        return
    if not out.name or not out.is_dir() or {path.name for path in out.iterdir()} - _FILES:
        raise UsageError(f"--out {out}: is not empty and no earlier detector; name a new folder.")


def save_detector(
    out: str | Path, record: DetectorRecord, heads: CalibratedHeads, parts: list[Part], card: str
) -> None:
    """Writes the three files together: the folder is there whole or not at all.

    Args:
        out: see `check_target`.
        record: without `weights_sha256`.
        heads: of the action units of the record alone, in its order.
        parts: in the order of the record.
        card: text of the model card.

    Raises:
        UsageError: when something else is there.
        InputError: when it cannot be written.
    """
    check_target(out)
    head = heads.head
    tensors = {f"head.{name}": torch.from_numpy(getattr(head, name)) for name in (*_FRAME, "weight", "bias")}
    for number, part in enumerate(parts):
        tensors |= {f"parts.{number}.{name}": value for name, value in part.tensors().items()}
    weights = safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()})
    values = asdict(record) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    with _replacing_folder(Path(out)) as folder:
        (folder / WEIGHTS).write_bytes(weights)
        (folder / JSON).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (folder / CARD).write_text(card, encoding="utf-8")


def load_detector(path: str | Path) -> LoadedDetector:
    """Reads a detector.

    Raises:
        InputError: when a file is missing, foreign or damaged.
        UsageError: when it needs code that the user has not named.
    """
    path = Path(path)
    if path.is_file() or not (path / JSON).is_file():
        run = (path / "encoder.json").is_file()
        remedy = f"make one from this run: duchenne fit --model {path} ..." if run else "make one with `duchenne fit`"
        raise InputError(f"{path}: is no detector (a folder with {JSON}); {remedy}.")
    record = _read_record(path / JSON)
    try:
        weights = (path / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(f"{path / WEIGHTS}: cannot be read ({error.strerror}); make the detector again.") from error
    if hashlib.sha256(weights).hexdigest() != record.weights_sha256:
        raise InputError(f"{path / WEIGHTS}: is not the file that {JSON} belongs to, or is damaged; copy both again.")
    try:
        tensors = safetensors.torch.load(weights)
    except SafetensorError as error:
        raise InputError(f"{path / WEIGHTS}: is damaged ({error}); make the detector again.") from error
    heads = _heads(record, tensors, str(path / WEIGHTS))
    parts = []
    for number, spec in enumerate(record.parts):
        prefix = f"parts.{number}."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        parts.append(part_from(spec, own, str(path / JSON)))
    if record.crop_px is None and any(part.needs_crops for part in parts):
        raise InputError(f"{path / JSON}: has no crop_px, which its parts need; make the detector again.")
    return LoadedDetector(record, heads, parts)


def _read_record(path: Path) -> DetectorRecord:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); make the detector again.") from error
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path}: is no detector of format version {FORMAT_VERSION}; make the detector again.")
    try:
        record = from_mapping(DetectorRecord, values, where=str(path))
        known = {au_column(au) for au in ACTION_UNITS}
        aus = {}
        for name, item in record.aus.items():
            if name not in known or not isinstance(item, Mapping):
                raise UsageError(f"{path}: `aus` holds `{name}`, which is no action unit.")
            aus[name] = from_mapping(AuRecord, item, where=f"{path}: `{name}`")
            if not 0 < aus[name].prior < 1:
                raise UsageError(f"{path}: `{name}`: `prior` is {aus[name].prior}, not between 0 and 1.")
    except UsageError as error:
        raise InputError(f"{error} Make the detector again.") from error
    if not aus or not record.parts:
        raise InputError(f"{path}: names no action unit or no part; make the detector again.")
    return DetectorRecord(**{**vars(record), "aus": aus})


def _heads(record: DetectorRecord, tensors: Mapping[str, torch.Tensor], where: str) -> CalibratedHeads:
    count = len(record.aus)
    try:
        arrays = {name: tensors[f"head.{name}"].numpy() for name in (*_FRAME, "weight", "bias")}
    except KeyError as error:
        raise InputError(f"{where}: has no {error}; make the detector again.") from error
    width = len(arrays["low"])
    shapes = dict.fromkeys(_FRAME, (width,)) | {"weight": (width, count), "bias": (count,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise InputError(f"{where}: `head.{name}` does not fit {JSON} or is not finite; make the detector again.")
    everyone = np.ones(count, dtype=bool)
    numbers = {
        name: np.array([getattr(item, name) for item in record.aus.values()])
        for name in ("prior", "slope", "offset", "threshold")
    }
    return CalibratedHeads(LinearHead(**arrays, trained=everyone), record.l2, **numbers, usable=everyone)


@contextmanager
def _replacing_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which takes its place when everything in it is written."""
    temporary, old = (out.with_name(f".{out.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    try:
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if out.exists():
                out.rename(old)
            temporary.rename(out)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{out}: cannot be written ({reason}); choose another place or free some.") from error
    finally:
        if old.exists() and not out.exists():  # whatever came between, Ctrl-C too
            old.rename(out)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
