"""One coded event, and what the readers of all programs share: how a row becomes events, and who is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from duchenne.data.cells import Row
from duchenne.errors import InputError
from duchenne.preparing.codes.programs.notation import (
    NOT_VISIBLE,
    Said,
    aus_of_name,
    is_absent,
    is_unknown,
    looks_like_code,
    names_au,
    parse_au,
    parse_aus,
    parse_intensity,
    parse_time,
    part_named,
    unseen_part,
    without_mark,
)
from duchenne.preparing.codes.programs.tiers import is_coding

CODED: Final = "coded range"
"""The tier or behaviour that says what was coded at all; in tables of events, which have nothing else, `coded`."""
LONGEST_FRAME_S: Final = 0.04
"""Frames are taken to last no longer than this where they are further apart (`--fps`)."""
_OBSERVER: Final = re.compile(
    r"(observer|coder|rater|annotator|scorer|coded[\s_]by|beobachter(in)?|kodierer(in)?|codierer(in)?|"
    r"observateur|observatrice|codeur|codeuse|annotateur|observador(a)?|codificador(a)?|osservatore|codificatore)"
    r"([\s_-]*(id|name))?",
    re.IGNORECASE,
)
_WHOLE_FACE: Final = (73, 74)
_OCCURRENCE: Final = re.compile(
    r"occurr?en|pr[ée]sen[cz]|präsen|vorhanden|auftreten|apparition|"
    r"(?<![a-z])(occ|pres|present|binary|on[\s_/-]?off|yes[\s_/-]*no|ja[\s_/-]*nein)(?![a-z])",
    re.IGNORECASE,
)
"""Tiers in which 1 says that the AU is there, not how strong it is."""
NO_MODIFIER: Final = ("", "NA", "N/A", "na", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "-", ".")
"""What tables hold where a program has nothing to write, as no intensity or modifier."""
_CODED: Final = re.compile(r"coded[\s_-]ranges?", re.IGNORECASE)
_ROUNDING_S: Final = 1e-6
_FACE: Final = re.compile(r"(?:(.*\S)\s+)?face ?#(\d{1,9})", re.IGNORECASE)
_NOBODY: Final = ("", "no focal subject", "no subject", "not defined", "none")
_SIGHT: Final = re.compile(r"visib|sichtbar|view|sight|codab|scorab|quality", re.IGNORECASE)
"""Tiers that say what can be seen."""
_ELSE: Final = re.compile(
    r"gaze|look|attention|hand|gestur|body|posture|blick|regard|mirada|object|screen|stimul", re.IGNORECASE
)
"""Tiers of which `off camera` says nothing about the face."""
_DOUBT: Final = re.compile(
    r"\b(not|no|non|nicht|kein\w*|nein|without|ohne|sans|pas|sin|geen|niet|never|unsure|maybe|perhaps|vielleicht|"
    r"possibly|peut|quiz[áa]s)\b",
    re.IGNORECASE,
)
_LETTERS: Final = re.compile(r"[A-E]{2,3}|[IV]{2,3}", re.IGNORECASE)
_PRESENT: Final = re.compile(r"[^\W\d_]{2,}(?:[\s,;.!'’-]+[^\W\d_]{2,})*[.!]?|[+x✓✔LRUT]", re.IGNORECASE)


@dataclass(frozen=True)
class Event:
    """One AU from onset to offset.

    Attributes:
        source: the video, as the codes name it.
        au: FACS number; None where `kind` is not about one AU.
        onset_s: start in seconds of the video.
        offset_s: end; equal to the start for a point event, which holds for the nearest frame.
        intensity: 0 to 5, None where not coded.
        face: number of the face; None for the main one.
        coder: name, empty where not given.
        kind: "au"; "unknown" for a stretch in which this AU, or without one all, could not be judged; "coded" for a
            stretch that was coded; "none" for a video in which nothing happens.
        where: file and row, for errors.
        subject: who is coded, as the codes call them; empty where they do not say.
        observation: name of the session of coding, where the program has such; one video may be coded in several.
        others: other names of the same recording (a second camera), each with the seconds that its own time is ahead.
    """

    source: str
    au: int | None
    onset_s: float
    offset_s: float
    intensity: float | None = None
    face: int | None = None
    coder: str = ""
    kind: Literal["au", "unknown", "coded", "none"] = "au"
    where: str = ""
    subject: str = ""
    observation: str = ""
    others: tuple[tuple[str, float], ...] = ()

    def holds(self, times_s: NDArray[np.float64], spacing_s: float) -> NDArray[np.bool_]:
        """At which frames it holds: those whose middle lies in it, and where it is too short for one the nearest.

        A point event holds for the frame whose start is nearest.

        Args:
            times_s: time stamps of the frames, their starts.
            spacing_s: between frames.
        """
        if self.offset_s == self.onset_s:
            apart = times_s - self.onset_s
            return (apart >= -spacing_s / 2) & (apart < spacing_s / 2)
        found = within(times_s, self.onset_s, self.offset_s, spacing_s)
        shown_s = min(spacing_s, LONGEST_FRAME_S)
        if not found.any() and len(times_s) and self.offset_s - self.onset_s < shown_s:
            apart = (self.onset_s + self.offset_s - shown_s) / 2 - times_s
            nearest = int(np.abs(apart).argmin())
            found[nearest] = abs(apart[nearest]) <= shown_s / 2 + _ROUNDING_S
        return found

    def at(self, source: str, ahead_s: float = 0.0) -> Event:
        """The same event of the video `source`, whose time is `ahead_s` seconds ahead."""
        onset_s, offset_s = self.onset_s + ahead_s, self.offset_s + ahead_s
        return replace(self, source=source, onset_s=onset_s, offset_s=offset_s, others=())


def step_of(times_s: NDArray[np.float64]) -> float:
    """Seconds from one frame to the next, the median; of a single frame `LONGEST_FRAME_S`."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else LONGEST_FRAME_S


