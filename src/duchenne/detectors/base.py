"""What every detector of action units is to the rest of `detect`: faces in, named columns out."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from duchenne.faces.batch import FaceBatch

DUCHENNE: Final = "duchenne"
"""The detector that comes with the package."""
Z: Final = "z"
"""What `score_scale` says of scores that count standard deviations over neutral faces."""
BLENDSHAPES: Final = "blendshapes"
"""MediaPipe's blendshapes as they are."""


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
