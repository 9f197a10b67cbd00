"""Programs that log behaviours (BORIS, The Observer): starts and stops become events, modifiers become intensities."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from duchenne.data.cells import Row
from duchenne.preparing.codes.programs.events import (
    NO_MODIFIER,
    Event,
    Stretch,
    is_coded_range,
    is_doubted,
    of_aus,
    of_coded_range,
    with_side,
)
from duchenne.preparing.codes.programs.notation import (
    Said,
    aus_of_name,
    is_prefixed,
    is_unknown,
    names_au,
    parse_aus,
    parse_intensity,
    unseen_part,
)
from duchenne.preparing.codes.programs.tiers import is_bare, is_of_facs, numbers_are_aus, speaks_of_aus

_GRADED: Final = re.compile(r"\d|(?<!\w)[A-E][/+*?-]+[A-E]?(?!\w)|^[IV]{2,3}$")
_SIDE: Final = re.compile(r"\s*(L|R|left|right)(?![a-z])", re.IGNORECASE)
_DIGIT: Final = re.compile(r"0?[0-5](?![0-9A-E]).*", re.IGNORECASE)
"""A modifier that may be an AU or an intensity: `4`, `4 - severe`; not `4C`."""
_SCALE: Final = re.compile(
    r"\b(intensity|int|level|grade|degree|strength|stufe|intensität|stärke|intensité|niveau|intensidad|nivel)\b",
    re.IGNORECASE,
)


def paired(
    rows: Iterable[Row],
    at: Callable[[Row], float],
    kind: Callable[[Row], str],
    marks: tuple[str, str, Collection[str]],
    key: Callable[[Row], tuple[str, ...]],
) -> Iterator[tuple[Row, float, float]]:
    """(row of the start, onset, offset) where start and stop are rows of their own.

    Args:
        rows: in any order; of one moment, what runs is stopped before it starts again.
        at: their times.
        kind: what they are.
        marks: kinds that are a start, a stop, and a point event.
        key: what must be equal of a start and its stop.

    Raises:
        InputError: when something stops that did not start, or the other way about, or a row is none of these kinds.
    """
    start, stop, points = marks
    running: dict[tuple[str, ...], tuple[Row, float]] = {}
    for moment, together in groupby(sorted(rows, key=at), key=at):
        waiting = list(together)
        while waiting:
            row = waiting[0]
            if kind(row) == start and key(row) in running:
                row = next((other for other in waiting if kind(other) == stop and key(other) == key(row)), row)
            waiting.remove(row)
            if kind(row) == start:
                if key(row) in running:
                    raise row.error("Behavior", f"{row.get('behavior')} starts again before it stopped; correct it.")
                running[key(row)] = (row, moment)
            elif kind(row) == stop:
                if key(row) not in running:
                    raise row.error("Behavior", f"{row.get('behavior')} stops without having started; correct it.")
                first, onset = running.pop(key(row))
                yield first, onset, moment
            elif kind(row) in points:
                yield row, moment, moment
            else:
                raise row.error(
                    "Behavior", f"{row.get('behavior')}: `{kind(row)}` is none of {start}, {stop}, {', '.join(points)}."
                )
    for row, _ in running.values():
        raise row.error("Behavior", f"{row.get('behavior')} starts and never stops; correct it.")


def modifiers_of(row: Row) -> list[str]:
    """What stands in the columns of modifiers."""
    return [value for name, value in row.values.items() if name.startswith("modifier")]


def is_of_aus(row: Row) -> bool:
    """Whether the behaviour of a row, or a modifier, is named after AUs, or says what is not visible or was coded.

    Raises:
        InputError: when it names an AU and cannot be read.
    """
    name = row.get("behavior")
    if aus_of_name(name) or unseen_part(name) is not None or is_coded_range(name):
        return True
    if names_au(name):
        raise row.error("Behavior", f"`{name}` names an AU and cannot be read; write it as 12, AU12 or AU12C.")
    aus, rest = _read(row)
    return bool(aus) or (is_of_facs(name) and any(map(is_unknown, rest)))


def _read(row: Row) -> tuple[list[tuple[str, Said]], list[str]]:
    """The AUs of a row, as they are written in the behaviour's name or else its modifiers, and the other modifiers.

    `FACS` may have `12C` or `12|C`, any behaviour `AU12`.

    Raises:
        InputError: when a modifier names an AU and cannot be read, or may be an AU or an intensity.
    """
    name, chosen = row.get("behavior"), _sets(modifiers_of(row))
    if aus_of_name(name):
        return [(name, one) for one in aus_of_name(name)], [part for parts in chosen for part in parts]
    facs, numbers = speaks_of_aus(name), numbers_are_aus(name)
    found: list[tuple[int, str, Said]] = []
    rest: list[str] = []
    for number, parts in enumerate(chosen):
        for part in parts:
            said = [] if is_doubted(part) else _aus_of(part, facs=facs, numbers=numbers)
            if said and not (found and _DIGIT.fullmatch(part) and all(is_prefixed(text) for _, text, _ in found)):
                found += [(number, part, one) for one in said]
                continue
            is_other = bool(said) or is_unknown(part) or _level(part) is not None  # AU12 and 3: its intensity
            if not is_other and (
                is_prefixed(part) or (facs and names_au(part)) or (numbers and re.search(r"\d", part))
            ):
                raise row.error("Modifier", f"`{part}` names an AU and cannot be read; write it as 12, AU12 or AU12C.")
            rest.append(part)
    several = len({(number, is_bare(part)) for number, part, _ in found}) > 1
    for number, part, _ in found:
        if _DIGIT.fullmatch(part) and (number or several):
            raise row.error("Modifier", f"`{part}` may be an AU or an intensity; write AU before it, or A to E.")
    return [(part, one) for _, part, one in found], rest


def _aus_of(part: str, *, facs: bool, numbers: bool) -> list[Said]:
    """The AUs that a modifier says, where its behaviour is about AUs, and where numbers alone are AUs."""
    said = parse_aus(part) if facs and (numbers or not is_bare(part)) else []
    return said or (aus_of_name(part) if is_prefixed(part) else [])


def _sets(modifiers: Sequence[str]) -> list[list[str]]:
    """The modifiers that were chosen from each list of a behaviour's."""
    sets = [text for column in modifiers for text in column.split("|")]
    found = [[part.strip() for part in re.split("[,;]+", text)] for text in sets]
    return [[part for part in parts if part not in NO_MODIFIER] for parts in found]


