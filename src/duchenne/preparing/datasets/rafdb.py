"""Readers `rafdb` (RAF-DB, basic emotions) and `rafau` (RAF-AU): faces from the web, one label file each.

RAF-DB's label file is spelt `list_patition_label.txt`; its codes 1 to 7 are in an order of their own. RAF-AU joins the
action units of a picture by `+`, with L and R before those of one side of the face, and writes `null` where there is
none.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from duchenne.errors import InputError
from duchenne.facs import ACTION_UNITS, au_column
from duchenne.preparing.sources.points import Points
from duchenne.preparing.sources.reading import IMAGES, DataSet, Labels, Options, Reading, lone, positives
from duchenne.preparing.sources.survey import Survey, listed, without_column
from duchenne.preparing.sources.tree import Tree

CODES: Final = {
    1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral",
}  # fmt: skip
SPLITS: Final = {"train": 12_271, "test": 3_068}
RAFAU_PICTURES: Final = 4_601
RAFAU_AUS: Final = tuple(au for au in ACTION_UNITS if au != 45)
"""RAF-AU codes them all but the blink; its protocols take different subsets."""


def _read_rafdb(tree: Tree, options: Options) -> Reading:
    source = _only_list(tree, RAFDB, r"list_pa(?:r)?tition_label\.txt")
    survey, counts = Survey(), Counter[tuple[str, str]]()

    def key(found: re.Match[str]) -> str:
        return found[1].lower()

    aligned = tree.index(rf"((?:train|test)_\d+)_aligned{IMAGES}", key)
    original = tree.index(rf"((?:train|test)_\d+){IMAGES}", key)
    manual = tree.index(r"((?:train|test)_\d+)_manu_attri\.txt", key) if options.points else {}
    pictures = original if options.points else {**original, **aligned}
    images, absent, listed_stems = [], [], set[str]()
    for number, line in enumerate(tree.text(source).splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        name = re.fullmatch(rf"((?:train|test)_\d+)(?:_aligned)?{IMAGES}", cells[0], re.IGNORECASE)
        if len(cells) != 2 or not name or cells[1] not in map(str, CODES):
            raise InputError(f"{source}, row {number}: `{line.strip()}` is not `train_00001.jpg 5`; check the file.")
        stem, emotion = name[1].lower(), CODES[int(cells[1])]
        if stem in listed_stems:
            raise InputError(f"{source}, row {number}: {stem} stands there twice; check the file.")
        listed_stems.add(stem)
        split = stem.partition("_")[0]
        counts[split, emotion] += 1
        if stem not in pictures:
            absent.append(stem)
            continue
        place = manual.get(stem)
        # Five lines with points, then gender, race and age.
        points = Points(place=tree.stored(place), rows=5) if place else None
        images.append(lone(tree, pictures[stem], {"emotion": emotion, "split": split, "clip": stem}, points=points))
    for split, published in SPLITS.items():
        survey.count(f"{split} labels", sum(n for (part, _), n in counts.items() if part == split), published)
        for emotion in CODES.values():
            survey.count(f"{split}: {emotion}", counts[split, emotion])
    survey.missing += tree.problems
    if absent:
        survey.missing.append(f"{'original' if options.points else 'aligned or original'} pictures: {listed(absent)}")
    survey.count("pictures kept", len(images))
    survey.unlabelled(len({*aligned, *original} - listed_stems))
    return Reading(survey, images=images)


def _read_rafau(tree: Tree, options: Options) -> Reading:
    source = _only_list(tree, RAFAU, r"RAFAU_label\.txt")
    survey, rows = Survey(), dict[str, Labels]()
    others: Counter[int] = Counter()
    for number, line in enumerate(tree.text(source).splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        present = parse_units(cells[1]) if len(cells) == 2 else None
        name = re.fullmatch(rf"(\d+)(?:_aligned)?{IMAGES}", cells[0], re.IGNORECASE)
        if present is None or not name:
            raise InputError(f"{source}, row {number}: `{line.strip()}` is not `0001.jpg 1+2+L4`; check the file.")
        if name[1] in rows:
            raise InputError(f"{source}, row {number}: {name[1]} stands there twice; check the file.")
        others.update(au for au in present if au not in RAFAU_AUS)
        rows[name[1]] = {au_column(au): int(au in present) for au in RAFAU_AUS}
    pictures = {
        **tree.index(rf"(\d+){IMAGES}", lambda found: found[1]),
        **tree.index(rf"(\d+)_aligned{IMAGES}", lambda found: found[1]),
    }
    images = [lone(tree, pictures[stem], {**row, "clip": stem}) for stem, row in rows.items() if stem in pictures]
    survey.count("labels", len(rows), RAFAU_PICTURES)
    for au, found in sorted(positives(rows.values(), RAFAU_AUS, 1).items()):
        survey.count(f"AU{au} positive", found)
    survey.missing += tree.problems
    absent = sorted(set(rows) - set(pictures))
    if absent:
        survey.missing.append(f"pictures: {listed(absent)}")
    survey.count("pictures kept", len(images))
    survey.unlabelled(len(set(pictures) - set(rows)))
    if others:
        survey.notes.append(without_column(others))
    return Reading(survey, RAFAU_AUS, "occurrence", images)


def _only_list(tree: Tree, data_set: DataSet, pattern: str) -> str:
    """The one file of labels; of two, as where basic and compound emotions lie side by side, nobody can choose."""
    lists = [name for _, name in tree.match(pattern)]
    if not lists:
        raise data_set.nothing(tree)
    if len(lists) > 1:
        raise InputError(
            f"{tree.root}: holds {len(lists)} files of labels ({listed(lists)}); name a --root that holds only one."
        )
    return lists[0]


def parse_units(text: str) -> set[int] | None:
    """The action units of `1+2+L4`, both sides taken together; none of `null`; None where it is something else."""
    if text.lower() == "null":
        return set()
    found = [re.fullmatch(r"[LR]?(\d{1,2})", part.strip(), re.IGNORECASE) for part in text.split("+")]
    return {int(match[1]) for match in found if match} if all(found) else None


_LICENCE: Final = "by application to Beijing University of Posts and Telecommunications, research only"

RAFDB: Final[DataSet] = DataSet(
    name="rafdb",
    title="RAF-DB (basic)",
    about="15,339 pictures with 7 emotions",
    read=_read_rafdb,
    layout=("EmoLabel/list_patition_label.txt", "Image/aligned/train_00001_aligned.jpg"),
    licence=_LICENCE,
    options=frozenset({"points"}),
)
RAFAU: Final[DataSet] = DataSet(
    name="rafau",
    title="RAF-AU",
    about="4,601 pictures with action units",
    read=_read_rafau,
    layout=("RAFAU_label.txt", "aligned/0001_aligned.jpg"),
    licence=_LICENCE,
)
