"""Reader `aff_wild2`: the action-unit part of Aff-Wild2, cropped pictures of videos from the web.

A file per video has a header with the AUs and a row of 0, 1 or -1 (invalid) per frame; row n, counted from 1 below the
header, belongs to the picture `VIDEO/0000n.jpg`. Pictures exist only where a face was found. The test set's labels were
never released, and results are reported on the validation set, so that becomes the split `test`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

from duchenne.errors import InputError
from duchenne.facs import au_column
from duchenne.preparing.sources.reading import (
    IMAGES,
    Clip,
    DataSet,
    Labels,
    Options,
    Reading,
    chosen,
    join,
    occurrence,
    positives,
)
from duchenne.preparing.sources.survey import Survey
from duchenne.preparing.sources.tree import Tree

_OF_AUS: Final = re.compile(r"(?:^|/)AU[^/]*/(?:Train|Validation)_Set/", re.IGNORECASE)
AUS: Final = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)


def _read(tree: Tree, options: Options) -> Reading:
    def key(found: re.Match[str]) -> tuple[str, str]:
        return ("train" if found[1].lower() == "train" else "test"), found[2]

    labels: dict[Clip, dict[int, Labels]] = {}
    split: dict[str, str] = {}
    unusable = 0
    # The valence and the expression part have folders of the same names.
    tables = [(key(found), name) for found, name in tree.match(r"(Train|Validation)_Set/([^/]+)\.txt")]
    contents = {name: (_columns(text := tree.text(name)), text.splitlines()[1:]) for _, name in tables}
    wrong = [name for name, (columns, _) in contents.items() if not columns and _OF_AUS.search(name)]
    if wrong:
        raise InputError(f"{wrong[0]}: its first line is no header (AU1,AU2 ...); check the file.")
    coded = tree.unique((clip, name) for clip, name in tables if contents[name][0])
    for (part, video), name in coded.items():
        columns, lines = contents[name]
        if split.setdefault(video, part) != part:
            raise InputError(f"{name}: {video} is in the training and the validation set; remove one.")
        rows: dict[int, Labels] = {}
        for number, line in enumerate(lines, start=1):
            cells = line.split(",")
            if not line.strip():
                continue
            if len(cells) != len(columns):
                raise InputError(f"{name}, row {number + 1}: has {len(cells)} of {len(columns)} columns; check it.")
            row = {au_column(au): occurrence(cell, name, number + 1) for au, cell in zip(columns, cells, strict=True)}
            if any(value is not None for value in row.values()):
                rows[number] = row
            else:
                unusable += 1
        labels[video, video] = rows
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    pictures = [((m[1], int(m[2])), name) for m, name in tree.match(rf"([^/]+)/(\d{{5}}){IMAGES}")]
    aligned = tree.unique((place, name) for place, name in pictures if "aligned" in name.lower())
    cropped = tree.unique((place, name) for place, name in pictures if "aligned" not in name.lower())
    for (video, number), name in (aligned or cropped).items():
        frames[video, video][number] = name
    if not labels:
        raise AFF_WILD2.nothing(tree)
    aus, survey = chosen(options, AUS, AUS), Survey()
    for part in ("train", "test"):
        videos = [video for video in split if split[video] == part]
        survey.count(f"{part} videos", len(videos))
        survey.count(f"{part} frames with labels", sum(len(labels[video, video]) for video in videos))
    for au, number in sorted(positives((r for rows in labels.values() for r in rows.values()), aus, 1).items()):
        survey.count(f"AU{au} positive", number)
    survey.missing += tree.problems
    survey.uncoded(labels, aus)
    survey.lacks("pictures of videos", split, {video for video, _ in frames})
    if unusable:
        survey.notes.append(f"{unusable:,} rows are marked as invalid (-1) throughout.")
    if aligned and cropped:
        survey.notes.append("there are both cropped and aligned pictures: the aligned ones are used.")
    images = join(tree, survey, frames, labels, options, aus, split=split)
    return Reading(survey, aus, "occurrence", images)


def _columns(text: str) -> list[int]:
    """The AUs that the header names; none where the file codes something else."""
    header = text.partition("\n")[0]
    found = [re.fullmatch(r"AU0?(\d{1,2})", cell.strip(), re.IGNORECASE) for cell in header.split(",")]
    return [int(match[1]) for match in found if match] if all(found) else []


AFF_WILD2: Final[DataSet] = DataSet(
    name="aff_wild2",
    title="Aff-Wild2",
    about="videos from the web: cropped pictures and 12 action units",
    read=_read,
    layout=("AU_Set/Train_Set/VIDEO.txt", "cropped_aligned/VIDEO/00001.jpg"),
    licence="by signed agreement with Imperial College London, research only, no redistribution",
    options=frozenset({"frames"}),
)
