"""What every detector of action units is to the rest of `detect`: faces in, named columns out."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.faces.batch import FaceBatch
from duchenne.facs import ACTION_UNITS

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


class Shown:
    """How our own detectors show themselves in consoles and notebooks."""

    def __repr__(self: AuModel) -> str:
        """Short: action units are counted."""
        return f"<model {self.name}: {len({column.partition('_')[0] for column in self.columns})} action units>"

    def _repr_html_(self: AuModel) -> str:
        """A table for notebooks: a row per action unit, with its columns and what it may claim."""
        about = self.describe()
        empty = () if about.get("all_aus", True) else about["without_evidence"]
        cards = about.get("aus", {})
        rows: dict[str, tuple[str, list[str], str]] = {}
        for column in self.columns:
            au = column.partition("_")[0]
            known = str(cards[au]["why"]) if au in cards else "empty: not judged on real faces" * (au in empty)
            rows.setdefault(au, (ACTION_UNITS[int(au[2:])].name, [], known))[1].append(column)
        table = pd.DataFrame([(au, name, ", ".join(own), known) for au, (name, own, known) in rows.items()])
        return str(table.set_axis(["AU", "movement", "columns", "judged"], axis=1).to_html(index=False))


def score_scale(model: AuModel) -> str | None:
    """What a model's `AUxx_s` count: `Z`, or None for a scale of its own."""
    return getattr(model, "scale", None)
