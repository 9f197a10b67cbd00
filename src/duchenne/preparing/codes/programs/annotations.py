"""Annotations in tiers, as ELAN has them, and the events that they are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from duchenne.preparing.codes.programs.events import (
    NO_MODIFIER,
    Event,
    Stretch,
    of_aus,
    of_text,
    of_value,
    says_present,
)
from duchenne.preparing.codes.programs.notation import (
    NOT_VISIBLE,
    Said,
    aus_of_name,
    is_unknown,
    parse_aus,
    parse_intensities,
    who_of_codings,
    who_of_names,
    without_mark,
    words_of,
)
from duchenne.preparing.codes.programs.tiers import (
    aside_note,
    bare_note,
    is_aside,
    is_bare,
    is_coding,
    numbers_are_aus,
    strength_of,
)

_ROUNDING_S: Final = 1e-6


@dataclass(frozen=True)
class Annotation:
    """What stands in a tier, and when.

    Attributes:
        tier: its name.
        value: what was written.
        stretch: when, and of whom.
        above: tiers that it depends on, where that is known.
    """

    tier: str
    value: str
    stretch: Stretch
    above: tuple[str, ...] = ()


def events_of(found: Sequence[Annotation], notes: list[str]) -> Iterator[Event]:
    """What annotations say, tier by tier; a tier of intensities says how strong what is coded at the same time is.

    Raises:
        InputError: when one names an AU and cannot be read.
    """
    values = defaultdict(list)
    for one in found:
        values[one.tier].append(one.value)
    who = who_of_names(list(values))
    coding = {tier for tier, texts in values.items() if is_coding(texts) or _has_numbers(tier, texts)}
    strengths = _strengths(found, coding, notes)
    aside = {tier for tier in values if _is_named(tier, coding) and is_aside(tier)}
    notes += [note for one in found[:1] for note in aside_note(one.stretch.row.path, aside)]
    said: dict[str, set[tuple[str, str, str, int]]] = defaultdict(set)
    for one in found:
        if one.tier in coding and not aus_of_name(one.tier) and not who[one.tier]:
            of = (one.stretch.source, one.stretch.subject, one.stretch.coder)
            said[one.tier] |= {(*of, au) for au, _ in parse_aus(without_mark(one.value)) if au not in NOT_VISIBLE}
    who |= who_of_codings(said)
    coders = {one.stretch.coder or who[one.tier] for one in found if aus_of_name(one.tier) or one.tier in coding} - {""}
    lone = next(iter(coders)) if len(coders) == 1 else ""  # ELAN lets people leave the annotator of a tier open
    if lone and _aus_of(one for one in found if one.stretch.coder or who[one.tier]) & _aus_of(
        one for one in found if not (one.stretch.coder or who[one.tier])
    ):
        lone = ""  # the tiers without a name are another's
    for place, one in enumerate(found):
        stretch = one.stretch
        mine = who[one.tier] or lone
        if mine and not stretch.coder and mine != stretch.subject:
            stretch = replace(stretch, coder=mine)
        if place in strengths:
            own, graded = _own(one, coding), strengths[place]
            if all(_when(strength) != _when(one) for strength in graded):  # they are of parts of it
                yield from of_aus(stretch, own)
            for strength in graded:
                part = replace(stretch, onset_s=strength.stretch.onset_s, offset_s=strength.stretch.offset_s)
                yield from _graded(part, own, strength)
        elif _is_named(one.tier, coding) and not is_aside(one.tier):
            yield from of_value(stretch, one.tier, one.value)
        elif _is_named(one.tier, coding):
            unknown = aus_of_name(one.tier) if is_unknown(without_mark(one.value)) else []
            yield from (stretch.event(au, kind="unknown") for au, _ in unknown)
        else:
            yield from of_text(stretch, one.tier, one.value, coding=one.tier in coding)


def _has_numbers(tier: str, texts: Iterable[str]) -> bool:
    """Whether a tier holds numbers that are AUs by its name."""
    return numbers_are_aus(tier) and any(is_bare(text) and parse_aus(text) for text in map(without_mark, texts))


def _is_named(tier: str, coding: Collection[str]) -> bool:
    """Whether a tier is named after AUs, and not a number of which AUs are coded in it."""
    return bool(aus_of_name(tier)) and not (parse_aus(tier) and tier.isdecimal() and tier in coding)


def _own(one: Annotation, coding: Collection[str]) -> list[Said]:
    """The AUs of an annotation that says no intensity itself."""
    text = without_mark(one.value)
    if _is_named(one.tier, coding):
        if is_aside(one.tier):
            return []
        said = aus_of_name(one.tier) if says_present(text) and not is_unknown(text) else []
    else:
        said = parse_aus(text) if one.tier in coding else []
    return said if all(au.intensity is None for au in said) else []


def _strengths(
    found: Sequence[Annotation], coding: Collection[str], notes: list[str]
) -> Mapping[int, Sequence[Annotation]]:
    """Place of an annotation -> those in tiers of intensities that are its; adds sentences on values not read."""
    coded: dict[tuple[str, float, float], list[int]] = defaultdict(list)
    in_tier: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    beside: list[Annotation] = []
    others: list[Annotation] = []
    unread: dict[str, None] = {}
    for place, one in enumerate(found):
        if _own(one, coding):
            coded[_when(one)].append(place)
            in_tier[one.tier, one.stretch.source].append((one.stretch.onset_s, place))
        elif not aus_of_name(one.tier) and one.tier not in coding:
            is_below = any(_is_named(tier, coding) or tier in coding for tier in one.above)
            if strength_of(one.tier, of_aus=is_below) is not None:
                beside.append(one)
            elif is_below and parse_intensities(without_mark(one.value)):
                unread[one.tier] = None
            else:
                others.append(one)
    for starts in in_tier.values():
        starts.sort()
    graded: dict[int, dict[tuple[str, float, float], Annotation]] = defaultdict(dict)
    lost: Counter[str] = Counter()
    for one in beside:
        text = without_mark(one.value)
        fits = _parent(one, found, in_tier) or [p for p in coded[_when(one)] if _belongs(one, found[p])]
        if not parse_intensities(text) and not is_unknown(text):
            if len(fits) == 1 and re.search(r"\d|^.$", text):
                raise one.stretch.row.error(one.tier, f"`{one.value}` is no intensity; write A to E or 0 to 5.")
        elif text in NO_MODIFIER:
            continue
        elif len(fits) != 1 or len(parse_intensities(text)) not in (0, len(_own(found[fits[0]], coding))):
            lost[one.tier] += 1
        elif without_mark(other := graded[fits[0]].setdefault(_when(one), one).value) != text:
            raise one.stretch.row.error(
                one.tier, f"`{other}` and `{one.value}` are intensities of one annotation; keep one."
            )
    if found:
        path = found[0].stretch.row.path
        notes += bare_note(path, [(one.tier, one.value) for one in others])
        notes += [f"{path}: `{tier}` is not read; if it holds intensities, call it `intensity`." for tier in unread]
        notes += [
            f"{path}: {number} intensities in `{tier}` are of nothing that is coded at the same time, or of several; "
            "left out." for tier, number in lost.items()
        ]  # fmt: skip
    return {place: list(by_time.values()) for place, by_time in graded.items()}


def _parent(
    one: Annotation, found: Sequence[Annotation], in_tier: Mapping[tuple[str, str], Sequence[tuple[float, int]]]
) -> list[int]:
    """The place of the annotation that one of a lower tier lies in: by subdivisions it is of a part of it alone."""
    for tier in one.above:
        starts = in_tier.get((tier, one.stretch.source), [])
        last = bisect_right(starts, (one.stretch.onset_s + _ROUNDING_S, len(found))) - 1
        if last >= 0 and one.stretch.offset_s <= found[starts[last][1]].stretch.offset_s + _ROUNDING_S:
            return [starts[last][1]]
    return []


def _when(one: Annotation) -> tuple[str, float, float]:
    return one.stretch.source, round(one.stretch.onset_s, 3), round(one.stretch.offset_s, 3)


def _belongs(strength: Annotation, coded: Annotation) -> bool:
    """Whether an intensity is of what is coded at its time: by its tier, or what that is called (`Intensity MK`)."""
    if strength.above:
        return coded.above == strength.above
    mine, theirs = strength.stretch, coded.stretch
    whose = words_of((strength_of(strength.tier) or "").lower())
    return (
        set(whose) <= set(words_of(coded.tier.lower()))
        and (mine.subject == theirs.subject or "" in (mine.subject, theirs.subject))
        and (mine.coder == theirs.coder or "" in (mine.coder, theirs.coder))
    )


def _graded(stretch: Stretch, own: Sequence[Said], strength: Annotation) -> Iterator[Event]:
    """The events of AUs with the intensities that stand in another tier, as many as they are."""
    text = without_mark(strength.value)
    if is_unknown(text):
        yield from (stretch.event(au, kind="unknown") for au, _ in own)
        return
    levels = parse_intensities(text)
    yield from of_aus(stretch, [Said(au, level) for (au, _), level in zip(own, levels, strict=True)])


def _aus_of(found: Iterable[Annotation]) -> set[int]:
    return {au for one in found for au, _ in aus_of_name(one.tier) or parse_aus(without_mark(one.value))}
