"""What every detector of action units is to the rest of `detect`: faces in, named columns out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import UsageError


@dataclass(frozen=True)
class FaceBatch:
    """Faces with landmarks, of one or several frames.

    Attributes:
        landmarks: (N, 68, 2) pixels of the displayed picture.
        blendshapes: (N, 52) in 0 to 1; a row of NaN where the face has none.
        crops: (N, S, S, 3) uint8 RGB, aligned, with S = the model's `crop_px`; None where that is None.
    """

    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    crops: NDArray[np.uint8] | None

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


def _blendshapes(sides: bool) -> AuModel:
    from duchenne.detection.blendshapes import BlendshapeModel

    return BlendshapeModel(sides=sides)


MODELS: Final[dict[str, Callable[[bool], AuModel]]] = {"blendshapes": _blendshapes}
"""The models that need no training, by the name given to `--model`; everything else is a folder that `fit` wrote."""


def load_model(name: str, *, sides: bool = False) -> AuModel:
    """The detector called `name`.

    Args:
        name: as given to `--model`: one of `MODELS`, or the folder of a detector.
        sides: also give `AUxx_left` and `AUxx_right`, where the model has them.

    Raises:
        UsageError: when there is none of that name, or it has no sides.
        InputError: when the folder is no detector, or damaged.
    """
    if name in MODELS:
        return MODELS[name](sides)
    if not Path(name).exists():
        raise UsageError(
            f"there is no model `{name}`; use --model {' or '.join(MODELS)}, or a folder made by `duchenne fit`."
        )
    from duchenne.detection.trained import open_detector

    if sides:
        raise UsageError(f"--sides: the detector {name} does not tell left from right; use --model blendshapes.")
    return open_detector(name)
