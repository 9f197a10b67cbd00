"""Reader `affectnet`: both releases of AffectNet.

The first has tables with the place of the face, 68 landmarks and the expression of every picture; the second, of 2021,
cropped faces with an `.npy` file per picture and annotation. Expressions are codes, which some copies hold as text.
The validation set is what everyone reports on, so it becomes the split `test`, which pretraining never uses.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from duchenne.data.datasets.parts import TableImage
from duchenne.data.datasets.points import Points
from duchenne.data.datasets.reading import IMAGES, DataSet, Options, Reading, lone
from duchenne.data.datasets.survey import Survey
from duchenne.data.datasets.tree import Tree
from duchenne.errors import InputError
from duchenne.facs import EMOTIONS

NO_EMOTION: Final = {8: "none", 9: "uncertain", 10: "no face"}
"""Codes beside those of `facs.EMOTIONS`, which are 0 to 7."""
VALIDATION: Final = {7: 3_500, 8: 4_000}
"""Pictures of the validation set with 7 and 8 emotions: 500 each."""
COLUMNS: Final = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
"""Of the first release's tables; the header of `validation.csv` is missing in some copies."""
TRAINING: Final = {8: 287_651}
"""Pictures of the second release's training set (8 emotions)."""


def _read(tree: Tree, options: Options) -> Reading:
    survey, reading = Survey(), Reading(Survey())
    kept: list[TableImage] = []
    counts: Counter[tuple[str, str]] = Counter()
    absent: Counter[str] = Counter()
    found_any = False
    for split, name, code, path, points in [*_first_release(tree, options), *_second_release(tree, options)]:
        found_any = True
        emotion = EMOTIONS[code] if 0 <= code < options.emotions else None
        counts[split, emotion or NO_EMOTION.get(code, "contempt")] += 1
        if path is None:
            absent[split] += 1
        elif emotion is not None:
            kept.append(lone(tree, path, {"emotion": emotion, "split": split, "clip": name}, points=points))
    if not found_any:
        raise AFFECTNET.nothing(tree)
    for split, published in (("train", TRAINING), ("test", VALIDATION)):
        for emotion in dict.fromkeys([*EMOTIONS, *NO_EMOTION.values()]):
            if counts[split, emotion]:
                survey.count(f"{split}: {emotion}", counts[split, emotion])
        total = sum(number for (part, name), number in counts.items() if part == split and name in _used(options))
        survey.count(f"{split}: with an emotion", total, published.get(options.emotions))
    survey.missing += tree.problems
    for split, number in absent.items():
        survey.missing.append(f"pictures of {number:,} labels of the split {split}")
    survey.count("pictures kept", len(kept))
    left = sum(number for (_, name), number in counts.items() if name not in _used(options))
    if left:
        survey.notes.append(f"{left:,} pictures without one of the {options.emotions} emotions are left out.")
    reading.survey, reading.images = survey, kept
    return reading


def _used(options: Options) -> tuple[str, ...]:
    return EMOTIONS[: options.emotions]


Row = tuple[str, str, int, str | None, Points | None]
"""Split, name, code of the expression, picture, landmarks."""


def _first_release(tree: Tree, options: Options) -> Iterator[Row]:
    tables = [name for name in tree.names if re.search(r"(?:^|/)(training|validation)\.csv$", name, re.IGNORECASE)]
    pictures = tree.index(rf"([^/]+/[^/]+{IMAGES})", lambda found: found[1].lower()) if tables else {}
    for table in tables:
        split = "test" if "validation" in PurePosixPath(table).name.lower() else "train"
        text = tree.text(table)
        headed = "expression" in text.partition("\n")[0]
        rows = csv.DictReader(io.StringIO(text), None if headed else COLUMNS)
        for number, row in enumerate(rows, start=1 + headed):
            name = (row.get("subDirectory_filePath") or "").strip()
            if not name or row.get("expression") is None:
                raise InputError(f"{table}, row {number}: lacks subDirectory_filePath or expression; check the file.")
            points = None
            if options.points and row.get("facial_landmarks"):
                points = Points(values=_numbers(row["facial_landmarks"], f"{table}, row {number}"))
            yield split, name, _code(row["expression"], f"{table}, row {number}"), pictures.get(name.lower()), points


def _second_release(tree: Tree, options: Options) -> Iterator[Row]:
    def key(found: re.Match[str]) -> tuple[str, str]:
        return ("test" if found[1].lower() == "val" else "train"), found[2]

    pictures = tree.index(rf"(train|val)_set/(?:images/)?(\d+){IMAGES}", key)
    landmarks = tree.index(r"(train|val)_set/(?:annotations/)?(\d+)_lnd\.npy", key) if options.points else {}
    for (split, number), name in tree.index(r"(train|val)_set/(?:annotations/)?(\d+)_exp\.npy", key).items():
        try:
            value = np.load(io.BytesIO(tree.data(name)), allow_pickle=False)
            text = str(value.item())
        except ValueError as error:
            raise InputError(f"{name}: cannot be read as an annotation ({error}); fetch it again.") from error
        place = landmarks.get((split, number))
        points = Points(place=tree.stored(place)) if place else None
        yield split, f"{split}/{number}", _code(text, name), pictures.get((split, number)), points


def _code(text: str, where: str) -> int:
    try:
        code = int(float(text))
    except ValueError:
        code = -1
    if code not in range(len(EMOTIONS)) and code not in NO_EMOTION:
        raise InputError(f"{where}: `{text}` is not an expression from 0 to 10; check the file.")
    return code


def _numbers(text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(cell) for cell in text.split(";") if cell.strip())
    except ValueError:
        raise InputError(f"{where}: facial_landmarks are not numbers; check the file.") from None


AFFECTNET: Final[DataSet] = DataSet(
    name="affectnet",
    title="AffectNet",
    about="pictures with 8 emotions, both releases",
    read=_read,
    layout=(
        "Manually_Annotated_file_lists/training.csv with Manually_Annotated_Images/1/NAME.jpg (first release)",
        "train_set/images/0.jpg with train_set/annotations/0_exp.npy (second)",
    ),
    licence="by signed agreement with the University of Denver, research only, no redistribution",
    options=frozenset({"emotions", "points"}),
)
