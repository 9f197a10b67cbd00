"""Reader `affectnet`: both releases of AffectNet.

The first has tables with the place of the face, 68 landmarks and the expression of every picture; the second, of 2021,
cropped faces with an `.npy` file per picture and annotation. Expressions are codes, which some copies hold as text.
The validation set is what everyone reports on, so it becomes the split `test`, which pretraining never uses.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from duchenne.data.cells import cells_of
from duchenne.errors import InputError
from duchenne.facs import EMOTIONS
from duchenne.preparing.sources.parts import TableImage
from duchenne.preparing.sources.points import Points, load_array
from duchenne.preparing.sources.reading import IMAGES, DataSet, Options, Reading, lone
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

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
    tables = [*tree.index(r"(training|validation)\.csv", lambda found: found[1].lower()).values()]
    annotations = tree.index(r"(train|val)_set/(?:annotations/)?(\d+)_exp\.npy", _key)
    if tables and annotations:
        both = f"{tables[0]}, {min(annotations.values())}"
        raise InputError(f"{tree.root}: holds both releases of AffectNet ({both}); name a --root that holds one.")
    if not tables and not annotations:
        raise AFFECTNET.nothing(tree)
    survey, kept = Survey(), list[TableImage]()
    counts: Counter[tuple[str, str]] = Counter()
    absent: dict[str, list[str]] = defaultdict(list)
    by_name, by_number = dict[str, str](), dict[tuple[str, str], str]()
    if tables:
        by_name = tree.index(rf"([^/]+/[^/]+{IMAGES})", lambda found: found[1].lower())
        rows = _first_release(tree, tables, by_name, options)
    else:
        by_number = tree.index(rf"(train|val)_set/(?:images/)?(\d+){IMAGES}", _key)
        rows = _second_release(tree, annotations, by_number, options)
    labelled = set[str]()
    told: dict[str, tuple[str, int]] = {}
    repeated = 0
    for split, name, code, path, points in rows:
        if name.lower() in told:
            if told[name.lower()] != (split, code):
                raise InputError(f"{tree.root}: {name} is labelled twice, differently or in both splits; keep one row.")
            repeated += 1
            continue
        told[name.lower()] = split, code
        emotion = EMOTIONS[code] if 0 <= code < options.emotions else None
        counts[split, emotion or NO_EMOTION.get(code, "contempt")] += 1
        if path is None:
            absent[split].append(name)
            continue
        labelled.add(path)
        if emotion is not None:
            kept.append(lone(tree, path, {"emotion": emotion, "split": split, "clip": name}, points=points))
    for split, published in (("train", TRAINING), ("test", VALIDATION)):
        for emotion in dict.fromkeys([*EMOTIONS, *NO_EMOTION.values()]):
            if counts[split, emotion]:
                survey.count(f"{split}: {emotion}", counts[split, emotion])
        total = sum(number for (part, name), number in counts.items() if part == split and name in _used(options))
        survey.count(f"{split}: with an emotion", total, published.get(options.emotions))
    survey.missing += tree.problems
    for split, names in absent.items():
        survey.missing.append(f"pictures of {len(names):,} labels of the split {split}: {listed(names)}")
    survey.count("pictures kept", len(kept))
    left = sum(number for (_, name), number in counts.items() if name not in _used(options))
    if left:
        survey.notes.append(f"{left:,} pictures without one of the {options.emotions} emotions are left out.")
    if repeated:
        survey.notes.append(f"{repeated:,} rows name a picture again, labelled alike: counted once.")
    survey.unlabelled(len({*by_name.values(), *by_number.values()} - labelled))
    return Reading(survey, images=kept)


def _used(options: Options) -> tuple[str, ...]:
    return EMOTIONS[: options.emotions]


Row = tuple[str, str, int, str | None, Points | None]
"""Split, name, code of the expression, picture, landmarks."""


def _first_release(tree: Tree, tables: list[str], pictures: Mapping[str, str], options: Options) -> Iterator[Row]:
    for table in tables:
        split = "test" if "validation" in PurePosixPath(table).name.lower() else "train"
        header: Sequence[str] = COLUMNS
        # Half a gigabyte, so line by line; landmarks have semicolons between them.
        for number, cells in enumerate(cells_of(tree.text(table), table, ","), start=1):
            if number == 1 and "expression" in cells:
                header = cells
                continue
            if not any(cells):
                continue
            row = dict(zip(header, cells))
            name = row.get("subDirectory_filePath", "")
            if not name or not row.get("expression"):
                raise InputError(f"{table}, row {number}: lacks subDirectory_filePath or expression; check the file.")
            points = None
            if options.points and row.get("facial_landmarks"):
                points = Points(values=_numbers(row["facial_landmarks"], f"{table}, row {number}"))
            yield split, name, _code(row["expression"], f"{table}, row {number}"), pictures.get(name.lower()), points


def _key(found: re.Match[str]) -> tuple[str, str]:
    return ("test" if found[1].lower() == "val" else "train"), found[2]


def _second_release(
    tree: Tree,
    annotations: Mapping[tuple[str, str], str],
    pictures: Mapping[tuple[str, str], str],
    options: Options,
) -> Iterator[Row]:
    landmarks = tree.index(r"(train|val)_set/(?:annotations/)?(\d+)_lnd\.npy", _key) if options.points else {}
    for (split, number), name in annotations.items():
        value = load_array(tree.data(name), name)
        if value.size != 1:
            raise InputError(f"{name}: holds {value.size} values, not one expression; fetch it again.")
        place = landmarks.get((split, number))
        points = Points(place=tree.stored(place)) if place else None
        yield split, f"{split}/{number}", _code(str(value.item()), name), pictures.get((split, number)), points


def _code(text: str, where: str) -> int:
    try:
        code = float(text)
    except ValueError:
        code = -1.0
    if code not in range(len(EMOTIONS)) and code not in NO_EMOTION:
        raise InputError(f"{where}: `{text}` is not an expression from 0 to 10; check the file.")
    return int(code)


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
