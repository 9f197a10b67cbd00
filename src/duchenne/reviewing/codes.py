"""The codes of the page: rows of an ordinary codes.csv, of which each coder's are changed recording by recording."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Any, Final

from duchenne.data.cells import LETTERS, Row, read_lines
from duchenne.errors import InputError, UsageError
from duchenne.files import replacing, write_text
from duchenne.plain import as_cell, as_written
from duchenne.preparing.codes.exports import is_events, read_events
from duchenne.preparing.codes.names import Sources
from duchenne.preparing.codes.programs.events import in_order, time_of
from duchenne.preparing.codes.programs.notation import parse_aus, parse_intensity
from duchenne.reviewing.library import WORK_FOLDER

COLUMNS: Final = (
    "source", "au", "onset_s", "offset_s", "intensity", "side", "certainty", "face", "coder", "comment",
)  # fmt: skip
KINDS: Final = ("au", "coded", "unknown", "none")
SIDES: Final = ("", "L", "R", "B")
CERTAINTIES: Final = ("", "certain", "uncertain")
UNFINISHED: Final = "offset not set"
"""Comment of a code whose offset was still to come when it was stored."""
BEFORE: Final = "_before_review"
"""Ending of the copy of codes that someone else wrote, before the page first changes them."""
_LETTER_OF: Final = {value: letter for letter, value in LETTERS.items()}
_LAST_AU: Final = 99
_MOST_EVENTS: Final = 100_000
_LONGEST_TEXT: Final = 500


class Conflict(UsageError):
    """Codes that were changed elsewhere in the meantime."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """One row of the codes.

    Attributes:
        kind: `au`; `coded` for a stretch that was coded, `unknown` for one that could not be, `none` for a recording in
            which nothing happens.
        au: FACS number; None unless `kind` is `au`, or `unknown` of one action unit.
        onset_s, offset_s: seconds; the frame at the offset is the first without it.
        intensity: A to E, or a number as text; empty where not coded.
        side: L, R, B or empty. certainty: `certain`, `uncertain` or empty.
        face: number; None for the main one.
        comment: free text.
    """

    kind: str
    au: int | None = None
    onset_s: float = 0.0
    offset_s: float = 0.0
    intensity: str = ""
    side: str = ""
    certainty: str = ""
    face: int | None = None
    comment: str = ""


@dataclass(frozen=True)
class Entry:
    """A row of the file: whose code of which recording, and the cells of columns that the page does not know."""

    source: str
    coder: str
    code: Code
    others: Mapping[str, str] = field(default_factory=dict)


def read_entries(path: Path, sources: Sequence[str]) -> list[Entry]:
    """Reads codes with all that they hold.

    Args:
        path: of the file; where there is none, there are no codes.
        sources: of the recordings; rows that mean one of them get its name, others keep theirs.

    Raises:
        InputError: when it is no table of events, or a row cannot be understood.
    """
    if not path.exists():
        return []
    (_, header), *lines = read_lines(path)
    names = {name.lower() for name in header}
    if not ({"au", "onset_s", "offset_s"} <= names and is_events(path)):
        raise InputError(
            f"{path}: holds no events (source, au, onset_s, offset_s), so codes cannot be added; name another file "
            "with --codes and import this one."
        )
    if not lines:
        return []
    read_events(path)  # says what cannot be understood, with its row
    index, known = Sources(sources), {*COLUMNS, "path"}
    found = []
    for number, cells in lines:
        row = Row(path, number, {name.lower(): as_written(cell) for name, cell in zip(header, cells) if name})
        name = row.get("source") or row.get("path") or path.stem
        others = {key: value for key, value in row.values.items() if key not in known and value}
        found += [Entry(index.find(name) or name, row.get("coder"), code, others) for code in _codes_of(row)]
    return found


def _codes_of(row: Row) -> list[Code]:
    word = row.get("au").lower()
    shared: dict[str, Any] = {
        "face": row.whole_number_of("face"), "comment": row.get("comment"), "side": _side(row.get("side")),
        "certainty": row.get("certainty"),
    }  # fmt: skip
    if word == "none":
        return [Code(kind="none", **shared)]
    onset_s = time_of(row, "onset_s")
    shared |= {"onset_s": onset_s, "offset_s": in_order(row, "au", onset_s, time_of(row, "offset_s"))}
    if word in ("coded", "unknown"):
        return [Code(kind=word, **shared)]
    if row.get("intensity") and parse_intensity(row.get("intensity")) is None:  # `NA`, `?`: there, how much is open
        shared["comment"] = shared["comment"] or f"intensity {row.get('intensity')}"
    found = []
    for said in parse_aus(row.get("au")):
        strength = said.intensity if said.intensity is not None else parse_intensity(row.get("intensity"))
        side = shared["side"] or _side(row.get("au")[:1] if not row.get("au").upper().startswith("B") else "")
        found.append(Code(kind="au", au=said.au, intensity=letter(strength), **{**shared, "side": side}))
    return found


def letter(strength: float | None) -> str:
    """The intensity as FACS writes it; numbers in between as they are, empty for None."""
    if strength is None:
        return ""
    return _LETTER_OF.get(strength, f"{strength:g}")


def _side(text: str) -> str:
    first = text.strip()[:1].upper()
    return first if first in SIDES else ""


def code_of(values: object) -> Code:
    """A code as the page sends it.

    Raises:
        UsageError: naming what is wrong with it.
    """
    if not isinstance(values, dict) or values.keys() - asdict(Code(kind="au")).keys() - {"id"}:
        raise UsageError("a code has other keys than the page knows; reload it.")
    given = {key: value for key, value in values.items() if key != "id"}
    kind, au = given.get("kind"), given.get("au")
    is_au = isinstance(au, int) and not isinstance(au, bool) and 1 <= au <= _LAST_AU
    if kind not in KINDS or (kind == "au") != is_au or (kind != "au" and au is not None):
        raise UsageError(f"`{kind}` of the action unit `{au}` is no code.")
    times = [given.get("onset_s", 0.0), given.get("offset_s", 0.0)]
    if any(isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t) or t < 0 for t in times):
        raise UsageError("a time is no number of seconds from 0 on.")
    if times[1] < times[0]:
        raise UsageError(f"the offset {times[1]:g} s lies before the onset {times[0]:g} s.")
    texts = {name: plain_text(given.get(name, "")) for name in ("intensity", "side", "certainty", "comment")}
    if texts["intensity"] and parse_intensity(texts["intensity"]) is None:
        raise UsageError(f"`{texts['intensity']}` is no intensity; it is A to E or 0 to 5.")
    if texts["side"] not in SIDES or texts["certainty"] not in CERTAINTIES:
        raise UsageError("the side is L, R or B, the certainty certain or uncertain, or empty.")
    face = given.get("face")
    if face is not None and (isinstance(face, bool) or not isinstance(face, int) or face < 0):
        raise UsageError("the face is no number from 0 on.")
    onset_s, offset_s = (0.0, 0.0) if kind == "none" else (float(times[0]), float(times[1]))
    return Code(kind=str(kind), au=au, onset_s=onset_s, offset_s=offset_s, face=face, **texts)


def plain_text(text: object) -> str:
    """A text in one line, as a name or a comment.

    Raises:
        UsageError: when it is none, or too long.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise UsageError(f"a text is none, or longer than {_LONGEST_TEXT} characters.")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def codes_of(values: object) -> list[Code]:
    """The codes of a recording as the page sends them.

    Raises:
        UsageError: when they are none, or too many.
    """
    if not isinstance(values, list) or len(values) > _MOST_EVENTS:
        raise UsageError(f"the codes are no list of at most {_MOST_EVENTS}.")
    return [code_of(one) for one in values]


