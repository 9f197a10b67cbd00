"""How coders write action units, intensities and times, in whatever program.

An AU is written `12`, `AU12`, `AU12C`, `L12C`, `AU 12 (C)`: side and intensity are optional, several are joined by `+`,
commas, `and`. Sides are merged, the stronger counts. What names an AU and cannot be read is an error, never silence.
Source: Ekman, Friesen & Hager, Facial Action Coding System, 2002 (letters, words of intensity, codes 70 to 74).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from duchenne.data.cells import LETTERS, NOT_CODED
from duchenne.facs import ACTION_UNITS

WORDS: Final = {
    "trace": 1.0, "slight": 2.0, "marked": 3.0, "pronounced": 3.0, "severe": 4.0, "extreme": 4.0, "maximum": 5.0,
    "max": 5.0, "absent": 0.0, "none": 0.0, "no": 0.0,
}  # fmt: skip
"""FACS's words for intensities, and those for absence."""
_ABSENT: Final = frozenset(
    ("off", "false", "inactive", "neutral", "relaxed", "zero", "nil", "nothing", "aus", "gone", "ausente", "assente",
     "absente", "aucun", "aucune", "ningun", "ninguno", "ninguna", "ningún", "nenhum", "nenhuma", "nessuno", "nessuna",
     "nada", "nichts", "fehlt", "fehlend", "abwesend", "inaktiv", "afwezig", "geen")
)  # fmt: skip
"""Other words that say in the tier of an AU that it is not there."""
NOT_VISIBLE: Final = {
    70: (1, 2, 4),
    71: (5, 6, 7, 45),
    72: (9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26),
    73: tuple(ACTION_UNITS),
    74: tuple(ACTION_UNITS),
}
"""FACS codes for brows, eyes, lower face, whole face not visible, and for unscorable -> the AUs unknown then."""
_UNKNOWN_WORDS: Final = re.compile(
    r"(not[\s_-]*|un)(coded|scored|known|sure|clear|certain|decided)|missing|obscured|blurr(ed|y)|"
    r"unklar|unsicher|unbekannt|unscharf|\?+",
    re.IGNORECASE,
)
_PARTS: Final = {
    70: r"(?:eye)?brows?|forehead|upper[\s_-]*face|(?:augen)?brauen?|stirn|sourcils?|cejas?",
    71: r"eyes?|augen?|yeux|ojos?",
    72: r"lower[\s_-]*face|mouth|lips?|chin|mund|lippen?|kinn|bouche|boca",
    73: r"(?:whole|entire|full)?[\s_-]*(?:face|head)|gesicht|kopf|visage|cara|faccia|gezicht",
}
"""FACS codes for what is not visible -> words for the part of the face."""
_UNSEEN: Final = (
    r"(?:not|nicht|non?|niet|pas|n[ãa]o)[\s_-]*(?:visible|seen|in[\s_-]*(?:view|frame)|codable|scorable|sichtbar|"
    r"[ck]odierbar|erkennbar|bewertbar|codificable|visibile|vis[íi]vel|zichtbaar)|invisible|unsichtbar|"
    r"un(?:scorable|codable)|occluded|covered|hidden|(?:nicht[\s_-]*im|kein)[\s_-]*bild|verdeckt|cach[ée]|oculto|"
    r"out[\s_-]*of[\s_-]*(?:view|sight|frame|shot)|off[\s_-]*(?:camera|screen)"
)
_PART: Final = "|".join(rf"(?P<p{code}>{words})" for code, words in _PARTS.items())
_UNSEEN_PART: Final = re.compile(
    rf"(?:(?:the|das)\s+)?(?:(?:{_PART})[\s_:,-]*)?(?:(?:is|are|ist|sind)\s+)?(?:{_UNSEEN})|(?:no|kein)[\s_-]*(?:face|gesicht)",
    re.IGNORECASE,
)
_UNSEEN_REST: Final = re.compile(rf"(?:{_UNSEEN})[\s_:,-]*(?:{_PART})", re.IGNORECASE)
_WORD: Final = "|".join(WORDS)
_AU: Final = re.compile(
    rf"""
    (?:(?:L|R|B|U|T|left|right|bilateral|unilateral)[\s_-]*)?       # side, or upper and lower lip
    (?P<prefix>(?:AUs?|UA|action[\s_]unit|AD|M(?=[56]\d))[\s_.-]*)?  # AD19, M57: FACS's other descriptors
    0?(?P<au>\d{{1,2}})
    (?:[\s_-]*(?:L|R|left|right|bilateral|unilateral))?
    (?:(?:[\s_:=-]|intensity|int\.)*\(?(?P<letter>[A-E])\)?
      |[\s_:=-]+\(?(?P<word>{_WORD})\)?
      |\s*[:=_]\s*(?P<number>[0-5](?:[.,]\d+)?)
      |\s*\((?P<inside>[0-5](?:[.,]\d+)?)\))?
    (?:[\s_-]*\(?(?:L|R|B|left|right|bilateral|unilateral)\)?)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BETWEEN: Final = re.compile(r"\s*(?:[+,;/&|]|\b(?:and|und|et|y|e|en|og|och|with)\b)\s*", re.IGNORECASE)
_PREFIX: Final = r"(?<![A-Za-z])(?:(?:AUs?|UAs?|(?i:action[\s_]units?))[\s_.-]*|(?i:aus?|uas?)[_.-]?)"
"""Before the number of an AU; `au 1er plan` is French."""
_NAMES: Final = re.compile(rf"{_PREFIX}0*(\d{{1,2}})(?!\d)")
_NAMED: Final = re.compile(rf"{_PREFIX}\d")
_NUMBERED: Final = re.compile(r"\d[\s_:=(-]+\d")
_CODE: Final = re.compile(r"(?<![\w.:])[LRBUT]?0?\d{1,2}[A-E](?!\w)")
_MARK: Final = re.compile(r"\s*\[(?:[A-Za-z]{1,8}[\w-]*\d[\w-]*)\]$")
_CLOCK: Final = re.compile(r"([+-])?(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")


class Said(NamedTuple):
    """One AU as a coder wrote it: its FACS number, and the intensity 0 to 5 or None."""

    au: int
    intensity: float | None


def parse_au(text: str) -> Said | None:
    """One AU: `12`, `AU12`, `AU12C`, `L12C`, `AU12 (C)`, `12C left`; None where it is none."""
    match = _AU.fullmatch(text.strip())
    if match is None:
        return None
    strength = match["letter"] or match["word"] or match["number"] or match["inside"]
    if (match["number"] or match["inside"]) and not match["prefix"]:
        return None  # 1_2 or 4:3 is no AU
    return Said(int(match["au"]), None if strength is None else parse_intensity(strength))


def parse_aus(text: str) -> list[Said]:
    """Several AUs: `6B+L12A`, `12C and 6B`, `AU1+2`; empty where any part is none."""
    spaced = [part for part in _BETWEEN.split(text.strip()) if part]
    parts: list[str] = []
    for part in spaced:
        parts += [part] if parse_au(part) else part.split()
    found = [parse_au(part) for part in parts]
    return [said for said in found if said is not None] if all(found) else []


def parse_intensity(text: str) -> float | None:
    """Intensity of `C`, `c`, `3`, `2,5`, `marked`, `C - marked`, `(C)`; None where it is none."""
    cleaned = text.strip().strip("()[]").strip()
    if cleaned.upper() in LETTERS:
        return LETTERS[cleaned.upper()]
    if cleaned.lower() in WORDS:
        return WORDS[cleaned.lower()]
    if re.fullmatch(r"[0-5]([.,]\d+)?", cleaned):
        value = float(cleaned.replace(",", "."))
        return value if value <= 5 else None
    parts = [part for part in re.split(r"[\s=:()-]+", cleaned) if part]
    values = {parse_intensity(part) for part in parts} if len(parts) > 1 else {None}
    return values.pop() if len(values) == 1 else None


def parse_intensities(text: str) -> list[float]:
    """Intensities of several AUs one after another, `B+C` or `C`; empty where any part is none."""
    whole = parse_intensity(text)
    if whole is not None:
        return [whole]
    found = [parse_intensity(part) for part in _BETWEEN.split(text.strip())]
    return [value for value in found if value is not None] if None not in found else []


def is_absent(text: str) -> bool:
    """Whether a word in the tier of an AU says that it is not there: `off`, `neutral`, `fehlt`."""
    return text.strip().lower() in _ABSENT


def is_unknown(text: str) -> bool:
    """Whether a coder wrote that this could not be coded: `NA`, `9`, `-1`, `not visible`, `?` ..."""
    plain = text.strip()
    return plain in NOT_CODED - {""} or _UNKNOWN_WORDS.fullmatch(plain) is not None or unseen_part(plain) is not None


def unseen_part(text: str) -> int | None:
    """The FACS code 70 to 73 of what a text says is not visible: `not visible` (73), `mouth occluded` (72); or None."""
    match = _UNSEEN_PART.fullmatch(text.strip()) or _UNSEEN_REST.fullmatch(text.strip())
    return None if match is None else next((code for code in _PARTS if match[f"p{code}"]), 73)


def part_named(text: str) -> int | None:
    """The FACS code 70 to 73 for the part of the face that a text names, None where it names none."""
    words = (rf"(?<![^\W_])(?:{words})(?![^\W_])" for words in _PARTS.values())
    return next((code for code, word in zip(_PARTS, words) if re.search(word, text, re.IGNORECASE)), None)


def looks_like_code(text: str) -> bool:
    """Whether a text that is no AU seems to be meant as one: `12?`, `12Cc`, `M12C`; not a sentence with a number."""
    return re.search(r"\d", text) is not None and re.search(r"[^\W\d_]{4}", text) is None


def aus_of_name(name: str) -> list[Said]:
    """The AUs that a tier, behaviour or column is named after: `AU12 Smile`, `AU12@MK`, `L12`, `AU6+12`; else none."""
    plain = without_mark(name)
    said = parse_aus(plain)
    if said and not _NUMBERED.search(plain):
        return said
    named = list(dict.fromkeys(int(number) for number in _NAMES.findall(plain)))
    if len(named) == 1:
        return [parse_au(plain.split("@")[0]) or Said(named[0], None)]
    known = re.match(r"0?(\d{1,2})[\s_.:-]+(\D+)$", plain)
    if known and int(known[1]) in ACTION_UNITS and _same_words(known[2], ACTION_UNITS[int(known[1])].name):
        return [Said(int(known[1]), None)]
    return [Said(number, None) for number in named]


def is_prefixed(text: str) -> bool:
    """Whether a text has `AU` before a number in it."""
    return _NAMED.search(text) is not None


def names_au(text: str) -> bool:
    """Whether a text speaks of an AU beyond doubt, readable or not: it has `AU12` or `12C` in it."""
    return is_prefixed(text) or _CODE.search(text) is not None


def without_mark(text: str) -> str:
    """The text without the annotation's own name that ELAN writes behind it: `C [a1]`."""
    return _MARK.sub("", text.strip()) if not _MARK.fullmatch(text.strip()) else text.strip()


def words_of(name: str) -> list[str]:
    """The words of a tier's name, whatever stands between them."""
    return [word for word in re.split(r"[\s_.:;,()/@-]+", name) if word]


def who_of_codings(said: Mapping[str, Collection[Hashable]]) -> dict[str, str]:
    """Tier that is not named after an AU -> whose it is, where two tiers say the same: `FACS mother`, `FACS infant`.

    Tiers that differ by side or part of the face alone are nobody's.

    Args:
        said: tier -> what its annotations are about: AUs, with whatever tells them apart already.
    """
    found = {}
    for name, mine in said.items():
        if any(set(mine) & set(theirs) for other, theirs in said.items() if other != name):
            found[name] = " ".join(word for word in words_of(name) if word.lower() not in _NEUTRAL | _OF_TIERS)
    return {name: who or name for name, who in found.items()} if len(set(found.values())) > 1 else {}


def who_of_names(names: Sequence[str]) -> dict[str, str]:
    """Name of a tier -> whose it is: what stands behind `@`, or what tells two tiers of one AU apart (`AU12_R1`).

    A tier of which nothing says so is nobody's: the empty text.
    """
    who = {name: name.partition("@")[2].strip() if "@" in name else "" for name in names}
    tails: dict[tuple[int, ...], dict[str, str]] = {}
    for name in names:
        aus = tuple(said.au for said in aus_of_name(name))
        if aus and not who[name]:
            tails.setdefault(aus, {})[name] = _tail(name)
    for found in tails.values():
        tails_of_au = set(found.values()) - {""}
        if len(tails_of_au) > 1 or (len(found) > 1 and any(_TAG.fullmatch(tail) for tail in tails_of_au)):
            who |= found
    return who


def parse_time(text: str) -> float | None:
    """Seconds of `12.345`, `12,345`, `0:12.345`, `-00:00:12.345`; None where it is no time."""
    match = _CLOCK.fullmatch(text.strip())
    if match:
        value = int(match[2] or 0) * 3600 + int(match[3]) * 60 + float(match[4].replace(",", "."))
        return -value if match[1] == "-" else value
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_TAG: Final = re.compile(
    r"[A-Z]{2,3}|\d|(?i:(?:r|c|k|coder|rater|annotator|observer|rel|reliability|second|2nd)[\s_-]*\d*)"
)
"""What people add to the tiers of a second coder."""
_OF_TIERS: Final = frozenset(
    ("facs", "code", "codes", "coding", "aus", "face", "facial", "tier", "upper", "lower", "brow", "brows", "eyes",
     "mouth")
)  # fmt: skip
_NEUTRAL: Final = frozenset(
    ("l", "r", "b", "left", "right", "bilateral", "both", "unilateral", "intensity", "int", "strength", "level",
     "links", "rechts", "gauche", "droite", "izquierda", "derecha",
     "intensität", "intensité", "intensidad", "occurrence", "onset", "apex", "offset", "action", "unit", "au")
)  # fmt: skip


def _tail(name: str) -> str:
    """What is left of a tier's name without the AU, sides, and words that are part of FACS's names."""
    au = aus_of_name(name)[0].au
    if parse_au(name) and not _NUMBERED.search(name):
        return ""
    words = re.split(r"[\s_.:;,()/-]+", _NAMES.sub(" ", name))
    known = _NEUTRAL | set(ACTION_UNITS[au].name.split() if au in ACTION_UNITS else ())
    return " ".join(word for word in words if word and word.lower() not in known)


def _same_words(text: str, other: str) -> bool:
    return set(re.findall(r"[a-z]+", text.lower())) == set(re.findall(r"[a-z]+", other.lower()))