def within(times_s: NDArray[np.float64], onset_s: float, offset_s: float, spacing_s: float) -> NDArray[np.bool_]:
    """Which frames have their middle between onset and offset: the onset's own frame has, the offset's has not.

    Programs round what they export, so a frame's start alone would often miss by a millisecond.
    """
    middles = times_s + min(spacing_s, LONGEST_FRAME_S) / 2
    return (middles >= onset_s) & (middles < offset_s)


@dataclass(frozen=True)
class Stretch:
    """When and of whom something was coded, before it is known what.

    Attributes:
        row: where it stands.
        onset_s, offset_s: in seconds of the video.
        source, face, coder, subject, observation, others: as in `Event`.
    """

    row: Row
    onset_s: float
    offset_s: float
    source: str
    face: int | None = None
    coder: str = ""
    subject: str = ""
    observation: str = ""
    others: tuple[tuple[str, float], ...] = ()

    def event(
        self, au: int | None, intensity: float | None = None, kind: Literal["au", "unknown", "coded", "none"] = "au"
    ) -> Event:
        """What was coded in it.

        Raises:
            InputError: when a stretch that was coded has no length: everything would be unknown.
        """
        if kind == "coded" and self.offset_s <= self.onset_s:
            raise InputError(
                f"{self.row.path}, row {self.row.number}: what was coded begins and ends at {self.onset_s:g} s; give "
                "its end."
            )
        return Event(
            self.source, au, self.onset_s, self.offset_s, intensity, self.face, self.coder, kind,
            f"{self.row.path}, row {self.row.number}", self.subject, self.observation, self.others,
        )  # fmt: skip


def of_aus(stretch: Stretch, said: Iterable[Said]) -> Iterator[Event]:
    """The events of AUs that were said to be there; FACS's codes for what is not visible make AUs unknown."""
    for au, intensity in said:
        if au in _WHOLE_FACE:
            yield stretch.event(None, kind="unknown")
        elif au in NOT_VISIBLE:
            yield from (stretch.event(number, kind="unknown") for number in NOT_VISIBLE[au])
        else:
            yield stretch.event(au, intensity)


def of_value(stretch: Stretch, name: str, value: str) -> Iterator[Event]:
    """The events of a tier or column that is named after AUs: its value is the intensity, or anything.

    Raises:
        InputError: when the value seems to be an intensity or another AU and cannot be read.
    """
    named, text = aus_of_name(name), without_mark(value)
    of_occurrence = _OCCURRENCE.search(name) is not None
    if is_absent(text) or (of_occurrence and text == "0"):
        yield from of_aus(stretch, [Said(said.au, 0.0) for said in named])
        return
    if of_occurrence and text == "1":
        yield from of_aus(stretch, named)
        return
    intensity = parse_intensity(text)
    if intensity is not None:
        if len(named) > 1:
            raise stretch.row.error(name, f"`{value}` is one intensity of {len(named)} AUs; code each by itself.")
        yield from of_aus(stretch, [Said(named[0].au, intensity)])
        return
    if is_unknown(text):
        yield from (stretch.event(said.au, kind="unknown") for said in named)
        return
    said = parse_aus(text)
    sided = with_side(text) if len(named) == 1 else None
    if said and {one.au for one in said} <= {one.au for one in named}:
        own = {one.au: one.intensity for one in named}
        yield from of_aus(stretch, [one if one.intensity is not None else Said(one.au, own[one.au]) for one in said])
    elif sided is not None:
        yield from of_aus(stretch, [Said(named[0].au, sided)])
    elif says_present(text):
        yield from of_aus(stretch, named)
    else:
        raise stretch.row.error(
            name, f"`{value}` is no intensity; write A to E or 0 to 5, or nothing where the intensity was not coded."
        )


