"""Readers `disfa` (27 people watching films, two cameras) and `disfa_plus` (9 of them, posed).

DISFA has a file of `frame,intensity` lines per subject and AU, named after the AU, and a video per subject and camera.
Labels count frames from 1. People who unpack the videos into pictures count from 0 or from 1; which one is told by
whether any picture has the number 0. SN010 has one label less than it has frames. The common protocols use the left
camera.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from duchenne.data.partitions import DISFA_PARTS, everyone
from duchenne.errors import InputError
from duchenne.facs import AU_SETS, intensity_column
from duchenne.preparing.sources.points import Points
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
    intensity,
    join,
    positives,
    report_lost,
)
from duchenne.preparing.sources.survey import Survey, listed
from duchenne.preparing.sources.tree import Tree

RATE: Final = 20.0
"""Frames per second (Mavadati et al. 2013)."""
SUBJECTS: Final = everyone(DISFA_PARTS)
CODED_AUS: Final = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
CODED_FRAMES: Final = 130_814
"""27 x 4,845 less one: SN010 has 4,844 rows."""
FRAMES_PER_VIDEO: Final = 4845
POSITIVES: Final = dict(zip(AU_SETS["disfa"], (6506, 5644, 19933, 10327, 5473, 16851, 36247, 11533), strict=True))
"""Frames with an intensity of at least 2, which reproduce ME-GraphAU's class weights to six decimals."""
PLUS_SUBJECTS: Final = ("SN001", "SN003", "SN004", "SN007", "SN009", "SN010", "SN013", "SN025", "SN027")
PLUS_FRAMES: Final = 57_150
_POSITIVE_FROM: Final = 2.0


def _read_disfa(tree: Tree, options: Options) -> Reading:
    labels = _labels(tree)
    videos, frames = _videos(tree, options.camera), _frames(tree, options.camera)
    if not labels and not videos and not frames:
        raise DISFA.nothing(tree)
    aus, survey = chosen(options, AU_SETS["disfa"], CODED_AUS), Survey()
    _count(survey, labels, aus, options, (SUBJECTS, CODED_FRAMES, POSITIVES))
    survey.missing += tree.problems
    survey.uncoded(labels, CODED_AUS)
    survey.lacks("codes of subjects", SUBJECTS, {subject for subject, _ in labels})
    survey.lacks(
        f"videos of subjects ({options.camera} camera)", SUBJECTS, videos or {subject for subject, _ in frames}
    )
    reading = Reading(survey, aus, "intensity" if labels else "none")
    if not videos:
        frames = _counted_from_one(tree, frames, survey)
        points = _points(tree) if options.points else None
        reading.images = join(tree, survey, frames, labels, options, aus, rate=RATE, points=points)
        return reading
    if options.points:
        raise InputError(
            f"{tree.root}: --alignment dataset needs the frames of DISFA as pictures, and videos are what it holds; "
            "unpack them into pictures, without the videos beside them, or choose another alignment."
        )
    if frames:
        survey.notes.append("there are videos and pictures of their frames: the videos are taken.")
    packed = {subject: name for subject, name in videos.items() if tree.stored(name).member}
    if packed:
        survey.missing.append(f"videos that lie in an archive, where they cannot be read: {listed([*packed.values()])}")
    for subject, name in videos.items():
        rows = labels.get((subject, subject), {})
        if subject not in packed and (rows or options.frames == "all" or not labels):
            reading.videos.append(coded_video(tree, name, subject, rows, aus, first_frame=1))
    seen = {video.subject for video in reading.videos}
    lost = [(clip, number) for clip, rows in labels.items() if clip[0] not in seen for number in rows]
    report_lost(survey, lost, labels, aus, options.positive_from)
    return reading


def _count(
    survey: Survey,
    labels: Mapping[Clip, Mapping[int, Labels]],
    aus: Sequence[int],
    options: Options,
    published: tuple[tuple[str, ...], int, Mapping[int, int]],
) -> None:
    subjects, coded_frames, present = published
    survey.count("coded subjects", len({subject for subject, _ in labels}), len(subjects))
    survey.count("coded frames", sum(map(len, labels.values())), coded_frames)
    found = positives((row for rows in labels.values() for row in rows.values()), aus, options.positive_from)
    for au in aus if labels else ():
        same = options.positive_from == _POSITIVE_FROM
        survey.count(f"AU{au} positive (>= {options.positive_from:g})", found[au], present.get(au) if same else None)


def _labels(tree: Tree) -> dict[Clip, dict[int, Labels]]:
    """Codes by subject."""

    def key(found: re.Match[str]) -> tuple[str, int]:
        return found[1].upper(), int(found[2])

    labels: dict[Clip, dict[int, Labels]] = {}
    for (subject, au), name in sorted(tree.index(r"(SN\d{3})_au(\d{1,2})\.txt", key).items()):
        rows = labels.setdefault((subject, subject), {})
        for number, line in enumerate(tree.text(name).splitlines(), start=1):
            if not line.strip():
                continue
            frame, _, value = line.partition(",")
            if not frame.strip().isdecimal():
                raise InputError(f"{name}, row {number}: `{line.strip()}` is not `frame,intensity`; check the file.")
            row = rows.setdefault(int(frame), {})
            if intensity_column(au) in row:
                raise InputError(f"{name}, row {number}: frame {int(frame)} occurs twice; check the file.")
            row[intensity_column(au)] = intensity(value, name, number)
    return labels


def _videos(tree: Tree, camera: str) -> dict[str, str]:
    return tree.index(rf"{camera}Video(SN\d{{3}})[^/]*{VIDEOS}", lambda found: found[1].upper())


