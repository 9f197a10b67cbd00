"""The codes of the page: rows of an ordinary codes.csv, of which each coder's are changed recording by recording."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import Any, Final

from duchenne.data.cells import LETTERS, Row, read_lines
from duchenne.errors import InputError, UsageError
from duchenne.files import locked_beside, replacing, write_text
from duchenne.plain import as_cell, as_written
from duchenne.preparing.codes.exports import is_events, read_events
from duchenne.preparing.codes.names import Sources, plain_path
from duchenne.preparing.codes.programs.events import NO_MODIFIER, in_order, time_of
from duchenne.preparing.codes.programs.notation import is_unknown, parse_aus, parse_intensity
from duchenne.reviewing.library import WORK_FOLDER

COLUMNS: Final = (
    "source", "au", "onset_s", "offset_s", "intensity", "side", "certainty", "face", "coder", "comment",
)  # fmt: skip
KINDS: Final = ("au", "coded", "unknown", "none")
SIDES: Final = ("", "L", "R", "B")
CERTAINTIES: Final = ("", "certain", "uncertain")
UNFINISHED: Final = "offset not set"
"""Begins the comment of a code whose offset was still to come when it was stored."""
UNSEEN: Final = "?"
"""Intensity of one action unit that could not be judged, where nobody wrote it otherwise."""
BEFORE: Final = "_before_review"
"""Ending of the copy of codes that someone else wrote, before the page first changes them."""
_LETTER_OF: Final = {value: letter for letter, value in LETTERS.items()}
_KNOWN: Final = frozenset((*COLUMNS, "path"))
_BY_WORDS: Final = frozenset(("side", "certainty"))
"""Columns in which other people's words may stand that mean nothing here; they are kept as they are."""
_LAST_AU: Final = 99
_MOST_EVENTS: Final = 100_000
_LONGEST_NAME: Final = 500
_LONGEST_COMMENT: Final = 100_000
"""Characters; Python reads cells of CSV files of up to 131,072."""
_PATIENCE_S: Final = 2.0
"""How long to wait for another page that stores into the same file."""


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
        intensity: A to E, or a number as text; empty where not coded. Of an `unknown` action unit what stands there
            instead: `?`, `9`, `not visible`.
        side: L, R, B or empty. certainty: `certain`, `uncertain` or empty.
        face: number; None for the main one.
        comment: free text.
        unfinished: whether its offset was still to come when it was stored.
        others: column and cell of what the page does not know; it comes back with the code, whatever is changed of it.
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
    unfinished: bool = False
    others: tuple[tuple[str, str], ...] = ()

    def sent(self) -> dict[str, Any]:
        """As the page is given it; `code_of` reads it again."""
        return {**vars(self), "others": dict(self.others)}


@dataclass(frozen=True)
class Entry:
    """A row of the file: whose code of which recording."""

    source: str
    coder: str
    code: Code

    @property
    def is_of_all(self) -> bool:
        """Whether it holds for every coder, see `duchenne.preparing.codes.whose.is_of_all`."""
        return self.code.kind in ("coded", "unknown") and not self.coder


