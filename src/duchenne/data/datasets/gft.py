"""Reader `gft`: the Sayette Group Formation Task, groups of three strangers talking.

The formatting of its files is not public beyond its AUs and numbers of frames, so this reads what any of its forms must
have: a table per participant with a frame number and columns named after action units, and a video or a folder of
pictures of the same name. The official split comes from the user's own lists: every text or CSV file whose name has
`train` or `test` in it is searched for participants.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from duchenne.data.datasets.reading import (
    IMAGES,
    VIDEOS,
    Clip,
    DataSet,
    Labels,
    Options,
    Reading,
    chosen,
    coded_video,
    frame_number,
    join,
    occurrence,
    positives,
    report_lost,
)
from duchenne.data.datasets.survey import Survey, listed
from duchenne.data.datasets.tree import Tree
from duchenne.errors import InputError
from duchenne.facs import AU_SETS, au_column

SUBJECTS: Final = 96
GROUPS: Final = 32
FRAMES: Final = 172_800
"""1,800 of each participant (Girard et al. 2017)."""
SPLIT_FRAMES: Final = {"train": 108_000, "test": 24_600}
"""About as many as EmoCo and CLP state of the official split."""

_AU: Final = re.compile(r"(?:AU[_ ]?)?0?(\d{1,2})(?:_OCC)?", re.IGNORECASE)
_FRAME: Final = ("frame", "frame_number", "framenumber", "0")
_LIST: Final = re.compile(r"[^/]*(train|test)[^/]*\.(?:txt|csv)$", re.IGNORECASE)


def _read(tree: Tree, options: Options) -> Reading:
    split_files = [name for name in tree.names if _LIST.search(name)]
    labels, coded = _labels(tree, set(split_files))
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    pictures = tree.index(rf"([^/]+)/(?:[^/]*[^/\d])?(\d+){IMAGES}", lambda found: (found[1], int(found[2])))
    for (subject, number), name in pictures.items():
        frames[subject, subject][number] = name
    videos = tree.index(rf"([^/]+){VIDEOS}", lambda found: found[1])
    if not labels or not coded:
        raise GFT.nothing(tree)
    aus, survey = chosen(options, AU_SETS["gft"], coded), Survey()
    subjects = sorted(subject for subject, _ in labels)
    survey.count("coded participants", len(subjects), SUBJECTS)
    survey.count("groups", len({re.sub(r"\D*$", "", subject) for subject in subjects}), GROUPS)
    survey.count("coded frames", sum(map(len, labels.values())), FRAMES)
    for au, number in sorted(positives((r for rows in labels.values() for r in rows.values()), aus, 1).items()):
        survey.count(f"AU{au} positive", number)
    survey.missing += tree.problems
    survey.lacks("columns", [f"AU{au}" for au in AU_SETS["gft"]], [f"AU{au}" for au in coded])
    split = _split(tree, split_files, subjects, survey)
    for part in ("train", "test") if split else ():
        found = sum(len(labels[subject, subject]) for subject in subjects if split.get(subject) == part)
        survey.count(f"{part} frames (about)", found, SPLIT_FRAMES[part])
    survey.lacks("pictures or videos of participants", subjects, {*videos, *(subject for subject, _ in frames)})
    reading = Reading(survey, aus, "occurrence")
    seen = [subject for subject in subjects if subject in videos and not tree.stored(videos[subject]).member]
    if not seen:
        reading.images = join(tree, survey, frames, labels, options, aus, split=split)
        return reading
    first = 0 if any(0 in rows for rows in labels.values()) else 1
    survey.notes.append(f"codes count from {first}: that is taken to be the first frame of every video.")
    reading.videos = [
        coded_video(
            tree, videos[subject], subject, labels[subject, subject], aus, first_frame=first, split=split.get(subject)
        )
        for subject in seen
    ]
    unseen = [clip for clip in labels if clip[0] not in seen]
    report_lost(survey, [(clip, number) for clip in unseen for number in labels[clip]], labels, aus, 1)
    return reading


def _labels(tree: Tree, lists: set[str]) -> tuple[dict[Clip, dict[int, Labels]], set[int]]:
    labels: dict[Clip, dict[int, Labels]] = {}
    coded: set[int] = set()
    for subject, name in tree.index(r"([^/]+)\.csv", lambda found: PurePosixPath(found[0]).stem).items():
        if name in lists:
            continue
        header, *lines = list(csv.reader(tree.text(name).splitlines())) or [[]]
        names = [cell.strip() for cell in header]
        place = next((k for k, cell in enumerate(names) if cell.lower() in _FRAME), None)
        columns = {k: int(found[1]) for k, cell in enumerate(names) if k != place and (found := _AU.fullmatch(cell))}
        if place is None or not columns:
            continue  # another table than of codes
        rows: dict[int, Labels] = {}
        for number, cells in enumerate(lines, start=2):
            if not any(cells):
                continue
            if len(cells) < len(names):
                raise InputError(f"{name}, row {number}: has {len(cells)} of {len(names)} columns; check the file.")
            frame = frame_number(cells[place], name, number)
            if frame in rows:
                raise InputError(f"{name}, row {number}: frame {frame} stands there twice; check the file.")
            rows[frame] = {au_column(au): occurrence(cells[k], name, number) for k, au in columns.items()}
        labels[subject, subject] = rows
        coded |= set(columns.values())
    return labels, coded


def _split(tree: Tree, files: list[str], subjects: list[str], survey: Survey) -> Mapping[str, str]:
    """subject -> train or test, from lists that name participants in whatever way."""
    split: dict[str, str] = {}
    for name in files:
        found = _LIST.search(name)
        assert found
        part = found[1].lower()
        words = set(re.split(r"[^\w-]+", tree.text(name)))
        for subject in subjects:
            if subject in words and split.setdefault(subject, part) != part:
                raise InputError(f"{name}: names {subject}, which another list puts into {split[subject]}; mend one.")
    if not split:
        survey.missing.append("lists of the official split (a file with `train` and one with `test` in its name)")
    elif absent := [subject for subject in subjects if subject not in split]:
        survey.notes.append(f"in neither list of the split: {listed(absent)}.")
    return split


GFT: Final[DataSet] = DataSet(
    name="gft",
    title="GFT",
    about="96 people in groups of three: a table per participant, and videos or their frames",
    read=_read,
    layout=("001A.csv (a column `frame`, and columns AU1 ...)", "001A.mp4 or pictures 001A/0001.jpg"),
    licence="annotations CC-BY 4.0; recordings by signed agreement with the University of Pittsburgh",
    options=frozenset({"aus", "frames", "fps"}),
)
