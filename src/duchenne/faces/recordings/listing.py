"""Which recordings are meant by files, folders and patterns; several files may be one."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from duchenne.errors import InputError, UsageError
from duchenne.faces.recordings.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from duchenne.files import walk

# Name of a chapter -> name of the recording, its number: GoPro's (GH010042, GH020042; GOPR0042, GP010042), a DVD's
# (VTS_01_1), and whatever ends in the word part1, part 2, part-03 ... (not apart1; nor pt1, which is a patient, too).
_CHAPTERS: Final = (
    re.compile(r"(?P<key>G[HXLS])(?P<number>\d\d)(?P<rest>\d{4})", re.IGNORECASE),
    re.compile(r"(?P<key>GO)PR(?P<rest>\d{4})(?P<number>)", re.IGNORECASE),
    re.compile(r"(?P<key>G)P(?P<number>\d\d)(?P<rest>\d{4})", re.IGNORECASE),
    re.compile(r"(?P<key>VTS_\d\d_)(?P<number>[1-9])(?P<rest>)", re.IGNORECASE),
    re.compile(
        r"(?P<key>.*?(?<![^\W\d_])(?:part|chapter|teil|partie|parte)[ _-]?)(?P<number>\d+)(?P<rest>)", re.IGNORECASE
    ),
)

_GOPRO: Final = "G"  # older ones, whose first chapter has no number


@dataclass(frozen=True)
class Assembly:
    """How an input becomes one recording.

    Attributes:
        sequence_fps: the input is a folder of pictures, so many to a second; None for a file.
        chapters: files that go on where the input, and each one before, ends.
        mirrored: the pictures are mirror images, as of a front camera that shows what a mirror would: they are turned
            round before anything else is done with them.
    """

    sequence_fps: float | None = None
    chapters: tuple[Path, ...] = ()
    mirrored: bool = False


def list_media(inputs: Sequence[str | Path], suffixes: frozenset[str] = VIDEO_SUFFIXES | IMAGE_SUFFIXES) -> list[Path]:
    """The files that are meant by files, folders (searched through all levels) and patterns such as `*.mp4`.

    Args:
        inputs: paths and patterns. A file named outright is taken whatever its suffix.
        suffixes: what to look for in folders, lower case; hidden files are passed over.

    Returns:
        Every file once, sorted by path.

    Raises:
        InputError: when an input is missing, cannot be listed, or holds nothing of the kind.
    """
    found: set[Path] = set()
    for item in map(Path, inputs):
        is_folder = os.path.isdir(item)  # no error for a name that no file can have
        if is_folder:
            files = set(_walk(item, suffixes))
        elif os.path.exists(item):
            files = {item}
        else:
            files = {Path(path) for path in _matching(item) if os.path.isfile(path)}
        if not files:
            if is_folder:
                raise InputError(f"{item}: holds no {_kind(suffixes)}; name the folder that does.")
            raise InputError(f"{item}: there is no such file or folder; check the path.")
        found |= files
    return sorted(found)


def list_sequences(inputs: Sequence[str | Path]) -> list[Path]:
    """The folders among and below the inputs that hold pictures, sorted: each is one recording.

    Raises:
        InputError: when an input is no folder, or there is no picture in or below it.
    """
    found: set[Path] = set()
    for item in map(Path, inputs):
        places = [Path(path) for path in _matching(item) if os.path.isdir(path)] or [item]
        for place in places:
            if not os.path.isdir(place):
                raise InputError(f"{place}: is no folder, which --sequence needs; name the folder of the pictures.")
            folders = {path.parent for path in _walk(place, IMAGE_SUFFIXES)}
            if not folders:
                raise InputError(f"{place}: holds no {_kind(IMAGE_SUFFIXES)}; name the folder that does.")
            found |= folders
    return sorted(found)


def frames_of_sequence(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names, numbers as numbers (2 before 10)."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); allow reading it.") from error
    return sorted((path for path in paths if not path.name.startswith(".")), key=lambda path: natural(path.name))


def gaps_of_sequence(paths: Sequence[Path]) -> list[str]:
    """A sentence where the last numbers in the names of pictures show that some are missing between others."""
    found = [re.search(r"(\d+)\D*$", path.stem) for path in paths]
    numbers = [int(one[1][-18:]) for one in found if one]
    steps = [after - before for before, after in pairwise(numbers)]
    usual = Counter(steps).most_common(1)[0][0] if len(numbers) == len(paths) > 1 else 0
    gaps = [place for place, step in enumerate(steps) if step > usual > 0]
    if not gaps or min(steps) <= 0:
        return []
    missing = sum(steps[place] // usual - 1 for place in gaps)
    return [
        f"the numbers of its pictures jump in {len(gaps)} place{'s' * (len(gaps) > 1)} (first: {paths[gaps[0]].name}, "
        f"{paths[gaps[0] + 1].name}); if pictures are missing, {missing} by these numbers, later times are too early"
    ]


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers in names as numbers."""
    pieces = re.split(r"(\d+)", name)
    keys = [(int(piece[:18]), "") if piece.isdecimal() else (-1, piece.lower()) for piece in pieces]
    return (*keys, (-2, name))


def join_chapters(paths: Iterable[Path]) -> Mapping[Path, tuple[Path, ...]]:
    """First chapter -> the others in order, for every recording; files whose names tell no chapter stand alone.

    Raises:
        UsageError: when a chapter is missing in between, or the first of several.
    """
    groups: dict[tuple[str, ...], dict[int, Path]] = defaultdict(dict)
    for path in paths:
        fit = next((fit for fit in (pattern.fullmatch(path.stem) for pattern in _CHAPTERS) if fit), None)
        if fit:
            key = (_GOPRO if fit["key"].upper() in ("GO", _GOPRO) else fit["key"].upper(), fit["rest"])
            number = int(fit["number"] or 0)
        else:
            key, number = (path.name, "alone"), 0
        group = (str(path.parent), path.suffix.lower(), *key)
        if number in groups[group]:
            raise UsageError(f"{groups[group][number]} and {path} are both chapter {number}; rename one.")
        groups[group][number] = path
    joined = {}
    for (_, _, kind, *_), numbered in groups.items():
        numbers = sorted(numbered)
        if len(numbers) > 1 and numbers[0] > (0 if kind == _GOPRO else 1):
            raise UsageError(
                f"{numbered[numbers[0]]}: the chapter before it is missing; add it, or leave out --chapters."
            )
        gap = next((number for number, after in pairwise(numbers) if after != number + 1), None)
        if gap is not None:
            raise UsageError(f"{numbered[gap]}: the chapter after it is missing; add it, or leave out --chapters.")
        joined[numbered[numbers[0]]] = tuple(numbered[number] for number in numbers[1:])
    return dict(sorted(joined.items()))


def _walk(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    for place, names in walk(folder):
        yield from (Path(place, name) for name in names if Path(name).suffix.lower() in suffixes)


def _matching(path: Path) -> list[str]:
    try:
        return glob.glob(str(path), recursive=True)
    except (OSError, ValueError, re.error):
        return []


def _kind(suffixes: frozenset[str]) -> str:
    if suffixes == VIDEO_SUFFIXES:
        return "videos (.mp4, .mov, .avi, .mkv ...)"
    if suffixes == IMAGE_SUFFIXES:
        return "images (.jpg, .png ...)"
    return "images or videos (.jpg, .png, .mp4, .mov ...)"
