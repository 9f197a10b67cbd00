"""Reader `gft`: the Sayette Group Formation Task, groups of three strangers talking.

The formatting of its files is not public beyond its AUs and numbers of frames, so this reads what any of its forms must
have: a table per participant with a frame number and columns named after action units, and a video or a folder of
pictures of the same name. The official split comes from the user's own lists: every text or CSV file whose name has
`train` or `test` in it is searched for participants.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from duchenne.data.cells import split_cells
from duchenne.errors import InputError
from duchenne.facs import AU_SETS, au_column
from duchenne.preparing.sources.reading import (
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
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

SUBJECTS: Final = 96
GROUPS: Final = 32
FRAMES: Final = 172_800
"""1,800 of each participant (Girard et al. 2017)."""
SPLIT_FRAMES: Final = {"train": 108_000, "test": 24_600}
"""About as many as EmoCo and CLP state of the official split."""

_AU: Final = re.compile(r"(?:AU[_ ]?)?0?(\d{1,2})(?:_OCC)?", re.IGNORECASE)
_FRAME: Final = ("frame", "frame_number", "framenumber", "0")


def _read(tree: Tree, options: Options) -> Reading:
    labels, coded, others = _labels(tree)
    lists = {name: part for name in tree.names if (part := _part(name)) and (name in others or name.endswith(".txt"))}
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
    survey.uncoded(labels, aus)
    if passed_over := [name for name in others if name not in lists]:
        survey.notes.append(
            f"neither codes nor a list of one part of the split, so passed over: {listed(passed_over)}."
        )
    there = {subject for subject, name in videos.items() if not tree.stored(name).member}
    seen, uncoded = sorted(there & set(subjects)), sorted(there - set(subjects))
    more = uncoded if seen and options.frames == "all" else []
    split = _split(tree, lists, [*subjects, *more], survey)
    for part in ("train", "test") if split else ():
        found = sum(len(labels[subject, subject]) for subject in subjects if split.get(subject) == part)
        survey.count(f"{part} frames (about)", found, SPLIT_FRAMES[part])
    survey.lacks("pictures or videos of participants", subjects, {*videos, *(subject for subject, _ in frames)})
    reading = Reading(survey, aus, "occurrence")
    if not seen:
        reading.images = join(tree, survey, frames, labels, options, aus, split=split)
        return reading
    first = 0 if any(0 in rows for rows in labels.values()) else 1
    survey.notes.append(f"codes count from {first}: that is taken to be the first frame of every video.")
    if uncoded:
        kept = "kept without labels" if more else "left out (--frames all keeps them)"
        survey.notes.append(f"{len(uncoded)} videos have no codes: {kept}.")
    reading.videos = [
        coded_video(
            tree, videos[subject], subject, labels.get((subject, subject), {}), aus, first_frame=first,
            split=split.get(subject),
        )
        for subject in (*seen, *more)
    ]  # fmt: skip
    unseen = [clip for clip in labels if clip[0] not in seen]
    report_lost(survey, [(clip, number) for clip in unseen for number in labels[clip]], labels, aus, 1)
    return reading


def _labels(tree: Tree) -> tuple[dict[Clip, dict[int, Labels]], set[int], list[str]]:
    """The codes, the AUs, and the tables that hold no codes."""
    tables: dict[str, list[list[str]]] = {}
    others = []
    for _, name in tree.match(r"[^/]+\.csv"):
        lines = split_cells(tree.text(name), name)
        place, columns = _columns(lines[0]) if lines else (None, {})
        if place is None or not columns:
            others.append(name)
        else:
            tables[name] = lines
    labels: dict[Clip, dict[int, Labels]] = {}
    coded: set[int] = set()
    for subject, name in tree.unique((PurePosixPath(name).stem, name) for name in tables).items():
        names, *lines = tables[name]
        place, columns = _columns(names)
        assert place is not None
        rows: dict[int, Labels] = {}
        for number, cells in enumerate(lines, start=2):
            if not any(cells):
                continue
            if len(cells) < len(names):
                raise InputError(f"{name}, row {number}: has {len(cells)} of {len(names)} columns; check the file.")
            frame = frame_number(cells[place], name, number)
            if frame in rows:
                raise InputError(f"{name}, row {number}: frame {frame} occurs twice; check the file.")
            rows[frame] = {au_column(au): occurrence(cells[k], name, number) for k, au in columns.items()}
        labels[subject, subject] = rows
        coded |= set(columns.values())
    return labels, coded, others


def _columns(header: list[str]) -> tuple[int | None, dict[int, int]]:
    """Where the frame number stands, and place -> AU."""
    place = next((k for k, cell in enumerate(header) if cell.lower() in _FRAME), None)
    return place, {k: int(au[1]) for k, cell in enumerate(header) if k != place and (au := _AU.fullmatch(cell))}


def _part(name: str) -> str:
    """The part whose list a file is, by its name; empty where it is none, or names both."""
    file = PurePosixPath(name)
    found = set(re.findall(r"(?<![a-z])(train|test)", file.name.lower()))
    return found.pop() if len(found) == 1 and file.suffix.lower() in (".txt", ".csv") else ""


def _split(tree: Tree, lists: Mapping[str, str], subjects: list[str], survey: Survey) -> Mapping[str, str]:
    """subject -> train or test, from lists (name -> part) that name participants in whatever way."""
    split: dict[str, str] = {}
    for name, part in lists.items():
        text = tree.text(name)
        words = {*re.split(r"[^\w-]+", text), *re.split(r"[\W_]+", text)}
        for subject in subjects:
            if subject in words and split.setdefault(subject, part) != part:
                raise InputError(f"{name}: names {subject}, which another list puts into {split[subject]}; mend one.")
    if not split:
        who = f"; {listed([*lists])} names no participant" if lists else ""
        survey.missing.append(f"lists of the official split (a file with `train`, one with `test` in its name){who}")
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
