"""From codes to a detector without leaving the page: what is run, and what the detector's record says in words."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from duchenne.data.cells import read_rows
from duchenne.detectors.records import AuRecord, DetectorRecord, parse_record
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS
from duchenne.files import write_text
from duchenne.plain import as_cell
from duchenne.preparing.codes.names import Sources
from duchenne.reviewing.codes import Entry, entries_text, meant_by
from duchenne.reviewing.jobs import Step
from duchenne.reviewing.library import FITTED, TABLES, Library
from duchenne.tables.writing import output_names

MODELS: Final = ("blendshapes", "landmarks")
"""What a detector may be fitted on here; others by `duchenne fit`."""
NAMES: Final = "names.csv"
"""Beside the recordings: who is who, as `prepare --names` reads it."""
_NEW: Final = ".new"
"""In the working folder: what a fit makes, until all of it is there."""
_MADE: Final = ("codes.csv", NAMES, "coded", "detector", FITTED)


def detect_steps(library: Library) -> list[Step]:
    """Tables for all recordings that have none.

    Where `detect` would call tables otherwise if it did not see the recordings that have one, it is given all.
    """
    todo = [one for one in library.recordings.values() if library.table_of(one) is None]
    if not todo:
        raise UsageError("every recording has its table already.")
    outs, names = [library.made(TABLES, one) for one in todo], output_names([one.path for one in todo])
    if any(names[one.path] != library.names[one.key] for one in todo):
        todo = list(library.recordings.values())
    words = ["detect", *(str(one.path) for one in todo), "-o", f"{library.work / TABLES}/"]
    what = f"find faces and action units in {len(todo)} recordings"
    return [Step(what, [*words, "--quiet"], lambda: sum(out.is_file() for out in outs) / len(outs))]


def fit_steps(library: Library, entries: Sequence[Entry], model: str) -> list[Step]:
    """What makes a detector of one coder's codes and runs it over all recordings; `take_over` follows.

    The coded recordings are linked into a folder of their own, so that `prepare` reads no other. What an earlier fit
    made stays until then.

    Args:
        library: of the page.
        entries: of one coder, see `CodesFile.held_by`.
        model: one of `MODELS`.

    Raises:
        UsageError: when nothing is coded, or for another model.
        InputError: when something cannot be written.
    """
    if model not in MODELS:
        raise UsageError(f"a detector is fitted on {' or '.join(MODELS)} here; for `{model}` run duchenne fit.")
    used = {entry.source for entry in entries}
    coded = [one for one in library.recordings.values() if one.source in used]
    if not coded or not any(entry.code.kind == "au" and entry.source in library.sources for entry in entries):
        raise UsageError("no action unit of these recordings is coded yet.")
    unfinished = sum(entry.code.unfinished for entry in entries)
    if unfinished:
        raise UsageError(f"{unfinished} of the codes have no offset yet; set it (key O) or remove them first.")
    new = library.work / _NEW
    staged, (labels, named, prepared, detector, tables) = new / "recordings", (new / name for name in _MADE)
    try:
        if new.exists():
            shutil.rmtree(new)  # of a fit that did not come to its end
        for one in coded:
            link = staged / one.source
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(one.checked())
    except OSError as error:
        raise InputError(
            f"{staged}: cannot be written ({error.strerror}); give --codes in a folder that can."
        ) from error
    write_text(labels, entries_text([entry for entry in entries if entry.source in {one.source for one in coded}]))
    strange = write_names(library, used, named)
    prepare = ["prepare", "videos", "--root", str(staged), "--labels", str(labels), "--out", str(prepared)]
    prepare += ["--names", str(named)] if named.is_file() else []
    fit = ["fit", "--model", model, "--data", str(prepared), "--out", str(detector), "--quiet"]
    detect = ["detect", *(str(one.path) for one in library.recordings.values()), "--model", str(detector)]
    outs = [tables / library.made(FITTED, one).name for one in library.recordings.values()]
    what = f"find the faces of {len(coded)} coded recordings"
    what += f" (rows of {NAMES} about none of the recordings shown here: {strange})" if strange else ""
    return [
        Step(what, [*prepare, "--quiet", "--workers", "1"]),
        Step("fit and judge the detector", fit),
        Step(
            f"run it over {len(outs)} recordings", [*detect, "-o", f"{tables}/", "--quiet"],
            lambda: sum(out.is_file() for out in outs) / len(outs),
        ),
    ]  # fmt: skip


def take_over(library: Library) -> None:
    """Puts what a fit made in the place of what the one before made."""
    for name in _MADE:
        made, place = library.work / _NEW / name, library.work / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        if made.exists():
            made.rename(place)
    shutil.rmtree(library.work / _NEW)


def write_names(library: Library, used: Collection[str], out: Path) -> int:
    """Writes the rows of names.csv beside the recordings that are about some of them.

    Args:
        library: of the page.
        used: the sources whose rows are wanted.
        out: for `prepare --names`; nothing is written where there is no such row.

    Returns:
        How many rows are about none of the recordings shown.

    Raises:
        InputError: when it cannot be read or written.
    """
    path = library.root / NAMES
    if not path.is_file():
        return 0
    columns, sources = ("source", "face", "name"), library.sources
    _, rows = read_rows(path, columns)
    index = Sources(sources)  # among all, so that P02/rest.mp4 is not taken for P01/rest.mp4, which alone is coded
    meant = [[meant_by(row.get("source"), index), row.get("face"), row.get("name")] for row in rows]
    kept = [row for row in meant if row[0] in used]
    if kept:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([columns, *([as_cell(cell) for cell in row] for row in kept)])
        write_text(out, text.getvalue())
    return sum(row[0] not in sources for row in meant)


def read_detector(folder: Path) -> DetectorRecord | None:
    """The record of the detector that was fitted last; None where there is none.

    Raises:
        InputError: when it is damaged.
    """
    path = folder / "detector.json"
    return parse_record(path.read_bytes(), str(path)) if path.is_file() else None


def in_words(record: DetectorRecord) -> dict[str, Any]:
    """What a detector's record says, per action unit in a sentence, as JSON."""
    aus = [
        {
            "au": au, "name": ACTION_UNITS[int(au[2:])].name, "passed": one.passed, "threshold": one.threshold,
            "frames": one.frames, "present": one.present, "sentence": _sentence(one),
            **{key: (one.held_out or {}).get(key) for key in ("kappa", "kappa_low", "kappa_high", "auc")},
        }
        for au, one in record.aus.items()
    ]  # fmt: skip
    left_out = [
        {"au": au, "name": ACTION_UNITS[int(au[2:])].name, "sentence": f"It was not learned: {why}."}
        for au, why in record.left_out.items()
    ]
    return {"model": record.model, "aus": aus, "left_out": left_out, "notes": list(record.notes)}


def _sentence(one: AuRecord) -> str:
    seen = f"Learned from {one.frames} coded frames, {one.present} of them with it, of {_people(one.subjects)}."
    held = one.held_out or {}
    kappa, auc = held.get("kappa"), held.get("auc")
    if kappa is None:
        return f"{seen} How well it does on other people is not known ({one.why}); take its curve as a hint."
    low, high = held.get("kappa_low"), held.get("kappa_high")
    span = "" if low is None or high is None else f", between {low:.2f} and {high:.2f} with 95 % confidence"
    ranks = "" if auc is None else (
        f" A frame with it gets the higher value than one without in {100 * auc:.0f} of 100 cases."
    )  # fmt: skip
    said = (
        f"On people left out it agrees with your codes with a kappa of {kappa:.2f}{span} (0 is chance, 1 is perfect)."
    )
    chance = " That is no better than chance." if high is not None and high <= 0 else ""
    if one.passed:
        return f"{seen} {said}{ranks} That is enough: it says present from a probability of {one.threshold:.2f}."
    return (
        f"{seen} {said}{chance}{ranks} Not enough to decide ({one.why}): use its probability with care, or code more."
    )


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