class CodesFile:
    """A file of codes that several coders fill, one recording at a time."""

    def __init__(self, path: Path, sources: Sequence[str]) -> None:
        """Names the file; nothing is read yet."""
        self.path, self._sources = path, list(sources)
        self._lock = RLock()
        self._kept: tuple[tuple[int, ...], list[Entry]] | None = None
        self._is_ours = False

    def entries(self) -> list[Entry]:
        """Everything in it; see `read_entries`. It is read anew only where it was changed."""
        with self._lock:
            stamp = _stamp(self.path)
            if self._kept is None or self._kept[0] != stamp:
                self._kept = (stamp, read_entries(self.path, self._sources))
            return self._kept[1]

    def coders(self) -> list[str]:
        """Who has coded, by name."""
        return sorted({entry.coder for entry in self.entries()})

    def of(self, source: str, coder: str) -> tuple[list[Code], str]:
        """The codes of one coder of one recording, and a mark that changes when they do."""
        own = [entry.code for entry in self.entries() if (entry.source, entry.coder) == (source, coder)]
        return own, _mark(own)

    def replace(self, source: str, coder: str, codes: Sequence[Code], mark: str) -> str:
        """Stores the codes of one coder of one recording in place of those that are there, in one step.

        Args:
            source: of the recording.
            coder: whose codes.
            codes: all of them.
            mark: of those that the page began with.

        Returns:
            The mark of what is stored now.

        Raises:
            Conflict: when they have been changed elsewhere in the meantime; nothing is written then.
            InputError: when the file cannot be read or written.
        """
        with self._lock:
            entries = self.entries()
            own = [entry for entry in entries if (entry.source, entry.coder) == (source, coder)]
            if _mark([entry.code for entry in own]) != mark:
                raise Conflict(
                    f"{self.path.name}: these codes were changed elsewhere in the meantime; reload the page."
                )
            others = _others_of(own)
            kept = [entry for entry in entries if (entry.source, entry.coder) != (source, coder)]
            self._write([*kept, *(Entry(source, coder, code, others(code)) for code in codes)])
            return self.of(source, coder)[1]

    def add(self, entries: Sequence[Entry]) -> int:
        """Adds what is not there yet, see `replace`; returns how many."""
        with self._lock:
            old = self.entries()
            known = {_key(entry) for entry in old}
            new = [entry for key, entry in {_key(entry): entry for entry in entries}.items() if key not in known]
            self._write([*old, *new])
            return len(new)

    def _write(self, entries: Sequence[Entry]) -> None:
        """Writes all entries in one step. What someone else wrote is kept once, as it was."""
        if self.path.exists() and not self._is_ours:
            before, beside = self.path.read_bytes(), self.path.parent / WORK_FOLDER / f"{self.path.stem}{BEFORE}.csv"
            if before != entries_text(self.entries()).encode() and not beside.exists():
                with replacing(beside) as temporary:
                    temporary.write_bytes(before)
        stored = sorted(map(_as_stored, entries), key=_order)
        write_text(self.path, entries_text(stored))
        self._kept, self._is_ours = (_stamp(self.path), stored), True


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _key(entry: Entry) -> tuple[Any, ...]:
    return entry.source, entry.coder, entry.code, tuple(sorted(entry.others.items()))


