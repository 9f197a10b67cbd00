"""What a table was made with, in sentences, for pages and for `summarize`. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

WINDOW: Final = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
"""A baseline that is seconds of the recording itself."""
_MOST_NAMED: Final = 3
MIN_FACE: Final = 32
"""Pixels: the narrowest face that is read unless another width is asked for."""


def settings_sentences(settings: Mapping[str, Any]) -> list[str]:
    """One sentence for every setting that changes what is seen.

    Args:
        settings: of `DetectSettings`, by name; one that is missing is as it is by default.
    """
    said = []
    every, start_s, end_s = settings.get("every") or 1, settings.get("start_s") or 0.0, settings.get("end_s")
    if every > 1:
        said.append(f"One frame in {every} was read (--every {every}).")
    if start_s or end_s is not None:
        end = "the end" if end_s is None else f"{end_s:g} s"
        said.append(f"Only the time from {start_s:g} s to {end} is shown.")
    smooth_s, baseline = settings.get("smooth_s") or 0.0, settings.get("baseline")
    if smooth_s:
        said.append(f"Every value is the mean of {smooth_s:g} s around it (--smooth-s {smooth_s:g}).")
    if baseline is not None:
        within = WINDOW.fullmatch(str(baseline))
        of = f"of seconds {baseline} of this recording" if within else "of a recording of its own"
        said.append(
            f"The resting face {of} was subtracted (--baseline): 0 is that face, values below 0 are less than in it. "
            "There are no decisions then."
        )
    min_face = settings.get("min_face", MIN_FACE)
    if min_face != MIN_FACE:
        said.append(f"Faces under {min_face} pixels were not read (--min-face {min_face}).")
    if settings.get("mirrored"):
        said.append("The recording was turned round first (--mirrored).")
    return said


def made_with(records: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """What made tables: their models, what these do not decide, and every setting that changes what is seen, with the
    tables that it is about.

    Args:
        records: name of a table -> what `detect` wrote beside it, None where there is nothing.
    """
    about: dict[str, list[str]] = {}
    for name, record in records.items():
        if record is None or not isinstance(record.get("model"), str):
            said = [
                "No record of `detect` lies beside it as it is now (was it changed or cut off since?), so its model "
                "and settings are not known."
            ]
        else:
            said = [f"Model: {record['model']}.", *_of_record(record)]
        for sentence in said:
            about.setdefault(sentence, []).append(name)
    return [
        sentence if len(names) == len(records) else f"{_listed(names, len(records))}: {sentence}"
        for sentence, names in about.items()
    ]


def _listed(names: Sequence[str], number: int) -> str:
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return f"{len(names)} of {number} tables ({names[0]} ...)"


def _of_record(record: Mapping[str, Any]) -> list[str]:
    try:
        return [*_undecided(record), *settings_sentences(record)]
    except (AttributeError, KeyError, TypeError, ValueError):  # somebody changed it
        return ["The record beside it cannot be read; its settings are not known."]


def _undecided(record: Mapping[str, Any]) -> list[str]:
    """What the card of an own detector says of action units that did not pass: these are counted all the same."""
    from duchenne.tables.episodes import PROBABILITY_THRESHOLD  # which is heavy

    failed = {au: card for au, card in record.get("about_model", {}).get("aus", {}).items() if not card["passed"]}
    if not failed:
        return []
    verdicts: dict[str, list[str]] = {}
    for au, card in failed.items():
        verdicts.setdefault(str(card["why"]).partition(":")[0], []).append(f"{au} ({card['threshold']:.2f})")
    cards = "; ".join(f"{verdict}: {', '.join(aus)}" for verdict, aus in verdicts.items())
    return [
        "This detector does not decide, but from a probability of "
        f"{PROBABILITY_THRESHOLD:g} is here counted as present (its own threshold would be that in brackets; its model "
        f"card says why): {cards}."
    ]
