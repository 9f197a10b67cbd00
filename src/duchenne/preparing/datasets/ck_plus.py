"""Readers `ck_plus` (Cohn-Kanade, extended) and `unbc` (UNBC-McMaster shoulder pain).

Both have a file per coded frame that lists the action units present; those that it does not list are absent. In CK+ an
intensity of 0 means present at an intensity that was not noted, so everything listed is present. Only the last frame of
a CK+ sequence, its peak, is coded.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from duchenne.errors import InputError
from duchenne.facs import au_column, intensity_column
from duchenne.preparing.sources.points import Points
from duchenne.preparing.sources.reading import IMAGES, Clip, DataSet, Labels, Options, Reading, chosen, join, positives
from duchenne.preparing.sources.survey import Survey, without_column
from duchenne.preparing.sources.tree import Tree

CK_SUBJECTS: Final = 123
CK_SEQUENCES: Final = 593
CK_EMOTIONS: Final = {
    0: "neutral", 1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happiness", 6: "sadness", 7: "surprise",
}  # fmt: skip
CK_LABELLED_EMOTIONS: Final = 327
CK_AUS: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)
UNBC_SUBJECTS: Final = 25
UNBC_SEQUENCES: Final = 200
UNBC_FRAMES: Final = 48_398
UNBC_AUS: Final = (4, 6, 7, 9, 10, 12, 20, 25, 26)
"""Those coded that have columns here; AU27 and AU43 (closed eyes, 0 or 1) are coded too."""

_FRAME: Final = r"(\d+)"


def _read_ck(tree: Tree, options: Options) -> Reading:
    frames = _pictures(tree, rf"(S\d{{3}})_(\d{{3}})_{_FRAME}{IMAGES}")
    labels, others = _codes(tree, r"(S\d{3})_(\d{3})_(\d+)_facs\.txt", CK_AUS, everything_present=True)
    emotions = 0
    for (subject, clip, number), name in tree.index(r"(S\d{3})_(\d{3})_(\d+)_emotion\.txt", _key).items():
        code = _floats(tree.text(name), name)
        if not code:
            continue
        if len(code) != 1 or len(code[0]) != 1 or code[0][0] not in CK_EMOTIONS:
            raise InputError(f"{name}: is not one number from 0 to 7; check the file.")
        labels[subject, clip].setdefault(number, {})["emotion"] = CK_EMOTIONS[int(code[0][0])]
        emotions += 1
    if not frames and not labels:
        raise CK_PLUS.nothing(tree)
    survey = Survey()
    survey.count("subjects", len({subject for subject, _ in (*frames, *labels)}), CK_SUBJECTS)
    survey.count("sequences with pictures", len(frames), CK_SEQUENCES)
    coded = sum(any(au_column(CK_AUS[0]) in row for row in rows.values()) for rows in labels.values())
    survey.count("coded sequences", coded, CK_SEQUENCES)
    survey.count("sequences with an emotion", emotions, CK_LABELLED_EMOTIONS)
    points = _points(tree, r"(S\d{3})_(\d{3})_(\d+)_landmarks\.txt") if options.points else None
    return _joined(tree, survey, frames, labels, others, options, CK_AUS, points)


def _read_unbc(tree: Tree, options: Options) -> Reading:
    # SUBJECT/SESSION/NAME123.png, and Frame_Labels/FACS/SUBJECT/SESSION/NAME123_facs.txt
    frames = _pictures(tree, rf"([^/]+)/([^/]+)/[^/]*?{_FRAME}{IMAGES}")
    pattern = rf"FACS/([^/]+)/([^/]+)/[^/]*?{_FRAME}_facs\.txt"
    labels, others = _codes(tree, pattern, UNBC_AUS, everything_present=False)
    if not frames and not labels:
        raise UNBC.nothing(tree)
    survey = Survey()
    survey.count("subjects", len({subject for subject, _ in (*frames, *labels)}), UNBC_SUBJECTS)
    survey.count("coded sequences", len(labels), UNBC_SEQUENCES)
    survey.count("coded frames", sum(map(len, labels.values())), UNBC_FRAMES)
    points = _points(tree, rf"AAM_landmarks/([^/]+)/([^/]+)/[^/]*?{_FRAME}_aam\.txt") if options.points else None
    return _joined(tree, survey, frames, labels, others, options, UNBC_AUS, points)


def _joined(
    tree: Tree,
    survey: Survey,
    frames: dict[Clip, dict[int, str]],
    labels: dict[Clip, dict[int, Labels]],
    others: Counter[int],
    options: Options,
    coded: Sequence[int],
    points: Callable[[Clip, int], Points | None] | None,
) -> Reading:
    aus = chosen(options, coded, coded)
    found = positives((row for rows in labels.values() for row in rows.values()), aus, options.positive_from)
    for au in aus if labels else ():
        survey.count(f"AU{au} positive", found[au])
    survey.missing += tree.problems
    survey.lacks("codes of sequences", map(" ".join, frames), map(" ".join, labels))
    survey.uncoded(labels, coded)  # CK+ has emotions in files of their own
    if others:
        survey.notes.append(without_column(others))
    images = join(tree, survey, frames, labels, options, aus, points=points)
    return Reading(survey, aus, "intensity" if labels else "none", images)


def _key(found: re.Match[str]) -> tuple[str, str, int]:
    return found[1], found[2], int(found[3])


def _pictures(tree: Tree, pattern: str) -> dict[Clip, dict[int, str]]:
    frames: dict[Clip, dict[int, str]] = defaultdict(dict)
    for (subject, clip, number), name in tree.index(pattern, _key).items():
        frames[subject, clip][number] = name
    return frames


def _codes(
    tree: Tree, pattern: str, aus: Sequence[int], *, everything_present: bool
) -> tuple[dict[Clip, dict[int, Labels]], Counter[int]]:
    """The codes, and how often other action units occur."""
    labels: dict[Clip, dict[int, Labels]] = defaultdict(dict)
    others: Counter[int] = Counter()
    for (subject, clip, number), name in tree.index(pattern, _key).items():
        row: Labels = {}
        for au in aus:
            row |= {intensity_column(au): 0.0} | ({au_column(au): 0} if everything_present else {})
        for cells in _floats(tree.text(name), name):
            if len(cells) < 2 or not cells[0].is_integer() or not 0 <= cells[1] <= 5:
                raise InputError(f"{name}: a line is not an AU and an intensity from 0 to 5; check the file.")
            au, strength = int(cells[0]), cells[1]
            if au not in aus:
                others[au] += 1
            elif everything_present:
                row |= {au_column(au): 1, intensity_column(au): strength or None}
            else:
                row[intensity_column(au)] = strength
        labels[subject, clip][number] = row
    return labels, others


def _points(tree: Tree, pattern: str) -> Callable[[Clip, int], Points | None]:
    files = tree.index(pattern, _key)

    def find(clip: Clip, number: int) -> Points | None:
        name = files.get((*clip, number))
        return None if name is None else Points(place=tree.stored(name))

    return find


def _floats(text: str, name: str) -> list[list[float]]:
    try:
        return [[float(cell) for cell in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError:
        raise InputError(f"{name}: holds something else than numbers; check the file.") from None


CK_PLUS: Final[DataSet] = DataSet(
    name="ck_plus",
    title="CK+",
    about="593 posed sequences of 123 people, their last frames coded",
    read=_read_ck,
    layout=("cohn-kanade-images/S005/001/S005_001_00000011.png", "FACS/S005/001/S005_001_00000011_facs.txt"),
    licence="by signed agreement with the University of Pittsburgh, research only, no redistribution",
    options=frozenset({"frames", "points"}),
)
UNBC: Final[DataSet] = DataSet(
    name="unbc",
    title="UNBC-McMaster shoulder pain",
    about="25 people, 200 sequences: pictures and codes",
    read=_read_unbc,
    layout=("Images/SUBJECT/SESSION/FRAME.png", "Frame_Labels/FACS/SUBJECT/SESSION/FRAME_facs.txt"),
    licence="by signed agreement with the University of Pittsburgh, research only, no redistribution",
    options=frozenset({"frames", "points"}),
    positive_from=2.0,
)
