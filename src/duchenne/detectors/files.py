"""A detector on disk: what `fit` writes and `detect --model DETECTOR` reads.

DETECTOR/detector.json           AUs, thresholds, calibration, parts, crop, figures, data and licences
DETECTOR/detector.safetensors    the linear units, and the encoder's weights where it has one
DETECTOR/model_card.md           the same in words
DETECTOR/reliability.png         whether its probabilities came true on subjects left out, where there are figures

docs/detectors.md describes the files. Nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from duchenne.config import load_json
from duchenne.detectors.calibrating.calibrated import CalibratedHeads
from duchenne.detectors.records import DetectorRecord, parse_record
from duchenne.errors import InputError, UsageError
from duchenne.features.ensemble import side_by_side
from duchenne.features.resolve import stored_source
from duchenne.features.source import FeatureSource
from duchenne.files import is_leftover, replacing_folder
from duchenne.heads.linear import LinearHead
from duchenne.training.runs import record_sum
from duchenne.training.weights import tensors_of

JSON: Final = "detector.json"
WEIGHTS: Final = "detector.safetensors"
CARD: Final = "model_card.md"
PICTURE: Final = "reliability.png"
_FILES: Final = {JSON, WEIGHTS, CARD, PICTURE}
_FRAME: Final = ("low", "high", "mean", "factor")


@dataclass(frozen=True)
class LoadedDetector:
    """A detector, ready to be used.

    Attributes:
        record: what is known of it.
        heads: of its action units.
        source: what looks at the faces.
    """

    record: DetectorRecord
    heads: CalibratedHeads
    source: FeatureSource


def check_target(out: str | Path) -> None:
    """Makes sure that a detector may be written there: nothing, an empty folder, or an earlier detector.

    Raises:
        UsageError: when something else is there.
    """
    out = Path(out)
    if not out.exists():
        return
    if not out.name or not out.is_dir() or {path.name for path in out.iterdir() if not is_leftover(path.name)} - _FILES:
        raise UsageError(f"--out {out}: is not empty and no earlier detector; name a new folder.")


def save_detector(
    out: str | Path,
    record: DetectorRecord,
    heads: CalibratedHeads,
    source: FeatureSource,
    card: str,
    picture: bytes | None = None,
) -> None:
    """Writes its files together: the folder is there whole or not at all.

    Args:
        out: see `check_target`.
        record: without `weights_sha256`.
        heads: of the action units of the record alone, in its order.
        source: what looks at the faces, `for_new_faces`; its members are the parts of the record.
        card: text of the model card.
        picture: the reliability curves as PNG; None where there are no figures.

    Raises:
        UsageError: when something else is there.
        InputError: when it cannot be written.
    """
    check_target(out)
    head = heads.head
    tensors = {f"head.{name}": torch.from_numpy(getattr(head, name)) for name in (*_FRAME, "weight", "bias")}
    for number, member in enumerate(source.members):
        tensors |= {f"parts.{number}.{name}": value for name, value in member.tensors().items()}
    values = asdict(record)
    weights = safetensors.torch.save(
        {name: value.contiguous() for name, value in tensors.items()}, {"record": record_sum(values)}
    )
    values["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    with replacing_folder(out) as folder:
        (folder / WEIGHTS).write_bytes(weights)
        (folder / JSON).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (folder / CARD).write_text(card, encoding="utf-8")
        if picture is not None:
            (folder / PICTURE).write_bytes(picture)


def load_detector(path: str | Path) -> LoadedDetector:
    """Reads a detector.

    Raises:
        InputError: when a file is missing, foreign or damaged.
        UsageError: when it needs code that the user has not named.
    """
    path = Path(path)
    if path.is_file() or not (path / JSON).is_file():
        run = (path / "encoder.json").is_file()
        remedy = f"make one from this run: `duchenne fit --model {path} ...`" if run else "make one with `duchenne fit`"
        raise InputError(f"{path}: is no detector (a folder with {JSON}); {remedy}.")
    record = _read_record(path / JSON)
    try:
        weights = (path / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(f"{path / WEIGHTS}: cannot be read ({error.strerror}); make the detector again.") from error
    if hashlib.sha256(weights).hexdigest() != record.weights_sha256:
        raise InputError(f"{path / WEIGHTS}: is not the file that {JSON} belongs to, or is damaged; copy both again.")
    try:
        tensors, metadata = tensors_of(weights)
    except SafetensorError as error:
        raise InputError(f"{path / WEIGHTS}: is damaged ({error}); make the detector again.") from error
    # Thresholds and calibration stand in the record; detectors of earlier versions have no checksum of it.
    if "record" in metadata and metadata["record"] != record_sum(load_json(path / JSON)):
        raise InputError(f"{path / JSON}: was changed since the detector was fitted; copy both files again.")
    heads = _heads(record, tensors, str(path / WEIGHTS))
    parts = []
    for number, spec in enumerate(record.parts):
        prefix = f"parts.{number}."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        parts.append(stored_source(spec, own, str(path / JSON)))
    if record.crop_px is None and any(part.sees_pictures for part in parts):
        raise InputError(f"{path / JSON}: has no crop_px, which its parts need; make the detector again.")
    return LoadedDetector(record, heads, side_by_side(record.model, parts))


def _read_record(path: Path) -> DetectorRecord:
    try:
        return parse_record(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make the detector again.") from error


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
    curves = {column: curve for column, item in enumerate(record.aus.values()) if (curve := item.own_curve())}
    scales = {column: scale for column, item in enumerate(record.aus.values()) if (scale := item.own_scale())}
    head = LinearHead(**arrays, trained=everyone)
    return CalibratedHeads(head, record.l2, **numbers, usable=everyone, curves=curves, scales=scales)