def read_entries(path: Path, sources: Sequence[str]) -> list[Entry]:
    """Reads codes with all that they hold.

    Args:
        path: of the file; where there is none, there are no codes.
        sources: of the recordings; rows that mean one of them get its name, others keep theirs. A path means the
            recording that has it, a bare name the only one that is called so: `P02/rest.mp4` is never `P01/rest.mp4`.

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
    index, found = Sources(sources), []
    for number, cells in lines:
        row = Row(path, number, {name.lower(): as_written(cell) for name, cell in zip(header, cells) if name})
        name = row.get("source") or row.get("path") or path.stem
        found += [Entry(meant_by(name, index), row.get("coder"), code) for code in _codes_of(row)]
    return found


def meant_by(name: str, index: Sources) -> str:
    """The recording that a row is about; its own name where that is none of those shown."""
    source = index.find(name) or name
    path, found = (PurePosixPath(plain_path(one)) for one in (name, source))
    return source if len(path.parts) == 1 or path == found else name


def _codes_of(row: Row) -> list[Code]:
    word, side, certainty = row.get("au").lower(), _side(row.get("side")), row.get("certainty")
    first, _, rest = row.get("comment").partition("; ")
    foreign = {name for name, fits in (("side", side), ("certainty", certainty in CERTAINTIES)) if not fits}
    unread = {name: cell for name, cell in row.values.items() if cell and (name not in _KNOWN or name in foreign)}
    shared: dict[str, Any] = {
        "face": row.whole_number_of("face"), "side": side, "certainty": certainty if certainty in CERTAINTIES else "",
        "unfinished": first == UNFINISHED, "comment": rest if first == UNFINISHED else row.get("comment"),
        "others": tuple(sorted(unread.items())),
    }  # fmt: skip
    if word == "none":
        return [Code(kind="none", **shared)]
    onset_s = time_of(row, "onset_s")
    shared |= {"onset_s": onset_s, "offset_s": in_order(row, "au", onset_s, time_of(row, "offset_s"))}
    if word in ("coded", "unknown"):
        return [Code(kind=word, **shared)]
    if not row.get("au").upper().startswith("B"):
        shared["side"] = shared["side"] or _side(row.get("au"))
    much = "" if row.get("intensity") in NO_MODIFIER else row.get("intensity")
    said = parse_aus(row.get("au"))
    if is_unknown(much):
        return [Code(kind="unknown", au=one.au, intensity=much, **shared) for one in said]
    grades = [one.intensity if one.intensity is not None else parse_intensity(much) for one in said]
    return [Code(kind="au", au=one.au, intensity=letter(grade), **shared) for one, grade in zip(said, grades)]


def letter(strength: float | None) -> str:
    """The intensity as FACS writes it; numbers in between as they are, empty for None."""
    if strength is None:
        return ""
    return _LETTER_OF.get(strength) or seconds(strength)


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
    is_au = isinstance(au, int) and not isinstance(au, bool) and 0 <= au <= _LAST_AU
    if kind not in KINDS or not (is_au if kind == "au" else au is None or (is_au and kind == "unknown")):
        raise UsageError(f"`{kind}` of the action unit `{au}` is no code.")
    times = [given.get("onset_s", 0.0), given.get("offset_s", 0.0)]
    if any(isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t) or t < 0 for t in times):
        raise UsageError("a time is no number of seconds from 0 on.")
    if times[1] < times[0] or (kind == "coded" and times[1] == times[0]):
        raise UsageError(f"the offset {times[1]:g} s does not lie after the onset {times[0]:g} s.")
    texts = {name: plain_text(given.get(name, "")) for name in ("intensity", "side", "certainty")}
    much = texts["intensity"]
    if kind == "unknown" and au is not None:
        if not is_unknown(much) or much in NO_MODIFIER:
            raise UsageError(f"`{much}` does not say that AU{au:02d} could not be judged; write {UNSEEN}.")
    elif much and parse_intensity(much) is None:
        raise UsageError(f"`{much}` is no intensity; it is A to E or 0 to 5.")
    if texts["side"] not in SIDES or texts["certainty"] not in CERTAINTIES:
        raise UsageError("the side is L, R or B, the certainty certain or uncertain, or empty.")
    face = given.get("face")
    if face is not None and (isinstance(face, bool) or not isinstance(face, int) or face < 0):
        raise UsageError("the face is no number from 0 on.")
    unfinished, others = given.get("unfinished", False), given.get("others", {})
    if not isinstance(unfinished, bool) or not isinstance(others, dict) or others.keys() & (_KNOWN - _BY_WORDS):
        raise UsageError("a code holds more than the page can know; reload it.")
    if not all(isinstance(cell, str) for cell in others.values()):
        raise UsageError("a cell of another column is no text; reload the page.")
    onset_s, offset_s = (0.0, 0.0) if kind == "none" else (float(times[0]), float(times[1]))
    return Code(
        kind=str(kind), au=au, onset_s=onset_s, offset_s=offset_s, face=face, unfinished=unfinished,
        comment=plain_text(given.get("comment", ""), _LONGEST_COMMENT), others=tuple(sorted(others.items())), **texts,
    )  # fmt: skip


def plain_text(text: object, most: int = _LONGEST_NAME) -> str:
    """A text in one line, as a name or a comment.

    Raises:
        UsageError: when it is none, or too long.
    """
    if not isinstance(text, str) or len(text) > most:
        raise UsageError(f"a text is none, or longer than {most} characters.")
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
    """A file of codes that several coders fill, one recording at a time, from as many pages as there are."""

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

    def held_by(self, coder: str) -> list[Entry]:
        """What one coder coded, and what holds for every coder, there and where nobody coded anything else."""
        entries = self.entries()
        own = {entry.source for entry in entries if entry.coder == coder}
        others = {entry.source for entry in entries if not entry.is_of_all} - own
        return [one for one in entries if one.coder == coder or (own and one.is_of_all and one.source not in others)]

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
            UsageError: when another page has been storing into the file for seconds.
            InputError: when the file cannot be read or written.
        """
        with self._alone():
            entries = self.entries()
            own = [entry for entry in entries if (entry.source, entry.coder) == (source, coder)]
            if _mark([entry.code for entry in own]) != mark:
                raise Conflict(
                    f"{self.path.name}: these codes were changed elsewhere in the meantime; reload the page."
                )
            kept = [entry for entry in entries if (entry.source, entry.coder) != (source, coder)]
            self._write([*kept, *(Entry(source, coder, code) for code in codes)])
            return self.of(source, coder)[1]

    def add(self, entries: Sequence[Entry]) -> int:
        """Adds what is not there yet, see `replace`; returns how many."""
        with self._alone():
            old = self.entries()
            known = set(map(_as_stored, old))
            new = [entry for entry in dict.fromkeys(map(_as_stored, entries)) if entry not in known]
            self._write([*old, *new])
            return len(new)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else reads to change, or writes, until it is over: no thread, and no other process."""
        with self._lock, locked_beside(self.path, _PATIENCE_S):
            yield

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
    more = sorted({name for entry in entries for name, _ in entry.code.others} - set(COLUMNS))
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, *more])
    for entry in sorted(entries, key=_order):
        cells = cells_of_entry(entry)
        table.writerow([as_cell(cells.get(name, "")) for name in (*COLUMNS, *more)])
    return text.getvalue()


def word(code: Code) -> str:
    """What stands in the column `au`."""
    return code.kind if code.au is None else str(code.au)


def cells_of_entry(entry: Entry) -> dict[str, str]:
    """Column -> cell, where anything stands in it."""
    code = entry.code
    timed = code.kind != "none"
    cells = {
        "source": entry.source,
        "au": word(code),
        "onset_s": seconds(code.onset_s) if timed else "",
        "offset_s": seconds(code.offset_s) if timed else "",
        "intensity": code.intensity,
        "side": code.side,
        "certainty": code.certainty,
        "face": "" if code.face is None else str(code.face),
        "coder": entry.coder,
        "comment": "; ".join(part for part in (UNFINISHED if code.unfinished else "", code.comment) if part),
    }
    return {**dict(code.others), **{name: cell for name, cell in cells.items() if cell}}


def seconds(time_s: float) -> str:
    """To the microsecond, as tables of `detect` have them."""
    return f"{time_s:.6f}".rstrip("0").rstrip(".")


def _mark(codes: Sequence[Code]) -> str:
    plain = sorted(
        json.dumps({**asdict(code), "onset_s": seconds(code.onset_s), "offset_s": seconds(code.offset_s)})
        for code in codes
    )
    return hashlib.sha256("\n".join(plain).encode()).hexdigest()[:16]
