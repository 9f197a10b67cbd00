"""From codes to a detector without leaving the page: what is run, and what the detector's record says in words."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from duchenne.data.cells import read_rows
from duchenne.detectors.records import AuRecord, DetectorRecord, parse_record
from duchenne.errors import InputError, UsageError
from duchenne.facs import ACTION_UNITS
from duchenne.files import write_text
from duchenne.plain import as_cell
from duchenne.preparing.codes.names import Sources
from duchenne.reviewing.codes import UNFINISHED, Entry, entries_text
from duchenne.reviewing.jobs import Step
from duchenne.reviewing.library import FITTED, TABLES, Library

MODELS: Final = ("blendshapes", "landmarks")
"""What a detector may be fitted on here; others by `duchenne fit`."""
NAMES: Final = "names.csv"
"""Beside the recordings: who is who, as `prepare --names` reads it."""


def detect_steps(library: Library) -> list[Step]:
    """Tables for all recordings that have none."""
    todo = [one for one in library.recordings.values() if library.table_of(one) is None]
    if not todo:
        raise UsageError("every recording has its table already.")
    outs = [library.made(TABLES, one) for one in todo]
    words = ["detect", *(str(one.path) for one in library.recordings.values()), "-o", f"{library.work / TABLES}/"]
    what = f"find faces and action units in {len(library.recordings)} recordings"
    return [Step(what, [*words, "--quiet"], lambda: sum(out.is_file() for out in outs) / len(outs))]


def fit_steps(library: Library, entries: Sequence[Entry], model: str) -> list[Step]:
    """What makes a detector of one coder's codes and runs it over all recordings.

    The coded recordings are linked into a folder of their own, so that `prepare` reads no other.

    Args:
        library: of the page.
        entries: of one coder.
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
    unfinished = sum(entry.code.comment == UNFINISHED for entry in entries)
    if unfinished:
        raise UsageError(f"{unfinished} of the codes have no offset yet; set it (key O) or remove them first.")
    work = library.work
    staged, labels, prepared, detector, tables = (
        work / name for name in (".recordings", "codes.csv", "coded", "detector", FITTED)
    )
    if prepared.exists():
        shutil.rmtree(prepared)  # with other codes it would be refused
    shutil.rmtree(staged, ignore_errors=True)
    try:
        for one in coded:
            link = staged / one.source
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(one.checked())
    except OSError as error:
        raise InputError(
            f"{staged}: cannot be written ({error.strerror}); give --codes in a folder that can."
        ) from error
    write_text(labels, entries_text([entry for entry in entries if entry.source in {one.source for one in coded}]))
    names = _names(library.root / NAMES, [one.source for one in coded], work / NAMES)
    prepare = ["prepare", "videos", "--root", str(staged), "--labels", str(labels), "--out", str(prepared), *names]
    fit = ["fit", "--model", model, "--data", str(prepared), "--out", str(detector), "--quiet"]
    detect = ["detect", *(str(one.path) for one in library.recordings.values()), "--model", str(detector)]
    outs = [library.made(FITTED, one) for one in library.recordings.values()]
    shutil.rmtree(tables, ignore_errors=True)
    return [
        Step(f"find the faces of {len(coded)} coded recordings", [*prepare, "--quiet", "--workers", "1"]),
        Step("fit and judge the detector", fit),
        Step(
            f"run it over {len(outs)} recordings", [*detect, "-o", f"{tables}/", "--quiet"],
            lambda: sum(out.is_file() for out in outs) / len(outs),
        ),
    ]  # fmt: skip


def _names(path: Path, sources: Sequence[str], out: Path) -> list[str]:
    """The rows of names.csv that are about the sources, as words for `prepare`; none where there is no such file."""
    if not path.is_file():
        return []
    columns = ("source", "face", "name")
    _, rows = read_rows(path, columns)
    index = Sources(sources)
    kept = [row for row in rows if index.find(row.get("source")) is not None]
    if not kept:
        return []
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *([as_cell(row.get(name)) for name in columns] for row in kept)])
    write_text(out, text.getvalue())
    return ["--names", str(out)]


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
