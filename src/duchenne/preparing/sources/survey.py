"""What was found of a data set, in numbers and words, beside what was published of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple


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
