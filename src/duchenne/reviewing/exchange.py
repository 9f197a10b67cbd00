"""Codes from and to other programs: whatever `prepare --labels` reads comes in, and what goes out it reads again."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from duchenne.data.cells import au_columns, read_rows
from duchenne.errors import InputError, UsageError
from duchenne.facs import au_column, intensity_column
from duchenne.plain import as_cell
from duchenne.preparing.codes.exports import SUFFIXES, is_events, read_events
from duchenne.preparing.codes.names import Sources, are_of_one, plain_path
from duchenne.preparing.codes.programs.events import CODED, Event, step_of, subject_word
from duchenne.preparing.codes.video_codes import VideoCodes, event_codes, row_labels
from duchenne.preparing.codes.whose import as_subject, is_of_all, people_of, with_faces
from duchenne.reviewing.codes import UNSEEN, Code, Entry, cells_of_entry, entries_text, letter, meant_by

EXPORTS: Final = {
    "events": ("codes.csv", "events with onset and offset (this library, R, spreadsheets)"),
    "frames": ("frames.csv", "a row per frame"),
    "elan": ("codes_elan.txt", "ELAN: tab-delimited text"),
    "boris": ("codes_boris.csv", "BORIS: aggregated events"),
}
"""Name -> file name, and what it is."""
Times = Callable[[str], NDArray[np.float64]]
"""Source -> (N,) times of all frames of the recording."""
Names = Mapping[tuple[str, int], str]
"""(source, face) -> name, see `duchenne.preparing.codes.names.read_names`."""
_UNSEEN_FACE: Final = "face not visible"
"""How programs that know only action units are told that none could be judged; `prepare` reads it as that."""
_NOBODY: Final = (None, "")
"""Neither a face nor a subject: of whom codes are that hold for everybody."""


def export(form: str, entries: Sequence[Entry], times: Times, names: Names | None = None) -> str:
    """The codes of one coder as text.

    Args:
        form: one of `EXPORTS`.
        entries: of one coder.
        times: of the frames of a recording, all of them, for `frames`, and where it was coded that nobody moves.
        names: who is who, for `frames`: which face each subject of the codes is.

    Raises:
        UsageError: when there is no such form.
        InputError: when it is not known which face a subject is.
    """
    if form == "events":
        return entries_text(entries)
    if form == "frames":
        return _frames(entries, times, people_of(names or {}))
    if form == "elan":
        return _elan(_for_programs(entries, times))
    if form == "boris":
        return _boris(_for_programs(entries, times))
    raise UsageError(f"there is no export `{form}`; there are {', '.join(EXPORTS)}.")


def _table(rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(
        [as_cell(cell) for cell in row] for row in rows
    )
    return text.getvalue()


def _frames(entries: Sequence[Entry], times: Times, people: Mapping[str, Mapping[str, Sequence[int]]]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.csv"
        path.write_text(entries_text(entries), encoding="utf-8")
        events = read_events(path)  # with what FACS's codes for parts of the face say of action units
    aus = tuple(sorted({event.au for event in events if event.kind == "au" and event.au is not None}))
    names = [name for au in aus for name in (au_column(au), intensity_column(au))]
    rows: list[list[str]] = [["source", "frame", "time_s", "face", *names]]
    for source in dict.fromkeys(event.source for event in events):
        named = people.get(source, {})
        mine = [as_subject(event, named) for event in events if event.source == source]
        try:
            own = event_codes(with_faces(source, mine, named))
        except InputError as error:
            raise InputError(
                f"{source}: has codes of several people; say which face each of them is in names.csv beside the "
                "recordings (source, face, name), or export events."
            ) from error
        times_s = times(source).tolist()
        numbers = list(range(len(times_s)))
        for face in own:
            for number, time_s, values in zip(numbers, times_s, VideoCodes(aus, own).labels(face, numbers, times_s)):
                cells = [values.get(name) for name in names]
                if any(cell is not None for cell in cells):
                    shown = ["" if cell is None else f"{cell:g}" for cell in cells]
                    rows.append([source, str(number), f"{time_s:.6f}", "" if face is None else str(face), *shown])
    return _table(rows)


def _for_programs(entries: Sequence[Entry], times: Times) -> list[Entry]:
    """The codes as programs can hold them that know nobody's codes but a coder's, and nothing without a time."""
    coder = next((entry.coder for entry in entries if entry.coder), "")
    found = []
    for entry in entries:
        if entry.code.kind == "none":
            found += _as_ranges(entry, [one for one in entries if one.source == entry.source], times)
        else:
            found.append(entry)
    return [replace(entry, coder=coder) for entry in found]


def _as_ranges(nobody_moves: Entry, own: Sequence[Entry], times: Times) -> list[Entry]:
    """That nobody moves, as ranges from the first frame to the last of everybody of whom no other range was coded."""
    times_s = times(nobody_moves.source)
    if not len(times_s):
        raise InputError(
            f"{nobody_moves.source}: has no frames, so nobody can be said not to move in it; export events."
        )
    whole = replace(nobody_moves.code, kind="coded", onset_s=0.0, offset_s=float(times_s[-1]) + step_of(times_s))
    ranges = {_person(entry) for entry in own if entry.code.kind == "coded"}
    people = {_person(entry) for entry in own} - {_NOBODY}
    about = people or {_NOBODY} if _person(nobody_moves) == _NOBODY else {_person(nobody_moves)}
    return [
        replace(nobody_moves, code=replace(whole, face=face, others=(("subject", subject),) if subject else ()))
        for face, subject in sorted(about, key=str) if not ranges & {_NOBODY, (face, subject)}
    ]  # fmt: skip


def _person(entry: Entry) -> tuple[int | None, str]:
    return entry.code.face, dict(entry.code.others).get("subject", "")


def _elan(entries: Sequence[Entry]) -> str:
    rows = [["Tier", "Participant", "Begin Time - ss.msec", "End Time - ss.msec", "Annotation", "File"]]
    for entry in entries:
        cells, (name, value) = cells_of_entry(entry), _in_words(entry.code)
        tier, value = ("face", name) if name == _UNSEEN_FACE else (name, value or "x")
        tier += f"@{entry.coder}" if entry.coder else ""
        rows.append([tier, _subject(entry), cells["onset_s"], cells["offset_s"], value, entry.source])
    return _table(rows, "\t")


def _in_words(code: Code) -> tuple[str, str]:
    """What was seen and its intensity, as programs take it that know only names."""
    if code.au is not None:
        return au_column(code.au), code.intensity if code.kind == "au" else UNSEEN
    return _UNSEEN_FACE if code.kind == "unknown" else CODED, ""


def _subject(entry: Entry) -> str:
    face, subject = _person(entry)
    return subject_word(subject, face)


def _boris(entries: Sequence[Entry]) -> str:
    rows = [
        ["Observation id", "Media file name", "Observer", "Subject", "Behavior", "Modifiers", "Behavior type",
         "Start (s)", "Stop (s)", "Duration (s)"]
    ]  # fmt: skip
    for entry in entries:
        cells, (name, value) = cells_of_entry(entry), _in_words(entry.code)
        lasts = f"{entry.code.offset_s - entry.code.onset_s:.6f}"
        rows.append(
            [entry.source, entry.source, entry.coder, _subject(entry) or "No focal subject", name, value, "STATE",
             cells["onset_s"], cells["offset_s"], lasts]
        )  # fmt: skip
    return _table(rows)


def imported(name: str, data: bytes, sources: Sequence[str], coder: str, times: Times) -> tuple[list[Entry], list[str]]:
    """Codes from a file as `prepare --labels` reads it.

    Args:
        name: of the file; its suffix says what it is, its stem which recording, where nothing in it does.
        data: what is in it.
        sources: of the recordings.
        coder: of codes that name none.
        times: of the frames of a recording, all of them, for tables with a row per frame.

    Returns:
        The entries, and sentences on what was left out.

    Raises:
        UsageError: when a file of this suffix is none of codes.
        InputError: when it cannot be understood, or names no recording of the page.
    """
    plain = Path(name.replace("\\", "/")).name
    if not plain.lower().endswith(SUFFIXES) or plain.startswith("."):
        raise UsageError(f"{plain}: is no file of codes ({', '.join(SUFFIXES)}).")
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"import{_suffix(plain)}"
        path.write_bytes(data)
        try:
            found = _read(path, Path(plain).stem.removesuffix(".boris"), sources, coder, times, notes)
        except InputError as error:
            raise InputError(str(error).replace(str(path), plain)) from error
    if not found:
        listed = ", ".join(sources[:5])
        raise InputError(f"{plain}: names none of the recordings shown here ({listed}).")
    return found, [note.replace(str(path), plain) for note in notes]


def _suffix(name: str) -> str:
    return ".boris.gz" if name.lower().endswith(".boris.gz") else Path(name).suffix.lower()


def _read(path: Path, stem: str, sources: Sequence[str], coder: str, times: Times, notes: list[str]) -> list[Entry]:
    if not is_events(path):
        return _of_rows(path, stem, sources, coder, times, notes)
    events = read_events(path, notes)
    called = {event.source: stem if event.source == path.stem else event.source for event in events}
    index = Sources(sources)
    meant, several = _meant(called.values(), index)
    found = [(source, event) for event in events if (source := meant[called[event.source]]) is not None]
    if several and not found:
        raise InputError(f"{path}: {several[0]}")
    lost = sorted({name for name in called.values() if meant[name] is None and index.find(name) is None})
    notes += [f"not one of the recordings shown here, left out: {', '.join(lost)}."] if lost else []
    notes += [f"left out: {path} {sentence}" for sentence in several]
    return _whose(found, [who for event in events if (who := event.coder or event.observation)], coder)


def _whose(found: Sequence[tuple[str, Event]], coders: Sequence[str], coder: str) -> list[Entry]:
    """The entries of a file. What holds for every coder holds for those of this file, and for nobody else's codes.

    Args:
        found: recording and event.
        coders: whom the file names.
        coder: of codes that name none.
    """
    there: dict[str, dict[str, None]] = defaultdict(dict)
    for source, event in found:
        if not is_of_all(event):
            there[source][event.coder or event.observation or coder] = None
    anywhere = dict.fromkeys(coders) or {coder: None}
    return [
        _entry(source, event, who)
        for source, event in found
        for who in (there.get(source, anywhere) if is_of_all(event) else [event.coder or event.observation or coder])
    ]


def _meant(names: Iterable[str], index: Sources) -> tuple[dict[str, str | None], list[str]]:
    """Which recordings the names in an imported file mean.

    Programs write whole paths, of several computers too, so the file's name alone may say which one it is. Not where
    several files of that name lie on one disk, or beside each other in paths that are not whole: these are told apart.

    Returns:
        Name -> recording, None where it is none of those shown or it is not clear; and for each that may be meant by
        several files a sentence that names them.
    """
    found = {name: index.find(name) for name in names}
    places: dict[str, set[PurePosixPath]] = defaultdict(set)
    for name, source in found.items():
        if source is not None:
            places[source].add(PurePosixPath(plain_path(name)).parent)
    unclear = {source for source, folders in places.items() if not are_of_one(folders)}
    doubtful: dict[str, list[str]] = defaultdict(list)
    for name, source in found.items():
        if source in unclear and meant_by(name, index) != source:
            doubtful[source].append(name)
            found[name] = None
    return found, [
        f"names several files that may be {source} ({', '.join(listed)}); write `{source}` for the one that is meant."
        for source, listed in doubtful.items()
    ]


def _entry(source: str, event: Event, coder: str) -> Entry:
    unseen = event.kind == "unknown" and event.au is not None
    code = Code(
        kind=event.kind, au=event.au, onset_s=event.onset_s, offset_s=event.offset_s, face=event.face,
        intensity=UNSEEN if unseen else letter(event.intensity), others=_of_whom(event.subject),
    )  # fmt: skip
    return Entry(source, coder, code)


def _of_whom(subject: str) -> tuple[tuple[str, str], ...]:
    return (("subject", subject),) if subject else ()


def _of_rows(path: Path, stem: str, sources: Sequence[str], coder: str, times: Times, notes: list[str]) -> list[Entry]:
    """Rows per frame as events: runs of equal values; as coded count frames in which every action unit is known."""
    header, rows = read_rows(path)
    columns = au_columns(path, header)
    values: dict[tuple[str, str, int | None, str], dict[int, dict[str, float | None]]] = {}
    names = [row.get("source") or row.get("path") or stem for row in rows]
    meant, several = _meant(names, Sources(sources))
    if several:
        raise InputError(f"{path}: {several[0]}")
    for name, row in zip(names, rows):
        source = meant[name]
        if source is None:
            raise row.error("source", f"`{name}` is none of the recordings shown here.")
        number = len(times(source))
        frame = row.whole_number_of("frame") if "frame" in header else None
        if frame is None:
            time_s = row.number_of("time_s", low=0)
            if time_s is None:
                raise row.error("time_s", "is empty; fill it in.")
            frame = int(np.argmin(np.abs(times(source) - time_s)))
        if frame >= number:
            raise row.error("frame", f"{source} has {number} frames, counted from 0.")
        key = (source, row.get("coder") or coder, row.whole_number_of("face"), row.get("subject"))
        values.setdefault(key, {})[frame] = row_labels(row, columns)
    found, partly = [], 0
    aus = sorted({au for _, au, _ in columns})
    for (source, who, face, subject), labels in values.items():
        times_s = times(source)
        edges = np.append(times_s, times_s[-1] + step_of(times_s)).tolist()
        known = [[_is_known(labels.get(frame), au) for au in aus] for frame in range(len(times_s))]
        partly += sum(any(one) and not all(one) for one in known)
        stretches: list[tuple[str, int | None, list[tuple[int, int, float]]]] = [
            ("coded", None, _runs([1.0 if all(one) else None for one in known]))
        ]
        for au in aus:
            levels = [_level(labels.get(frame), au) if all(known[frame]) else None for frame in range(len(times_s))]
            stretches.append(("au", au, _runs(levels)))
        for kind, one, runs in stretches:
            for onset, offset, value in runs:
                strength = letter(value) if kind == "au" and value > 0 else ""
                code = Code(
                    kind=kind, au=one, onset_s=edges[onset], offset_s=edges[offset], intensity=strength, face=face,
                    others=_of_whom(subject),
                )  # fmt: skip
                found.append(Entry(source, who, code))
    if partly:
        notes.append(f"{partly} frames in which some action unit is unknown count as not coded.")
    return found


def _is_known(labels: Mapping[str, float | None] | None, au: int) -> bool:
    return any((labels or {}).get(name) is not None for name in (au_column(au), intensity_column(au)))


def _level(labels: Mapping[str, float | None] | None, au: int) -> float | None:
    """The intensity, -1 where it is there and nobody said how much, None where it is absent or unknown."""
    much = (labels or {}).get(intensity_column(au))
    if much is not None:
        return much or None
    return -1.0 if (labels or {}).get(au_column(au)) else None


def _runs(values: Sequence[float | None]) -> list[tuple[int, int, float]]:
    """(first, place after the last, value) of every stretch of one value."""
    found: list[tuple[int, int, float]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][1] == place and found[-1][2] == value:
            found[-1] = (found[-1][0], place + 1, value)
        else:
            found.append((place, place + 1, value))
    return found
