"""Opens what `--model` of `detect` may name: the blendshapes, a detector of one's own, an ONNX file."""

from __future__ import annotations

from pathlib import Path

from duchenne.detectors.base import BLENDSHAPES, DUCHENNE, AuModel
from duchenne.devices import Precision
from duchenne.errors import UsageError
from duchenne.keywords import check_choice


def open_model(
    model: str | Path | AuModel,
    *,
    sides: bool = False,
    device: str = "auto",
    precision: Precision = "float32",
    all_aus: bool = False,
    decisions: bool = True,
) -> AuModel:
    """What `model` may be: the name of a detector, see `load_model`, or one that is open.

    Raises:
        UsageError: when it is no detector, or the other arguments are given for one that is open; see `load_model`.
        InputError: see `load_model`.
    """
    if isinstance(model, str | Path):
        return load_model(
            str(model), sides=sides, device=device, precision=precision, all_aus=all_aus, decisions=decisions
        )
    if not callable(getattr(model, "score", None)) or not hasattr(model, "columns"):
        raise UsageError(
            f"--model {type(model).__name__}: is not a detector of action units; make one with `duchenne fit`, or open "
            "one with duchenne.load_model."
        )
    if sides or all_aus or device != "auto" or precision != "float32":
        raise UsageError(
            "sides, all_aus, device and precision are for models given by name; an open model is as it was opened."
        )
    return model


def load_model(
    name: str,
    *,
    sides: bool = False,
    device: str = "auto",
    precision: Precision = "float32",
    all_aus: bool = False,
    decisions: bool = True,
) -> AuModel:
    """The detector called `name`.

    Args:
        name: as given to `--model`: `duchenne`, `blendshapes`, the folder of a detector, or an ONNX file made of one.
        sides: also give `AUxx_left` and `AUxx_right`, where the model has them.
        device: where encoders compute, see `duchenne.devices.resolve_device`; faces are found on the processor.
        precision: `float32`, or `bf16` for products in bfloat16: faster where the device has them, and probabilities
            differ in the third decimal.
        all_aus: of `duchenne`, also action units without evidence on real faces.
        decisions: of `duchenne`, also `AUxx_c`; a resting face cannot be subtracted from decisions.

    Raises:
        UsageError: when there is none of that name, it has no sides, or cannot compute so.
        InputError: when the folder or file is no detector, or damaged.
    """
    check_choice("precision", precision, Precision)
    if all_aus and name != DUCHENNE:
        raise UsageError(f"--all-aus is for --model {DUCHENNE}; {name} gives all that it has.")
    if name in (DUCHENNE, BLENDSHAPES) and (device not in ("auto", "cpu") or precision != "float32"):
        raise UsageError(f"--model {name} is computed on the processor; leave out --device and --precision.")
    if name == DUCHENNE:
        from duchenne.detectors.standard import StandardModel

        return StandardModel(sides=sides, all_aus=all_aus, decisions=decisions)
    if name == BLENDSHAPES:
        from duchenne.detectors.blendshapes import BlendshapeModel

        return BlendshapeModel(sides=sides)
    if not Path(name).exists():
        raise UsageError(
            f"there is no model `{name}`; use --model {DUCHENNE} or {BLENDSHAPES}, a folder made by `duchenne fit`, "
            "or an ONNX file made by `duchenne export`."
        )
    if sides:
        raise UsageError(f"--sides: the detector {name} does not tell left from right; use --model {DUCHENNE}.")
    if Path(name).suffix.lower() == ".onnx":
        from duchenne.detectors.onnx_model import OnnxModel

        if precision != "float32":
            raise UsageError("--precision: an ONNX file computes in the precision it was exported in; leave it out.")
        return OnnxModel(name, device=device)
    from duchenne.detectors.trained import open_detector

    return open_detector(name, device=device, precision=precision)
