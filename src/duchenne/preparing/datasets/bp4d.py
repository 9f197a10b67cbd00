"""Readers `bp4d` and `bp4d_plus`: spontaneous expressions, pictures per subject and task, codes per sequence.

Both come as `SUBJECT/TASK/FRAME.jpg`, unpacked or in a zip archive per subject, with a table of occurrences per
sequence and, for five action units, tables of intensities. As rPPG-Toolbox and AU_R-CNN read them:

- A table of occurrences has a header whose first column is called `0` (the frame number) and whose others are AU
  numbers. Which AUs, and what the last column means, differs by release, so columns go by name. 9 is not codable.
- A table of intensities has no header: frame and intensity, 9 is invalid.
- Only a window of each sequence is coded. The frame numbers in file names have 1 to 5 digits, so they go by value.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from duchenne.data.cells import split_cells
from duchenne.data.partitions import BP4D_PARTS, BP4D_PLUS_PARTS, everyone
from duchenne.errors import InputError
from duchenne.facs import AU_SETS, au_column, intensity_column
from duchenne.preparing.sources.points import Points, sequence_points
from duchenne.preparing.sources.reading import (
    IMAGES,
    Clip,
    DataSet,
    Labels,
    Options,
    Reading,
    chosen,
    frame_number,
    intensity,
    join,
    occurrence,
    positives,
)
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

RATE: Final = 25.0
"""Frames per second (Zhang et al. 2014, section 3.2)."""
SUBJECTS: Final = everyone(BP4D_PARTS)
TASKS: Final = tuple(f"T{number}" for number in range(1, 9))
CODED_FRAMES: Final = 146_847
"""Coded frames in ME-GraphAU's lists; JAA-Net's lists have 146,576 and FG-Net's 146,423, for want of landmarks."""
PRESENT_PERCENT: Final = dict(
    zip(AU_SETS["bp4d"], (21.1, 17.0, 20.3, 46.1, 54.9, 59.4, 56.2, 46.6, 16.9, 34.4, 16.5, 15.2), strict=True)
)
"""Share of frames with each AU in FG-Net's lists, all folds."""
PLUS_SUBJECTS: Final = everyone(BP4D_PLUS_PARTS)
PLUS_TASKS: Final = tuple(f"T{number}" for number in range(1, 11))
PLUS_CODED_TASKS: Final = ("T1", "T6", "T7", "T8")

_SEQUENCE: Final = r"([FM]\d{3})_(T\d{1,2})"


@dataclass(frozen=True)
class _Release:
    """What differs between the two."""

    subjects: tuple[str, ...]
    tasks: tuple[str, ...]
    coded_tasks: tuple[str, ...]
    coded_frames: int | None = None
    present_percent: Mapping[int, float] | None = None


def _read(tree: Tree, options: Options, release: _Release, data_set: DataSet) -> Reading:
    frames = _frames(tree)
    labels, coded, unused = _labels(tree)
    if not frames and not labels:
        raise data_set.nothing(tree)
    aus, survey = chosen(options, AU_SETS["bp4d"], coded), Survey()
    subjects = {subject for subject, _ in (*frames, *labels)}
    survey.count("subjects", len(subjects), len(release.subjects))
    survey.count("sequences with pictures", len(frames), len(release.subjects) * len(release.tasks))
    survey.count("coded sequences", len(labels), len(release.subjects) * len(release.coded_tasks))
    coded_frames = sum(map(len, labels.values()))
    survey.count("coded frames", coded_frames, release.coded_frames)
    present = positives((row for rows in labels.values() for row in rows.values()), aus, 1)
    for au in aus if coded_frames else ():
        known = sum(row.get(au_column(au)) is not None for rows in labels.values() for row in rows.values())
        published = (release.present_percent or {}).get(au)
        survey.count(f"AU{au} present, %", round(100 * present[au] / max(1, known), 1), published)
    survey.missing += tree.problems
    survey.lacks("subjects", release.subjects, subjects)
    survey.uncoded(labels, aus)
    wanted = {(subject, task) for subject in subjects for task in release.tasks}
    survey.lacks("pictures of sequences", _names(wanted), _names(frames))
    survey.lacks("codes of sequences", _names(c for c in wanted if c[1] in release.coded_tasks), _names(labels))
    if unused:
        what = listed([f"{' '.join(clip)} ({number})" for clip, number in sorted(unused.items())])
        survey.notes.append(f"intensities without an occurrence are left out: {what}.")
    points = _points(tree, frames, survey) if options.points else None
    images = join(tree, survey, frames, labels, options, aus, rate=RATE, points=points)
    strong = any(intensity_column(au) in row for rows in labels.values() for row in rows.values() for au in aus)
    return Reading(survey, aus, "intensity" if strong else "occurrence" if labels else "none", images)


def _points(
    tree: Tree, frames: Mapping[Clip, Mapping[int, str]], survey: Survey
) -> Callable[[Clip, int], Points | None]:
    """The tracked landmarks that come with BP4D (`2DFeatures/F001_T1.mat`): one entry for each picture of a sequence.

    Entries carry no frame numbers, so a sequence of which there are more or fewer pictures than entries has none.
    """
    files = tree.index(rf"2DFeatures/{_SEQUENCE}\.mat", lambda found: (found[1].upper(), found[2].upper()))
    import numpy as np  # not needed for --help

    entry: dict[tuple[Clip, int], Points] = {}
    lacking, uneven = [], []
    for clip, numbers in frames.items():
        if clip not in files:
            lacking.append(" ".join(clip))
            continue
        place = tree.stored(files[clip])
        tracked = sequence_points(place)
        if len(tracked) != len(numbers):
            uneven.append(f"{' '.join(clip)} ({len(tracked)} entries, {len(numbers)} pictures)")
            continue
        for place_in, number in enumerate(sorted(numbers)):
            if not np.isnan(tracked[place_in]).any():
                entry[clip, number] = Points(place=place, entry=place_in)
    if not entry:
        raise InputError(
            f"{tree.root}: --alignment dataset needs the landmarks that come with BP4D (2DFeatures/F001_T1.mat ...), "
            "with an entry for each picture, and there are none; fetch them or choose another alignment."
        )
    if lacking:
        survey.missing.append(f"landmarks of sequences (2DFeatures/F001_T1.mat ...): {listed(lacking)}")
    if uneven:
        survey.missing.append(f"landmarks that cannot be assigned to pictures: {listed(uneven)}")
    return lambda clip, number: entry.get((clip, number))


