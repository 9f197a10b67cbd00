"""What to code next: where a detector is least sure, or where action units show of which little is coded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duchenne.preparing.codes.programs.events import step_of

STRETCH_S: Final = 2.0
"""Length of what is proposed: long enough to see a movement begin and end."""


class Candidate(NamedTuple):
    """What a detector says of one face of one recording.

    Attributes:
        source: of the recording. face: its number.
        times_s: (N,) of the frames.
        probabilities: AU -> (N,) values from 0 to 1, NaN where the face could not be read.
        coded: (N,) frames that are coded already, or cannot be; they are not proposed.
    """

    source: str
    face: int
    times_s: NDArray[np.float64]
    probabilities: Mapping[int, NDArray[np.float64]]
    coded: NDArray[np.bool_]


def doubt(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """How unsure a probability is, in bits: 1 at 0.5, 0 at 0 and 1; NaN stays NaN."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))


def choose(
    candidates: Sequence[Candidate],
    *,
    by: Literal["doubt", "rare"] = "doubt",
    coded_seconds: Mapping[int, float] | None = None,
    count: int = 20,
    stretch_s: float = STRETCH_S,
) -> list[dict[str, Any]]:
    """Ranks the stretches of all recordings: the best of every face, then the second best ..., so that people differ.

    Args:
        candidates: one per face of a recording.
        by: `doubt`, the mean over action units and frames of the entropy of the probabilities; `rare`, the mean
            probability of every action unit weighted by one over the seconds of it that are coded (plus one).
        coded_seconds: AU -> seconds in which it is coded as present.
        count: how many.
        stretch_s: length of a stretch in seconds.

    Returns:
        `source, face, onset_s, offset_s, value`, and `au`: that which counts most in it. Of each face at most
        one stretch in three is taken.
    """
    seconds = coded_seconds or {}
    found: list[tuple[int, dict[str, Any]]] = []
    for one in candidates:
        if not len(one.times_s) or not one.probabilities:
            continue
        places = np.floor((one.times_s - one.times_s[0]) / stretch_s + 1e-9).astype(int)
        aus = list(one.probabilities)
        values = np.stack([one.probabilities[au] for au in aus])
        values = (
            doubt(values) if by == "doubt" else values / (1 + np.array([seconds.get(au, 0.0) for au in aus]))[:, None]
        )
        own: list[dict[str, Any]] = []
        end_s = float(one.times_s[-1]) + step_of(one.times_s)
        for place in np.unique(places):
            inside = places == place
            part = values[:, inside]
            if one.coded[inside].any() or np.isnan(part).mean() > 0.5:
                continue
            of_au = np.array([np.nanmean(row) if (~np.isnan(row)).any() else 0.0 for row in part])
            # A short rest at the end of a recording is no stretch of its own.
            length = float(one.times_s[inside][-1] - one.times_s[inside][0])
            if length < stretch_s / 4 and len(np.unique(places)) > 1:
                continue
            onset_s = float(one.times_s[inside][0])
            own.append(
                {
                    "source": one.source, "face": one.face,
                    "onset_s": onset_s, "offset_s": min(onset_s + stretch_s, end_s),
                    "au": int(aus[int(of_au.argmax())]), "value": float(of_au.mean()),
                }
            )  # fmt: skip
        own.sort(key=lambda stretch: -stretch["value"])
        found += [(rank, stretch) for rank, stretch in enumerate(own[: max(1, (len(own) + 2) // 3)])]
    found.sort(key=lambda item: (item[0], -item[1]["value"], item[1]["source"], item[1]["onset_s"]))
    return [stretch for _, stretch in found[:count]]