def _frames(tree: Tree, camera: str) -> dict[Clip, dict[int, str]]:
    """Pictures by subject and number, of one camera where their path names one."""
    other = "right" if camera == "left" else "left"
    found = (
        ((match[1].upper(), int(match[2])), name)
        for match, name in tree.match(rf"[^/]*(SN\d{{3}})[^/]*/(?:[^/]*[^/\d])?(\d+){IMAGES}")
        if other not in name.lower()
    )
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    for (subject, number), name in tree.unique(found).items():
        frames[subject, subject][number] = name
    return frames


def _counted_from_one(tree: Tree, frames: dict[Clip, dict[int, str]], survey: Survey) -> dict[Clip, dict[int, str]]:
    """The pictures under the numbers that the labels have."""
    if not frames:
        return frames
    from_zero = sorted(clip[0] for clip, numbers in frames.items() if 0 in numbers)
    if not from_zero:
        survey.notes.append("no picture has the number 0, so they are taken to count from 1, as the labels do.")
        return frames
    from_one = sorted(clip[0] for clip, numbers in frames.items() if 0 not in numbers and FRAMES_PER_VIDEO in numbers)
    if from_one:
        raise InputError(
            f"{tree.root}: pictures of {from_zero[0]} count from 0 and those of {from_one[0]} from 1; "
            "unpack all videos in the same way."
        )
    survey.notes.append("pictures count from 0, labels from 1: picture n is frame n + 1.")
    doubtful = sorted(clip[0] for clip, numbers in frames.items() if 0 not in numbers)
    if doubtful:
        survey.notes.append(f"no picture 0 of {listed(doubtful)}: taken to count from 0 all the same; look whether so.")
    return {clip: {number + 1: name for number, name in numbers.items()} for clip, numbers in frames.items()}


def _points(tree: Tree) -> Callable[[Clip, int], Points | None]:
    """The data set's own landmarks; their files count from 0, some subjects' with another name."""
    pattern = r"(SN\d{3})/tmp_frame_lm/(?:SN\d{3}_|l0)(\d{4})_lm\.mat"
    files = tree.index(pattern, lambda found: (found[1].upper(), int(found[2])))

    def find(clip: Clip, number: int) -> Points | None:
        name = files.get((clip[0], number - 1))
        return None if name is None else Points(place=tree.stored(name))

    return find


def _read_plus(tree: Tree, options: Options) -> Reading:
    labels: dict[Clip, dict[int, Labels]] = defaultdict(lambda: defaultdict(dict))
    coded = set()
    files = tree.index(r"(SN\d{3})/([^/]+)/AU(\d{1,2})\.txt", lambda found: (found[1].upper(), found[2], int(found[3])))
    for (subject, trial, au), name in sorted(files.items()):
        coded.add(au)
        for number, line in enumerate(tree.text(name).splitlines(), start=1):
            cells = line.split()
            if not cells or line.lstrip().startswith("#"):
                continue
            stem = cells[0].partition(".")[0]
            if len(cells) != 2 or not stem.isdecimal():
                raise InputError(f"{name}, row {number}: `{line.strip()}` is not `frame.jpg intensity`; check it.")
            row = labels[subject, trial][int(stem)]
            if intensity_column(au) in row:
                raise InputError(f"{name}, row {number}: frame {int(stem)} occurs twice; check the file.")
            row[intensity_column(au)] = intensity(cells[1], name, number)
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    pictures = tree.index(
        rf"(SN\d{{3}})/([^/]+)/(\d+){IMAGES}", lambda found: (found[1].upper(), found[2], int(found[3]))
    )
    for (subject, trial, number), name in pictures.items():
        frames[subject, trial][number] = name
    if not labels and not frames:
        raise DISFA_PLUS.nothing(tree)
    aus, survey = chosen(options, AU_SETS["disfa"], coded), Survey()
    _count(survey, labels, aus, options, (PLUS_SUBJECTS, PLUS_FRAMES, {}))
    survey.missing += tree.problems
    survey.uncoded(labels, CODED_AUS)
    survey.lacks("codes of subjects", PLUS_SUBJECTS, {subject for subject, _ in labels})
    survey.lacks("pictures of subjects", PLUS_SUBJECTS, {subject for subject, _ in frames})
    survey.notes.append("these people are in DISFA too; both sets are named `disfa`, so that no person counts as two.")
    images = join(tree, survey, frames, labels, options, aus, rate=RATE)
    return Reading(survey, aus, "intensity" if labels else "none", images)


_LICENCE: Final = "by signed agreement with the University of Denver, research only, no redistribution"

DISFA: Final[DataSet] = DataSet(
    name="disfa",
    title="DISFA",
    about="27 people: videos of one camera, or their frames, and codes",
    read=_read_disfa,
    layout=("ActionUnit_Labels/SN001/SN001_au1.txt", "Videos_LeftCamera/LeftVideoSN001_comp.avi"),
    licence=_LICENCE,
    options=frozenset({"aus", "frames", "camera", "fps", "points"}),
    positive_from=_POSITIVE_FROM,
)
DISFA_PLUS: Final[DataSet] = DataSet(
    name="disfa_plus",
    title="DISFA+",
    about="9 people of DISFA, posed: pictures and codes",
    read=_read_plus,
    layout=("Labels/SN001/TRIAL/AU1.txt", "Images/SN001/TRIAL/0001.jpg"),
    licence=_LICENCE,
    namespace="disfa",
    options=frozenset({"aus", "frames"}),
    positive_from=_POSITIVE_FROM,
)
