"""What is known of a detector: the plain values of detector.json, which an ONNX file carries too. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from duchenne.config import Number, Range, Share, Side, from_mapping, parse_json
from duchenne.detectors.calibrating.calibration import Curve
from duchenne.detectors.calibrating.intensity import Scale
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS, au_column

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class AuRecord:
    """One action unit of a detector.

    Attributes:
        prior: share of the known training frames that show it.
        slope, offset: of the calibration, see `duchenne.detectors.calibrating.calibration`.
        threshold: probability from which it is called present.
        passed: whether agreement with the coder on held-out subjects passed the bar, so that `AUxx_c` is written.
        why: the reason, one sentence.
        frames, present: known training frames, and those of them that show it.
        subjects, showing: subjects with known frames, and those of them who show it.
        held_out: figures on subjects left out (`calibrated.held_out_figures`); None where there are none.
        curve: a `calibration.Curve` in place of slope and offset, as plain values; None where those are used.
        intensity: an `intensity.Scale` as plain values; None where intensity was not coded.
    """

    prior: Share
    slope: Annotated[float, Range(-1e6, 1e6)]
    offset: Annotated[float, Range(-1e6, 1e6)]
    threshold: Share
    passed: bool
    why: str
    frames: Number
    present: Number
    subjects: Number
    showing: Number
    held_out: Mapping[str, Any] | None
    curve: Mapping[str, Any] | None = None
    intensity: Mapping[str, Any] | None = None

    def own_curve(self) -> Curve | None:
        """The curve; refuses what is none, see `parse_record`."""
        return None if self.curve is None else _made(Curve, self.curve, "curve")

    def own_scale(self) -> Scale | None:
        """The scale of intensity; refuses what is none, see `parse_record`."""
        return None if self.intensity is None else _made(Scale, self.intensity, "intensity")


@dataclass(frozen=True, kw_only=True)
class DetectorRecord:
    """What `detector.json` holds.

    Attributes:
        model: what `--model` of `fit` was, without folders.
        parts: the specs of what looks at the faces, see `duchenne.features.source.Member`.
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
        calibration: `platt` or `isotonic`.
        groups: figures of subjects left out by group (`by_group.ByGroup`), None where none were asked for.
        format_version: of this file.
    """

    model: str
    parts: tuple[Mapping[str, Any], ...]
    crop_px: Side | None
    alignment: str
    l2: Annotated[float, Range(0, 1e9)]
    aus: Mapping[str, AuRecord]
    left_out: Mapping[str, str]
    validation: Mapping[str, Any]
    trained_on: tuple[Mapping[str, Any], ...]
    encoder_trained_on: Mapping[str, Any]
    notes: tuple[str, ...]
    duchenne: str
    calibration: str = "platt"
    groups: Mapping[str, Any] | None = None
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION


T = TypeVar("T")


def _made(kind: type[T], values: Mapping[str, Any], key: str) -> T:
    try:
        return from_mapping(kind, values, where=f"`{key}`")
    except ValueError as error:
        raise UsageError(f"`{key}`: {error}.") from error


def parse_record(text: str | bytes, where: str) -> DetectorRecord:
    """Reads the record of a detector from JSON; nothing in it is executed.

    Args:
        text: as written.
        where: the file, for errors.

    Raises:
        InputError: when it is no record, or not one of this format version.
    """
    values = parse_json(text, where)
    if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{where}: is no detector of format version {FORMAT_VERSION}; make the detector again.")
    try:
        record = from_mapping(DetectorRecord, values, where=where)
        known = {au_column(au) for au in ACTION_UNITS}
        aus = {}
        for name, item in record.aus.items():
            if name not in known or not isinstance(item, Mapping):
                raise UsageError(f"{where}: `aus` holds `{name}`, which is no action unit.")
            aus[name] = from_mapping(AuRecord, item, where=f"{where}: `{name}`")
            if not 0 < aus[name].prior < 1:
                raise UsageError(f"{where}: `{name}`: `prior` is {aus[name].prior}, not between 0 and 1.")
            aus[name].own_curve(), aus[name].own_scale()
    except UsageError as error:
        raise InputError(f"{error} Make the detector again.") from error
    if not aus or not record.parts:
        raise InputError(f"{where}: names no action unit or no part; make the detector again.")
    return DetectorRecord(**{**vars(record), "aus": aus})
