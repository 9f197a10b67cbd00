"""ELAN's annotation documents (.eaf).

Read with the standard library: pympi-ling 1.71 (MIT) ends in KeyError, IndexError or a bare Exception on files that
ELAN itself opens (no schema location, an annotation without a value), and gives neither the time of a dependent
annotation in a subdivision nor a place for a message.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from duchenne.data.cells import Row
from duchenne.errors import InputError
from duchenne.files import read_bytes
from duchenne.preparing.codes.programs.annotations import Annotation, events_of
from duchenne.preparing.codes.programs.elan import name_of, shifted
from duchenne.preparing.codes.programs.events import Event, Stretch, in_order, subject_of

_UNITS: Final = {"milliseconds": 1e-3, "pal-frames": 0.04, "ntsc-frames": 1001 / 30000}
_LARGEST: Final = 1 << 28


def read_eaf(path: Path, notes: list[str]) -> list[Event]:
    """An annotation document (.eaf).

    Raises:
        InputError: when it cannot be read or is none.
    """
    data = read_bytes(path, _LARGEST)
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is none
        raise InputError(f"{path}: is not an ELAN annotation document ({error}); save it again.") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path}: is not an ELAN annotation document; name another file.")
    header = root.find("HEADER")
    unit = _UNITS.get((header.get("TIME_UNITS", "") if header is not None else "").lower(), 1e-3)
    names = [] if header is None else [_media_of_descriptor(one) for one in header.findall("MEDIA_DESCRIPTOR")]
    media = (*(name for name in names if name[0]), (path.stem, names[0][1] if names else 0.0))
    document = _Document(path, root, unit)
    tiers = {tier.get("TIER_ID", ""): tier for tier in root.iter("TIER")}
    found = []
    for name, tier in tiers.items():
        parent = name
        above: list[str] = []
        while parent in tiers and parent not in above:
            above.append(parent)
            parent = tiers[parent].get("PARENT_REF") or ""
        subject, coder = (
            next((tiers[one].get(what, "").strip() for one in above if tiers[one].get(what, "").strip()), "")
            for what in ("PARTICIPANT", "ANNOTATOR")
        )
        for number, value, onset, offset in document.annotations(name, tier):
            stretch = shifted(
                Stretch(Row(path, number, {}), onset, offset, "", coder=coder, subject=subject_of(subject)), media
            )
            found.append(Annotation(name, value, stretch, tuple(above[1:])))
    return list(events_of(found, notes))


def _media_of_descriptor(element: ElementTree.Element) -> tuple[str, float]:
    """Name and seconds ahead; no name for sound alone."""
    url = element.get("MEDIA_URL") or element.get("RELATIVE_MEDIA_URL") or ""
    try:
        ahead = float(element.get("TIME_ORIGIN") or 0) / 1000
    except ValueError:
        ahead = 0.0
    return ("" if element.get("MIME_TYPE", "").startswith("audio") else name_of(url)), ahead


class _Document:
    """Finds when an annotation is, also where ELAN does not store it: in subdivisions, and of those that depend."""

    def __init__(self, path: Path, root: ElementTree.Element, unit: float) -> None:
        self._path, self._unit = path, unit
        self._slots: dict[str, float | None] = {}
        for slot in root.iter("TIME_SLOT"):
            value = slot.get("TIME_VALUE")
            self._slots[slot.get("TIME_SLOT_ID", "")] = None if value is None else self._number(value)
        self._spans: dict[str, tuple[float, float]] = {}
        self._parents: dict[str, str] = {}
        self._group: dict[str, list[str]] = {}
        for tier in root.iter("TIER"):
            self._place(tier)
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for tier in root.iter("TIER"):
            for one in tier.iter("REF_ANNOTATION"):
                mine, parent = one.get("ANNOTATION_ID", ""), one.get("ANNOTATION_REF", "")
                group, before = groups[tier.get("TIER_ID", ""), parent], one.get("PREVIOUS_ANNOTATION")
                group.insert(group.index(before) + 1 if before in group else len(group), mine)
                self._parents[mine], self._group[mine] = parent, group

    def annotations(self, name: str, tier: ElementTree.Element) -> Iterator[tuple[int, str, float, float]]:
        """(number within the tier, value, onset, offset) of a tier's annotations."""
        for number, one in enumerate(tier.findall("ANNOTATION/*"), start=1):
            onset, offset = self._span(one.get("ANNOTATION_ID", ""), name)
            row = Row(self._path, number, {})
            yield number, (one.findtext("ANNOTATION_VALUE") or "").strip(), onset, in_order(row, name, onset, offset)

    def _span(self, annotation: str, tier: str) -> tuple[float, float]:
        climbed: list[str] = []
        seen: set[str] = set()
        at = annotation
        while at not in self._spans:
            if at not in self._parents or at in seen:
                raise InputError(f"{self._path}, tier {tier}: annotation `{at}` has no time; save it again in ELAN.")
            climbed.append(at)
            seen.add(at)
            at = self._parents[at]
        onset, offset = self._spans[at]
        for mine in reversed(climbed):
            group = self._group[mine]
            part, place = (offset - onset) / len(group), group.index(mine)
            onset, offset = onset + place * part, onset + (place + 1) * part
            self._spans[mine] = onset, offset
        return onset, offset

    def _place(self, tier: ElementTree.Element) -> None:
        """Annotations with time slots; slots without a time lie evenly between those that have one."""
        chain: list[ElementTree.Element] = []
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            if chain and chain[-1].get("TIME_SLOT_REF2") != one.get("TIME_SLOT_REF1"):
                self._set(chain)
                chain = []
            chain.append(one)
            if self._slots.get(one.get("TIME_SLOT_REF2", "")) is not None:
                self._set(chain)
                chain = []
        self._set(chain)

    def _set(self, chain: Sequence[ElementTree.Element]) -> None:
        if not chain:
            return
        onset = self._slots.get(chain[0].get("TIME_SLOT_REF1", ""))
        offset = self._slots.get(chain[-1].get("TIME_SLOT_REF2", ""))
        if onset is None or offset is None:
            return  # `_span` tells, where it is asked for
        part = (offset - onset) / len(chain)
        for place, one in enumerate(chain):
            self._spans[one.get("ANNOTATION_ID", "")] = onset + place * part, onset + (place + 1) * part

    def _number(self, text: str) -> float:
        try:
            value = float(text) * self._unit
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self._path}: `{text}` is not a time; save it again in ELAN.")
        return value
