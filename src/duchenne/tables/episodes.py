"""When an action unit is there: from values over time to episodes with onset, apex and offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.detection.results import SCALE_COLUMN
from duchenne.facs import au_column

SCORE_THRESHOLD: Final = 0.3
"""From where a raw score counts as present. A convention, not a validated cut: choose your own where you know more."""
Z_THRESHOLD: Final = 2.0
"""The same for scores in standard deviations over neutral faces: the model `duchenne` decides there itself."""
PROBABILITY_THRESHOLD: Final = 0.5
INTENSITY_THRESHOLD: Final = 2.0
"""Intensity B, as in the data sets that code intensities."""
_LEAVE: Final = 2 / 3


class Measure(NamedTuple):
    """How one action unit is measured in a table.

    Attributes:
        au: its FACS number.
        column: the values: `AUxx_p`, else `AUxx_s`, else `AUxx_r`.
        decision: `AUxx_c` where the model decides itself, else None.
        threshold: from where it counts as present, where the model does not decide.
    """

    au: int
    column: str
    decision: str | None
    threshold: float


class Episode(NamedTuple):
    """One uninterrupted presence of an action unit; places are rows of the values it was found in.

    Attributes:
        start: first row. apex: row of the highest value. stop: row after the last one.
    """

    start: int
    apex: int
    stop: int


def find_measures(columns: Sequence[str], score_threshold: float | None = None) -> list[Measure]:
    """The measures of a table's columns, by ascending AU.

    Args:
        columns: of a table.
        score_threshold: from where raw scores count as present; None for the convention of their scale.
    """
    if score_threshold is None:
        score_threshold = Z_THRESHOLD if SCALE_COLUMN in columns else SCORE_THRESHOLD
    thresholds = {"p": PROBABILITY_THRESHOLD, "s": score_threshold, "r": INTENSITY_THRESHOLD}
    numbers = sorted(
        {int(name[2:4]) for name in columns if name[:2] == "AU" and name[2:4].isdigit() and name[4:5] == "_"}
    )
    found = []
    for au in numbers:
        name = au_column(au)
        decision = f"{name}_c" if f"{name}_c" in columns else None
        kind = next((kind for kind in thresholds if f"{name}_{kind}" in columns), None)
        if kind is not None:
            found.append(Measure(au, f"{name}_{kind}", decision, thresholds[kind]))
        elif decision is not None:
            found.append(Measure(au, decision, decision, PROBABILITY_THRESHOLD))
    return found


def is_present(rows: pd.DataFrame, measure: Measure) -> NDArray[np.bool_]:
    """Per row of one face, in time order, whether the AU is present.

    The model's own decision where there is one. Else the value has reached the threshold and not yet fallen below two
    thirds of it, so that a value that trembles around the threshold makes one episode and not ten.
    """
    if measure.decision is not None:
        return np.asarray(rows[measure.decision].to_numpy(dtype=float, na_value=np.nan) == 1)
    values = rows[measure.column].to_numpy(dtype=float, na_value=np.nan)
    present = np.zeros(len(values), dtype=bool)
    inside = False
    for row, value in enumerate(values):
        inside = bool(value >= measure.threshold or (inside and value >= _LEAVE * measure.threshold))
        present[row] = inside
    return present


def find_episodes(values: NDArray[np.floating], present: NDArray[np.bool_]) -> list[Episode]:
    """Runs of presence.

    Args:
        values: (N,) of one face and AU, in time order.
        present: (N,) whether it is there; a run ends where this is False.

    Returns:
        The episodes in order. The apex is the first of the highest values.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    found = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        inside = np.nan_to_num(values[start:stop], nan=-np.inf)
        found.append(Episode(start, start + int(inside.argmax()), stop))
    return found


def frame_seconds(time_s: NDArray[np.floating]) -> NDArray[np.float64]:
    """How long each frame is shown: until the next one; the last one as long as the median.

    Args:
        time_s: (N,) ascending time stamps of the frames of one video.

    Returns:
        (N,) seconds; 0 for a single picture.
    """
    if len(time_s) < 2:
        return np.zeros(len(time_s))
    steps = np.diff(np.asarray(time_s, dtype=np.float64))
    return np.append(steps, np.median(steps))