def says_present(text: str) -> bool:
    """Whether what stands in the tier of an AU says no more than that it is there: nothing, or words about it."""
    words = _PRESENT.fullmatch(text) and not (_DOUBT.search(text) or _LETTERS.fullmatch(text) or is_absent(text))
    return not text or bool(words)


def is_doubted(text: str) -> bool:
    """Whether a text says that something is not there, or perhaps: `no AU6`, `AU6?`."""
    return "?" in text or _DOUBT.search(text) is not None


def with_side(text: str) -> float | None:
    """The intensity of `C left`, `left C`, `CL`; None where it is none."""
    said = parse_au(f"AU99 {text}")
    return None if said is None else said.intensity


def of_text(stretch: Stretch, name: str, value: str, *, coding: bool) -> Iterator[Event]:
    """The events of an annotation that stands in a tier of another name, as `12C+6B`.

    Args:
        stretch: when.
        name: of the tier.
        value: what was written.
        coding: whether the annotations of this tier are AUs, see `is_coding` and `numbers_are_aus`.

    Raises:
        InputError: when it names an AU and cannot be read.
    """
    text = without_mark(value)
    if is_coded_range(name):
        yield from of_coded_range(stretch, name, text)
        return
    said = parse_aus(text) if coding else []
    part, tier = unseen_part(text), unseen_part(name)
    of_text_itself, of_tier = part_named(text), None if _ELSE.search(name) else part_named(name)
    about = of_text_itself or of_tier or coding or (_SIGHT.search(name) and not _ELSE.search(name))
    if said:
        yield from of_aus(stretch, said)
    elif part is not None and about:
        yield from of_aus(stretch, [Said(of_text_itself or of_tier or part, None)])
    elif tier is not None:
        yield from of_aus(stretch, [Said(tier, None)] if parse_intensity(text) != 0 else [])
    elif is_unknown(text) and coding:
        yield stretch.event(None, kind="unknown")
    elif (names_au(text) and (coding or re.search(r"AU[\s_.-]*\d", text, re.IGNORECASE))) or (
        coding and looks_like_code(text)
    ):
        raise stretch.row.error(name, f"`{value}` names an AU and cannot be read; write it as 12C or AU12C+AU6B.")


def is_coded_range(name: str) -> bool:
    """Whether a tier or behaviour says what was coded at all."""
    return _CODED.fullmatch(name.partition("@")[0].strip()) is not None


def of_coded_range(stretch: Stretch, name: str, text: str) -> Iterator[Event]:
    """The event of a tier or behaviour that says what was coded, whatever stands in it.

    Raises:
        InputError: when AUs do.
    """
    if is_coding([text]):
        raise stretch.row.error(name, f"`{text}` names an AU, and these are the ranges that were coded; code it apart.")
    yield stretch.event(None, kind="coded")


def observer_of(values: Mapping[str, str]) -> str:
    """Who coded, by a column or variable that is called so; empty where there is none."""
    return next((value for name, value in values.items() if value and _OBSERVER.fullmatch(name.strip())), "")


def subject_word(subject: str, face: int | None) -> str:
    """Who is coded, for programs that have no numbers of faces: `face#1`, `mother face#1`; `as_face` reads it again."""
    return " ".join(part for part in (subject, "" if face is None else f"face#{face}") if part)


def as_face(event: Event) -> Event:
    """With the number of the face that stands behind its subject."""
    said = _FACE.fullmatch(event.subject) if event.face is None else None
    return replace(event, subject=said[1] or "", face=int(said[2])) if said else event


def subject_of(name: str) -> str:
    """The subject's name; empty for the words that programs write where nobody was chosen."""
    return "" if name.strip().lower() in _NOBODY else name.strip()


def time_of(row: Row, column: str, low: float = 0.0) -> float:
    """A time in seconds, which must be there.

    Raises:
        InputError: when it is none, or before `low`.
    """
    value = parse_time(row.get(column))
    if value is None:
        what = f"`{row.get(column)}` is not a time" if row.get(column) else "is empty"
        raise row.error(column, f"{what}; write seconds, as 12.48.")
    if value < low:
        raise row.error(column, f"{row.get(column)} lies before the recording; times count from its start.")
    return value


def in_order(row: Row, column: str, onset: float, offset: float) -> float:
    """The offset.

    Raises:
        InputError: when it lies before the onset.
    """
    if offset < onset:
        raise row.error(column, f"the offset {offset:g} s lies before the onset {onset:g} s; correct it.")
    return offset