def _names(clips: Iterable[Clip]) -> list[str]:
    return [" ".join(clip) for clip in clips]


def _frames(tree: Tree) -> dict[Clip, dict[int, str]]:
    def key(found: re.Match[str]) -> tuple[str, str, int]:
        return found[1].upper(), found[2].upper(), int(found[3])

    found = (
        (key(match), name)
        for match, name in tree.match(rf"([FM]\d{{3}})(?:\.zip)?[/_](T\d{{1,2}})/(\d+){IMAGES}")
        if "thermal" not in name.lower()  # BP4D+: infrared pictures are named alike
    )
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    for (subject, task, number), name in tree.unique(found).items():
        frames[subject, task][number] = name
    return frames


def _labels(tree: Tree) -> tuple[dict[Clip, dict[int, Labels]], set[int], Counter[Clip]]:
    """The codes, the AUs, and how many intensities stand beside no occurrence."""

    def clip(found: re.Match[str]) -> Clip:
        return found[1].upper(), found[2].upper()

    tables = [(clip(found), name) for found, name in tree.match(rf"{_SEQUENCE}\.csv")]
    newer = tree.unique((key, name) for key, name in tables if "au_occ" in name.lower())
    older = tree.unique((key, name) for key, name in tables if "au_occ" not in name.lower())
    labels: dict[Clip, dict[int, Labels]] = {}
    coded: set[int] = set()
    for key, name in sorted({**older, **newer}.items()):
        labels[key] = read_occurrence(tree.text(name), name)
        coded |= {int(column[2:]) for row in labels[key].values() for column in row}
    unused: Counter[Clip] = Counter()
    strengths = tree.index(rf"{_SEQUENCE}_AU0?(\d{{1,2}})\.csv", lambda found: (*clip(found), int(found[3])))
    for (subject, task, au), name in strengths.items():
        rows = labels.get((subject, task), {})
        for number, strength in read_intensity(tree.text(name), name).items():
            if number in rows:
                rows[number][intensity_column(au)] = strength
            else:
                unused[subject, task] += 1
    return labels, coded, unused


def read_occurrence(text: str, where: str) -> dict[int, Labels]:
    """frame -> occurrence columns, by the names in the header.

    Raises:
        InputError: for a table without the header, a frame that comes twice, or another value than 0, 1 and 9.
    """
    names, *lines = split_cells(text, where) or [[]]
    if not names or names[0].lower() not in ("0", "frame") or len(set(names)) < len(names):
        raise InputError(f"{where}: its first line is no header (`0` or `frame`, then AU numbers); check the file.")
    columns = [(place, int(name)) for place, name in enumerate(names) if place and name.isdecimal()]
    rows: dict[int, Labels] = {}
    for number, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        frame = frame_number(cells[0], where, number)
        if frame in rows or len(cells) < len(names):
            what = f"frame {frame} occurs twice" if frame in rows else f"has {len(cells)} of {len(names)} columns"
            raise InputError(f"{where}, row {number}: {what}; check the file.")
        rows[frame] = {au_column(au): occurrence(cells[place], where, number) for place, au in columns}
    return rows


def read_intensity(text: str, where: str) -> dict[int, float | None]:
    """frame -> intensity, from a table without header.

    Raises:
        InputError: for anything else than a frame number and 0 to 5 or 9 in a line.
    """
    found: dict[int, float | None] = {}
    for number, cells in enumerate(split_cells(text, where), start=1):
        if not any(cells):
            continue
        if len(cells) < 2:
            raise InputError(f"{where}, row {number}: has one column, not frame and intensity; check the file.")
        frame = frame_number(cells[0], where, number)
        if frame in found:
            raise InputError(f"{where}, row {number}: frame {frame} occurs twice; check the file.")
        found[frame] = intensity(cells[1], where, number)
    return found


_LICENCE: Final = "by signed agreement with Binghamton University, research only, no redistribution"

BP4D: Final[DataSet] = DataSet(
    name="bp4d",
    title="BP4D-Spontaneous",
    about="41 people, 8 tasks: pictures and codes, zipped or not",
    read=lambda tree, options: _read(
        tree, options, _Release(SUBJECTS, TASKS, TASKS, CODED_FRAMES, PRESENT_PERCENT), BP4D
    ),
    layout=("F001/T1/2440.jpg (or F001.zip)", "AUCoding/AU_OCC/F001_T1.csv"),
    licence=_LICENCE,
    options=frozenset({"aus", "frames", "points"}),
)
BP4D_PLUS: Final[DataSet] = DataSet(
    name="bp4d_plus",
    title="BP4D+",
    about="140 people, 10 tasks, 4 of them coded: pictures and codes, zipped or not",
    read=lambda tree, options: _read(tree, options, _Release(PLUS_SUBJECTS, PLUS_TASKS, PLUS_CODED_TASKS), BP4D_PLUS),
    layout=("2D+3D/F001.zip", "AUCoding/AU_OCC/F001_T1.csv"),
    licence=_LICENCE,
    options=frozenset({"aus", "frames"}),
)
