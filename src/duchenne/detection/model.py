"""What every detector of action units is to the rest of `detect`: faces in, named columns out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from duchenne.detection.settings import Precision
from duchenne.errors import UsageError

DUCHENNE: Final = "duchenne"
"""The detector that comes with the package."""
Z: Final = "z"
"""What `score_scale` says of scores that count standard deviations over neutral faces."""
BLENDSHAPES: Final = "blendshapes"
"""MediaPipe's blendshapes as they are."""


@dataclass(frozen=True)
class FaceBatch:
    """Faces with landmarks, of one or several frames.

    Attributes:
        landmarks: (N, 68, 2) pixels of the displayed picture.
        blendshapes: (N, 52) in 0 to 1; a row of NaN where the face has none.
        crops: (N, S, S, 3) uint8 RGB, aligned, with S = the model's `crop_px`; None where that is None.
        mesh: (N, 478, 3) MediaPipe's points, x and y in pixels of the displayed picture, z in the same unit and
            smaller nearer to the camera; None where nobody needs them.
    """

    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    crops: NDArray[np.uint8] | None
    mesh: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.landmarks)


class AuModel(Protocol):
    """A detector of action units.

    Attributes:
        name: as the user gave it to `--model`.
        columns: of the output, in order: `AUxx_p` (probability), `AUxx_c` (0 or 1), `AUxx_r` (intensity 0 to 5),
            `AUxx_s` (raw score), `AUxx_left` and `AUxx_right` (raw score of a side).
        crop_px: side of the aligned crops that it needs; None where it needs no pixels.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def columns(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def crop_px(self) -> int | None: ...  # noqa: D102

    def score(self, batch: FaceBatch) -> NDArray[np.float32]:
        """(N, len(columns)) values of N faces; NaN where a value cannot be given."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a reader of the table must know of the model (JSON), for the record beside the output."""
        ...


def score_scale(model: AuModel) -> str | None:
    """What a model's `AUxx_s` count: `Z`, or None for a scale of its own."""
    return getattr(model, "scale", None)


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
    if precision not in get_args(Precision):
        raise UsageError(f"there is no precision `{precision}`; choose {' or '.join(get_args(Precision))}.")
    if all_aus and name != DUCHENNE:
        raise UsageError(f"--all-aus is for --model {DUCHENNE}; {name} gives all that it has.")
    if name in (DUCHENNE, BLENDSHAPES) and (device not in ("auto", "cpu") or precision != "float32"):
        raise UsageError(f"--model {name} is computed on the processor; leave out --device and --precision.")
    if name == DUCHENNE:
        from duchenne.detection.standard import StandardModel

        return StandardModel(sides=sides, all_aus=all_aus, decisions=decisions)
    if name == BLENDSHAPES:
        from duchenne.detection.blendshapes import BlendshapeModel

        return BlendshapeModel(sides=sides)
    if not Path(name).exists():
        raise UsageError(
            f"there is no model `{name}`; use --model {DUCHENNE} or {BLENDSHAPES}, a folder made by `duchenne fit`, "
            "or an ONNX file made by `duchenne export`."
        )
    if sides:
        raise UsageError(f"--sides: the detector {name} does not tell left from right; use --model {DUCHENNE}.")
    if Path(name).suffix.lower() == ".onnx":
        from duchenne.detection.onnx_model import OnnxModel

        if precision != "float32":
            raise UsageError("--precision: an ONNX file computes in the precision it was exported in; leave it out.")
        return OnnxModel(name, device=device)
    from duchenne.detection.trained import open_detector

    return open_detector(name, device=device, precision=precision)
