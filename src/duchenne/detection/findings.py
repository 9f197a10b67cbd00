"""What a report says beside its numbers: what made them, what they may claim, and what does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.detection.temporal import NO_BASELINE
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.tables.episodes import Measure

UNLIKELY: Final = ((24, 25), (23, 25), (12, 15))
"""Pairs that hardly go together: lips that are pressed or tightened and apart; corners that go up and down."""
_LEAST_SHARE: Final = 0.01
_MOST_NAMED: Final = 4
_REST_FROM: Final = {"s": 0.3, "r": 1.5}
_REST_FROM_Z: Final = 2.0


def resting_sentence(
    columns: Sequence[str], values: NDArray[np.floating], scale: str | None, who: str
) -> tuple[str, bool]:
    """What a resting face showed.

    Args:
        columns: of the model.
        values: of the resting face, which were subtracted.
        scale: of raw scores, see `duchenne.detectors.base.score_scale`.
        who: whose it is, as the sentence begins.

    Returns:
        The sentence, and whether the face may not have been at rest.
    """
    found = []
    for column, value in zip(columns, values, strict=True):
        kind = column.rpartition("_")[2]
        start = _REST_FROM_Z if kind == "s" and scale else _REST_FROM.get(kind)
        if start is not None and value >= start:
            found.append((float(value), column.partition("_")[0]))
    if not found:
        return f"{who} showed nothing in particular: no score reached what would catch the eye.", False
    listed = [f"{au} at {value:.2f}" for value, au in sorted(found, reverse=True)[:_MOST_NAMED]]
    return (
        f"{who} was not neutral by its scores: {', '.join(listed)}. Is that an expression? Then all curves are too low "
        "by as much; choose other seconds for --baseline."
    ), True


def contradictions(rows: pd.DataFrame, measures: Sequence[Measure], *, scores: bool) -> list[str]:
    """Action units of one face that a model sees together though they hardly go together.

    Args:
        rows: of the face.
        measures: of the table.
        scores: look at scores over their conventional threshold too, where nothing is decided.
    """
    known = {measure.au: measure for measure in measures}
    found = []
    for pair in UNLIKELY:
        if not known.keys() >= set(pair):
            continue
        both = [known[au] for au in pair]
        decided = all(measure.decision is not None for measure in both)
        if not decided and not scores:
            continue
        present = np.ones(len(rows), dtype=bool)
        for measure in both:
            column, start = (measure.decision, 1.0) if decided else (measure.column, measure.threshold)
            present &= rows[column].to_numpy(dtype=float, na_value=np.nan) >= start
        share = float(present.mean()) if len(rows) else 0.0
        if share < _LEAST_SHARE:
            continue
        names = " and ".join(f"{au_column(au)} ({ACTION_UNITS[au].name})" for au in pair)
        said = "are both called present" if decided else "both score high"
        found.append(
            f"{names} {said} in {100 * share:.0f} % of the frames, though they hardly go together: look at it."
        )
    return found


def reasons(
    rows: pd.DataFrame, measures: Sequence[Measure], model_columns: Sequence[str], about: Mapping[str, Any]
) -> dict[int, str]:
    """Action unit -> why the page says nothing of its presence in one face; those with decisions are not in it.

    Args:
        rows: of the face.
        measures: of the table.
        model_columns: of the model.
        about: what the model describes itself as.
    """
    cards = about.get("aus", {})
    unread = _unread(rows)
    found = {}
    for measure in measures:
        name, values = au_column(measure.au), rows[measure.column]
        if values.isna().all():
            if unread:
                found[measure.au] = unread
            else:
                found[measure.au] = why_empty(measure.au, model_columns, about)
        elif measure.decision is None or rows[measure.decision].isna().all():
            card = cards.get(name) if isinstance(cards, Mapping) else None
            kind = measure.column.rpartition("_")[2]
            if card:
                found[measure.au] = f"no decision ({card['why']})"
            elif kind == "s":
                found[measure.au] = "a score, no decision"
            else:
                found[measure.au] = "no decision"
    return found


def why_empty(au: int, model_columns: Sequence[str], about: Mapping[str, Any]) -> str:
    """Why faces that were read have no value of an action unit; the arguments are those of `reasons`."""
    if not about.get("all_aus", True) and any(name.startswith(f"{au_column(au)}_") for name in model_columns):
        return "not judged on real faces (--all-aus gives its score)"
    return "this model does not have it"


def _unread(rows: pd.DataFrame) -> str | None:
    """Why no action unit of a face was read; None where some were."""
    if "flag" not in rows or rows["flag"].isna().any():
        return None
    why = rows["flag"].value_counts().index[0]
    known = {
        "small": "this face is too small (--min-face)",
        "no_landmarks": "no landmarks could be put on this face",
        NO_BASELINE: "its resting face was not seen (--baseline)",
    }
    return known.get(str(why), f"not read: {why}")


def verdicts(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a detector's card says of each action unit: `au, name, passed, why, threshold`; empty for other models."""
    cards = about.get("aus")
    if not isinstance(cards, Mapping):
        return []
    return [
        {
            "au": au, "name": ACTION_UNITS[int(au[2:])].name, "passed": card["passed"], "why": card["why"],
            "threshold": card["threshold"],
        }
        for au, card in cards.items()
    ]  # fmt: skip
