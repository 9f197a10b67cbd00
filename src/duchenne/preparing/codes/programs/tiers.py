"""What a tier of ELAN or a column of Datavyu is about, by its name and what stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from duchenne.facs import ACTION_UNITS
from duchenne.preparing.codes.programs.notation import parse_aus, without_mark

_UNITS: Final = (
    r"facs|action[\s_-]*units?|unit[ée]s?[\s_-]*d.action|aktionseinheit(en)?|bewegungseinheit(en)?|"
    r"unidad(es)?[\s_-]*de[\s_-]*acci[óo]n"
)
_OF_AUS: Final = re.compile(rf"(?i:{_UNITS})|(?<![A-Z])(AU|UA)(s|code)?(?![A-Za-z])")  # `au` is a word in French
_WHOLE: Final = re.compile(
    rf"({_UNITS}|aus?|uas?|(upper|lower)[\s_-]*face)([\s_.-]*(aus?|facs|nr|no|number|codes?|coding))?\W*", re.IGNORECASE
)
_ELSE: Final = re.compile(
    r"intens|strength|stärke|fuerza|force|score|grad|certain|certe|certi|confi|sicher|auspräg|quality|count|valen|"
    r"visib|presen|präsen|occurr|coded|comment|kommentar|bemerk|remark|note|number[\s_-]*of|"
    r"(?<![a-z])(int|level|stufe|niveau|nivel|ids?|idnum|age|not|without|kein\w*|ohne|sans|sin)(?![a-z])|^no\W|"
    r"(?<![a-z])(trial|block|segment|condition|stimul\w*|phase|session|time|clip|emotion|day|week|date|ordinal)s?\W*$",
    re.IGNORECASE,
)
"""What numbers are of where the name has AUs in it, too; `FACS session 1` is no number of sessions."""
_ASIDE: Final = re.compile(
    r"certain|certe[zs]|certi[dt]|confid|konfid|sicher|qualit|comment|kommentar|bemerk|anmerk|remark|visib|sichtb|codab|"
    r"scorab|(?<![a-z])(notes?|counts?|number|anzahl|duration|dauer|valen[cz]e?)(?![a-z])",
    re.IGNORECASE,
)
_STRENGTH: Final = re.compile(
    rf"((({_UNITS}|aus?)[\s_.-]*)?(intensi[td][^\W\d_]*|strength|stärke)|"
    rf"({_UNITS}|aus?)[\s_.-]*(int|level|grade|stufe|niveau|nivel))(?![^\W_])(?P<whose>.*)",
    re.IGNORECASE,
)
_NOBODY: Final = re.compile(r"\(?\b([a-e]\s*-\s*[a-e]|\d\s*-\s*\d|of|facs|aus?)\b\)?", re.IGNORECASE)
"""What may stand behind `Intensity` and says nothing of whose it is: a scale, `of AU`."""


def is_coding(values: Sequence[str]) -> bool:
    """Whether the annotations of a tier are AUs: at least one is, and is more than bare numbers."""
    return any(parse_aus(text) and not is_bare(text) for text in map(without_mark, values))


def is_bare(text: str) -> bool:
    """Whether a text is nothing but numbers, `12` or `3, 4`, which may count anything; `6+12` is how AUs are joined."""
    return re.fullmatch(r"[\d\s,;/&|.-]+", text) is not None


def speaks_of_aus(name: str) -> bool:
    """Whether a name has AUs in it: `FACS mother`, `AUs present`."""
    return _OF_AUS.search(name) is not None


def numbers_are_aus(name: str) -> bool:
    """Whether bare numbers in a tier or column are AUs by its name: `FACS`, `FACS session 1`, `AU number`."""
    return is_of_facs(name) or (_OF_AUS.search(name) is not None and _ELSE.search(name) is None)


def is_of_facs(name: str) -> bool:
    """Whether a name says nothing but that AUs are coded: `FACS`, `AU`, `action unit`, `upper face`."""
    return _WHOLE.fullmatch(name.strip()) is not None


def is_aside(name: str) -> bool:
    """Whether what stands in a tier or code is about an AU's coding and no intensity: `AU12 certainty`, `comment`."""
    return _ASIDE.search(name) is not None


def aside_note(path: Path, names: Iterable[str]) -> list[str]:
    """A sentence on tiers and codes named so, which are not read."""
    listed = ", ".join(f"`{name}`" for name in sorted(set(names)))
    return [f"{path}: not read as intensities: {listed}."] if listed else []


def strength_of(name: str, *, of_aus: bool = False) -> str | None:
    """Whose intensities a tier holds by its name: MK's of `Intensity MK`, anybody's of `AU intensity`; else None.

    Args:
        name: of the tier.
        of_aus: it depends on a tier of AUs, so that `level` is theirs.
    """
    match = _STRENGTH.fullmatch(name.strip()) or (_STRENGTH.fullmatch(f"AU {name.strip()}") if of_aus else None)
    return _NOBODY.sub(" ", match["whose"]) if match else None


def bare_note(path: Path, numbers: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence on tiers or columns whose numbers are those of AUs and are not taken for them.

    Args:
        path: of the file.
        numbers: tier and value.
    """
    doubtful = {name for name, text in numbers if _are_known(without_mark(text))}
    listed = ", ".join(f"`{name}`" for name in sorted(doubtful))
    return [f"{path}: bare numbers in {listed} are not read as AUs; write AU12 where they are."] if listed else []


def _are_known(text: str) -> bool:
    said = parse_aus(text) if is_bare(text) else []
    return bool(said) and all(au in ACTION_UNITS for au, _ in said)
