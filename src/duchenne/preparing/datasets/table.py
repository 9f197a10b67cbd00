"""Reader `table`: images named by a CSV, with whatever is known about each.

Needed is the column `path`; `subject, clip, frame, time_s, split, emotion`, `AUxx` (0 or 1) and `AUxx_i` (0 to 5 or A
to E) may be given; empty cells and marks such as `NA` or 9 are unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from duchenne.data.cells import (
    Row,
    au_columns,
    not_read_note,
    read_rows,
    unknown_aus_note,
    unknown_labels_note,
)
from duchenne.data.stored.frames import RANGES
from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, EMOTIONS
from duchenne.preparing.codes.names import alike_note
from duchenne.preparing.codes.video_codes import row_labels
from duchenne.preparing.sources.parts import Plan, TableImage, plan_images
from duchenne.preparing.sources.tree import check_root

_COLUMNS: Final = ("path", "subject", "clip", "frame", "time_s", "split", "emotion")
SPLITS: Final = ("train", "validation", "test")


def plan_table(root: Path, table: Path, *, detect: bool = True) -> Plan:
    """Reads the table and groups its images, sorted by subject, clip, frame and path.

    Args:
        root: the folder that the paths start from.
        table: the CSV.
        detect: whether faces are to be found and aligned.

    Raises:
        InputError: for a table without `path`, values out of range, an image or (subject, clip, frame) named twice, or
            an image of two subjects.
    """
    check_root(root)
    header, rows = read_rows(table, ("path",))
    if "clip" in header and "frame" not in header:
        raise InputError(f"{table}: has a column `clip` but no `frame`; add it, so that the frames have an order.")
    columns = au_columns(table, header)
    notes = [
        *unknown_aus_note(table, {au for _, au, _ in columns}),
        *not_read_note(table, header, {*_COLUMNS, *(column for column, *_ in columns)}),
        *unknown_labels_note(table, rows, [column for column, *_ in columns]),
    ]
    columns = [column for column in columns if column[1] in ACTION_UNITS]
    images, seen, whose = [], dict[Any, int](), dict[str, tuple[str | None, int]]()
    for row in rows:
        image = _image(root, row, columns)
        values = image.values
        key = (values["subject"], values["clip"], values["frame"])
        if key in seen:
            what = (
                f"subject {key[0]}, clip {key[1]}, frame {key[2]}" if "clip" in header else f"the image {image.source}"
            )
            raise InputError(f"{table}, row {row.number}: {what} is already in row {seen[key]}; remove one of the two.")
        subject, number = whose.setdefault(image.source, (values["subject"], row.number))
        if subject != values["subject"]:
            raise InputError(
                f"{table}, row {row.number}: the image {image.source} is of another subject in row {number}; correct "
                "one of the two."
            )
        seen[key] = row.number
        images.append(image)
    notes += alike_note(table, (subject for subject, _ in whose.values() if subject))
    aus = tuple(sorted({au for _, au, _ in columns}))
    kind: Literal["none", "occurrence", "intensity"]
    kind = "intensity" if any(intensity for *_, intensity in columns) else "occurrence" if aus else "none"
    return plan_images(images, aus, kind, detect=detect, notes=notes)


def _image(root: Path, row: Row, columns: list[tuple[str, int, bool]]) -> TableImage:
    name = row.get("path").replace("\\", "/")
    if not name:
        raise row.error("path", "is empty; fill it in.")
    path = Path(name) if Path(name).is_absolute() else root / name
    source = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    frame, (low_s, high_s) = row.whole_number_of("frame"), RANGES["time_s"]
    values = {
        "subject": row.get("subject") or None,
        "clip": row.get("clip") or source,
        "frame": 0 if frame is None else frame,
        "time_s": row.number_of("time_s", low=low_s, high=high_s),
        "split": _one_of(row, "split", SPLITS, {"val": "validation", "valid": "validation", "training": "train"}),
        "emotion": _one_of(row, "emotion", EMOTIONS, {}),
        **row_labels(row, columns),
    }
    return TableImage(path, source, values)


def _one_of(row: Row, column: str, allowed: tuple[str, ...], also: dict[str, str]) -> str | None:
    text = row.get(column).lower()
    value = also.get(text, text)
    if value and value not in allowed:
        raise row.error(column, f"`{text}` is not one of {', '.join(allowed)}; correct it.")
    return value or None
