"""What a tier of ELAN or a column of Datavyu is about, by its name and what stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from duchenne.facs import ACTION_UNITS
from duchenne.preparing.codes.programs.notation import parse_aus, without_mark

_OF_FACS: Final = re.compile(
    r"facs|(?<![a-z])(au|ua)s?(?![a-z])|action[\s_-]*units?|(upper|lower)[\s_-]*face", re.IGNORECASE
)
"""Tiers in which bare numbers are AUs, but for those whose names have something of the following."""
_OF_NUMBERS: Final = re.compile(
    r"intens|strength|stärke|count|certain|confiden|sicher|quality|comment|note|"
    r"(?<![a-z])(int|level|grade|stufe|niveau|nivel|n|ids?|idnum|age|date|day|trial|block|ordinal)(?![a-z])",
    re.IGNORECASE,
)
_STRENGTH: Final = re.compile(
    r"((facs|aus?|action[\s_-]*units?)[\s_.-]*)?(intensit\w*|int|strength|stärke|level|grade|stufe|niveau|nivel)"
    r"([\s_.@-]+\w{1,12})?",
    re.IGNORECASE,
)
"""Tiers of the intensities of others: `Intensity`, `AU intensity`, `Intensity_MK`; not `pain intensity`."""


def is_coding(values: Sequence[str]) -> bool:
    """Whether the annotations of a tier are AUs: at least one is, and is more than bare numbers."""
    return any(parse_aus(text) and not is_bare(text) for text in map(without_mark, values))


def is_bare(text: str) -> bool:
    """Whether a text is nothing but numbers, `12` or `3, 4`, which may count anything; `6+12` is how AUs are joined."""
    return re.fullmatch(r"[\d\s,;/&|.-]+", text) is not None


def numbers_are_aus(name: str) -> bool:
    """Whether bare numbers in a tier or column are AUs by its name: `FACS`, `AU number`, `upper face`."""
    return _OF_FACS.search(name) is not None and _OF_NUMBERS.search(name) is None


def is_of_strength(name: str) -> bool:
    """Whether a tier holds the intensities of what another one codes, by its name."""
    return _STRENGTH.fullmatch(name.strip()) is not None


def bare_note(path: Path, numbers: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence on tiers or columns whose numbers are those of AUs and are not taken for them.

    Args:
        path: of the file.
        numbers: tier and value.
    """
    doubtful = {name for name, text in numbers if is_bare(text) and _are_known(text)}
    listed = ", ".join(f"`{name}`" for name in sorted(doubtful))
    return [f"{path}: bare numbers in {listed} are not read as AUs; write AU12 where they are."] if listed else []


def _are_known(text: str) -> bool:
    said = parse_aus(without_mark(text))
    return bool(said) and all(au in ACTION_UNITS for au, _ in said)
