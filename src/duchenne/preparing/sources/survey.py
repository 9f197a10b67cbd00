"""What was found of a data set, in numbers and words, beside what was published of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from duchenne.facs import au_column, intensity_column


class Fact(NamedTuple):
    """Something counted, beside what was published of it (None: nothing)."""

    what: str
    found: float
    published: float | None = None


@dataclass
class Survey:
    """What was found of a data set, and what is missing; printed by `prepare --check`.

    Attributes:
        facts: counts, in the order in which they are shown.
        missing: a sentence each.
        notes: other things to know, a sentence each.
    """

    facts: list[Fact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, what: str, found: float, published: float | None = None) -> None:
        """Adds a count."""
        self.facts.append(Fact(what, found, published))

    def lacks(self, what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
        """Names what is wanted and not found."""
        absent = sorted(set(wanted) - set(found))
        if absent:
            self.missing.append(f"{what}: {listed(absent)}")

    def uncoded(self, labels: Mapping[tuple[str, str], Mapping[int, Mapping[str, Any]]], aus: Sequence[int]) -> None:
        """Names action units without codes in labelled frames, as where the file of one is missing or cut off.

        Args:
            labels: subject and clip -> frame number -> columns.
            aus: that should be coded.
        """
        columns = {au: (au_column(au), intensity_column(au)) for au in aus}
        clips: dict[str, list[str]] = defaultdict(list)
        for clip, rows in labels.items():
            lacking = Counter(
                au
                for row in rows.values()
                for au, (one, other) in columns.items()
                if one not in row and other not in row
            )
            words = ", ".join(
                f"AU{au}" if number == len(rows) else f"AU{au} ({number:,} of {len(rows):,} frames)"
                for au, number in sorted(lacking.items())
            )
            if words:
                clips[words].append(" ".join(dict.fromkeys(clip)))
        self.missing += [f"codes of {listed(names)}: {words}" for words, names in clips.items()]

    def unlabelled(self, number: int) -> None:
        """Notes pictures that are left out for want of a label, if there are any."""
        if number:
            self.notes.append(f"{number:,} pictures have no label: left out.")

    def lines(self) -> list[str]:
        """The report, line by line."""
        width = max((len(fact.what) for fact in self.facts), default=0)
        lines = []
        for what, found, published in self.facts:
            digits = ",.1f" if what.endswith("%") else ",.0f"
            beside = ""
            if published is not None:
                same = format(found, digits) == format(published, digits)
                beside = "  as published" if same else f"  ({format(published, digits)} published)"
            lines.append(f"  {what:<{width}}  {format(found, digits):>11}{beside}")
        lines += ["missing:", *(f"  {line}" for line in self.missing)] if self.missing else ["nothing is missing"]
        return lines + [f"note: {line}" for line in self.notes]


def without_column(others: Mapping[int, int]) -> str:
    """A sentence on action units that are coded and not known here."""
    return f"AUs that have no column: {', '.join(f'AU{au} ({number})' for au, number in sorted(others.items()))}."


def listed(words: Sequence[str], most: int = 8) -> str:
    """A, B, C ... and how many more."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(islice(words, most)) + more