def _others_of(own: Sequence[Entry]) -> Callable[[Code], Mapping[str, str]]:
    """Code -> the cells of other columns of the row that it was, also where its onset, offset or grade was changed."""
    exact = {entry.code: entry.others for entry in own}
    near: dict[tuple[Any, ...], Mapping[str, str]] = {}
    for entry in own:
        for place in _places(entry.code):
            near.setdefault(place, entry.others)

    def find(code: Code) -> Mapping[str, str]:
        if code in exact:
            return exact[code]
        return next((near[place] for place in _places(code) if place in near), {})

    return find


def _places(code: Code) -> list[tuple[Any, ...]]:
    return [(code.kind, code.au, code.face, name, seconds(getattr(code, name))) for name in ("onset_s", "offset_s")]


def _as_stored(entry: Entry) -> Entry:
    """The entry as it is read again: times to the microsecond."""
    code = entry.code
    return replace(
        entry, code=replace(code, onset_s=float(seconds(code.onset_s)), offset_s=float(seconds(code.offset_s)))
    )


def _order(entry: Entry) -> tuple[Any, ...]:
    return entry.source, entry.coder, entry.code.onset_s, entry.code.offset_s, word(entry.code)


def entries_text(entries: Sequence[Entry]) -> str:
    """The table as CSV."""
    more = sorted({name for entry in entries for name in entry.others})
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, *more])
    for entry in sorted(entries, key=_order):
        cells = {**cells_of_entry(entry), **entry.others}
        table.writerow([as_cell(cells.get(name, "")) for name in (*COLUMNS, *more)])
    return text.getvalue()


def word(code: Code) -> str:
    """What stands in the column `au`."""
    return str(code.au) if code.kind == "au" else code.kind


def cells_of_entry(entry: Entry) -> dict[str, str]:
    """The cells of the columns that the page knows."""
    code = entry.code
    timed = code.kind != "none"
    return {
        "source": entry.source,
        "au": word(code),
        "onset_s": seconds(code.onset_s) if timed else "",
        "offset_s": seconds(code.offset_s) if timed else "",
        "intensity": code.intensity,
        "side": code.side,
        "certainty": code.certainty,
        "face": "" if code.face is None else str(code.face),
        "coder": entry.coder,
        "comment": code.comment,
    }


def seconds(time_s: float) -> str:
    """To the microsecond, as tables of `detect` have them."""
    return f"{time_s:.6f}".rstrip("0").rstrip(".")


def _mark(codes: Sequence[Code]) -> str:
    plain = sorted(
        json.dumps({**asdict(code), "onset_s": seconds(code.onset_s), "offset_s": seconds(code.offset_s)})
        for code in codes
    )
    return hashlib.sha256("\n".join(plain).encode()).hexdigest()[:16]