def behaviour(stretch: Stretch) -> Iterator[Event]:
    """The events of a row whose behaviour is named after AUs, or its modifiers, with an intensity among these.

    Raises:
        InputError: when the modifiers say two intensities, or one that is none.
    """
    name = stretch.row.get("behavior")
    if is_coded_range(name):
        chosen = _sets(modifiers_of(stretch.row))
        yield from of_coded_range(stretch, name, " ".join(part for parts in chosen for part in parts))
        return
    unseen = unseen_part(name)
    if unseen is not None:
        yield from of_aus(stretch, [Said(unseen, None)])
        return
    named, parts = _read(stretch.row)
    if not named:  # of a behaviour whose other rows have AUs
        if is_of_facs(name) and any(map(is_unknown, parts)):
            yield stretch.event(None, kind="unknown")
        return
    aus = dict.fromkeys(one.au for _, one in named)
    own = {au: _levels([(text, one.intensity) for text, one in named if one.au == au]) for au in aus}
    for part in parts:
        if is_unknown(part):
            yield from (stretch.event(au, kind="unknown") for au in own)
            return
        said = parse_aus(part) if re.search(r"[A-Z]", part, re.IGNORECASE) else []
        if said and {au for au, _ in said} <= set(own):
            for au, level in said:
                own[au] |= set() if level is None else {level}
            continue
        value = _level(part)
        if value is not None and len(own) > 1:
            raise stretch.row.error("Modifier", f"`{part}` is one intensity of {len(own)} AUs; code each by itself.")
        if value is not None:
            own[named[0][1].au].add(value)
        elif said or _GRADED.search(part):
            raise stretch.row.error("Modifier", f"`{part}` is no intensity; write A to E or 0 to 5.")
    for au, levels in own.items():
        if len(levels) > 1:
            listed = " and ".join(f"{value:g}" for value in sorted(levels))
            raise stretch.row.error("Modifier", f"{name} has the intensities {listed}; keep one.")
        yield from of_aus(stretch, [Said(au, next(iter(levels), None))])


def _levels(named: Sequence[tuple[str, float | None]]) -> set[float]:
    """The intensities of one AU; of its two sides the stronger."""
    levels = {level for _, level in named if level is not None}
    return {max(levels)} if len(levels) > 1 and all(_SIDE.match(text) for text, _ in named) else levels


def _level(part: str) -> float | None:
    """The intensity that a modifier is, with or without words around it: `C`, `Level 3`, `C left`; None: it is none."""
    rest = _SCALE.sub(" ", part).strip(" :=")
    value = parse_intensity(rest)
    return value if value is not None else with_side(rest) if rest else None
