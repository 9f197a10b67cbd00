"""Who is who: the table `names.csv` with `source, face, name`, which people fill in beside `faces.html`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from duchenne.data.cells import read_rows
from duchenne.errors import InputError
from duchenne.faces.recordings.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_ENDINGS: Final = VIDEO_SUFFIXES | IMAGE_SUFFIXES | {
    ".insv", ".lrv", ".braw", ".r3d", ".rm", ".rmvb", ".3gpp", ".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus",
    ".aif", ".aiff", ".wma", ".csv", ".tsv", ".txt", ".json", ".xls", ".xlsx", ".parquet", ".sav", ".eaf", ".pfsx",
    ".opf", ".boris", ".odx", ".edf", ".srt", ".vtt", ".textgrid",
}  # fmt: skip
"""Of the files that names mean; anything else after a point is part of a name."""
_DISK: Final = re.compile(r"([a-z]:)?/(users|home|volumes|media|mnt)/[^/]+|[a-z]:|//[^/]+/[^/]+|/[^/]+", re.IGNORECASE)
"""Begins the whole path of a file: what differs between computers, and between the disks of one."""


def own_name(source: str, face: int) -> str:
    """The subject that a face is until it gets another name: `stem#face`, of a folder of pictures its whole name."""
    path = PurePosixPath(source)
    return f"{path.with_suffix('') if path.suffix.lower() in VIDEO_SUFFIXES else path}#{face}"


class Sources:
    """Finds the one video that is meant by a path, a file name or a stem.

    Tables written on Windows have backslashes, and file systems of Macs take accents apart; neither makes a difference.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self._known: tuple[dict[str, list[str]], ...] = (defaultdict(list), defaultdict(list), defaultdict(list))
        for source in sources:
            path = PurePosixPath(plain_path(source))
            for known, key in zip(self._known, (str(path), path.name, stem_of(path.name))):
                known[key].append(source)

    def find(self, name: str) -> str | None:
        """The source, None where none or several fit."""
        wanted = PurePosixPath(plain_path(name))
        paths, names, stems = self._known
        stem = stem_of(wanted.name)
        for fits in (paths.get(str(wanted)), names.get(wanted.name), stems.get(wanted.name), stems.get(stem)):
            if fits:
                return fits[0] if len(fits) == 1 else None
        return None

    def find_start(self, name: str) -> str | None:
        """The source whose stem the name begins with: `p01 MK` or `p01_second` mean `p01.mp4`; the longest one.

        Not `p01.second`, which is as likely the name of another recording.
        """
        found = [stem for stem in self._known[2] if _begins(name, stem)]
        fits = self._known[2][max(found, key=len)] if found else []
        return fits[0] if len(fits) == 1 else None


def _begins(name: str, stem: str) -> bool:
    """Whether a name is a recording's stem with more words: `p01 MK`, `p01.mp4 MK`, `p01_second` of `p01`."""
    whole, start = plain_path(name).lower(), stem.lower()
    rest = whole[len(start) :]
    ending = re.match(r"\.[^\W_]+", rest)
    if ending and ending[0] in _ENDINGS:
        rest = rest[ending.end() :]
    return whole.startswith(start) and not rest[:1].isalnum() and not rest.startswith(".")


def stem_of(name: str) -> str:
    """The file name without folder and ending, whichever system it was written on: `p1.pre` and `p1.post` have none."""
    return _without_ending(PurePosixPath(plain_path(name).strip())).name


def _without_ending(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(str(path).removesuffix(path.suffix)) if path.suffix.lower() in _ENDINGS else path


def labels_of(names: Iterable[str]) -> dict[str, str]:
    """What the recordings of a file are called: by their stems, or with as much more as keeps several files apart.

    `rest.mp4`, `P01/rest` and `C:/study/P01/rest.mp4` may be one recording, `P01/rest.mp4` and `P02/rest.mp4` are not.
    """
    namesakes: dict[str, set[PurePosixPath]] = defaultdict(set)
    paths = {name: PurePosixPath(plain_path(name).strip()) for name in names}
    for name, path in paths.items():
        namesakes[stem_of(name)].add(path)
    found = {}
    for stem, several in namesakes.items():
        kinds = {one.suffix.lower() for one in several} & VIDEO_SUFFIXES
        is_one = len(kinds) < 2 and _may_be_one({one.parent for one in several})
        for path in several:
            found[path] = stem if is_one else str(path if len(kinds) > 1 else _without_ending(path))
    return {name: found[path] for name, path in paths.items()}


def _may_be_one(folders: Collection[PurePosixPath]) -> bool:
    """Whether one file may lie in all of them: on several computers or disks, or where one is the end of another."""
    ends = {PurePosixPath(*one.parts[start:]) for one in folders for start in range(1, len(one.parts))}
    whole = {one for one in folders if one not in ends and one.name}
    return len({disk_of(one) for one in whole}) == len(whole)


def disk_of(folder: PurePosixPath) -> str:
    """The computer or disk that a whole path begins with; empty for a path that is not whole."""
    start = _DISK.match(str(folder))
    return start[0].lower() if start else ""


def same_recordings(mine: Sequence[str], theirs: Sequence[str], *, alone: bool = True) -> dict[str, str]:
    """Mine -> theirs, for recordings that two codings have in common; no two of mine are the same one of theirs.

    What is called alike comes first, then a name that begins like another (`p01 MK` and `p01`).

    Args:
        mine, theirs: names of one coding each.
        alone: one of each alone is the same one, whatever they are called.
    """
    if alone and len(mine) == 1 == len(theirs):
        return {mine[0]: theirs[0]}
    known = Sources(theirs)
    found: dict[str, str] = {}
    for find in (known.find, known.find_start):
        meant = {source: find(source) for source in mine if source not in found}
        taken = Counter([*meant.values(), *found.values()])
        found |= {source: other for source, other in meant.items() if other is not None and taken[other] == 1}
    rest = Sources([source for source in mine if source not in found])
    begun = {other: rest.find_start(other) for other in theirs if other not in found.values()}
    taken = Counter(begun.values())
    return found | {source: other for other, source in begun.items() if source is not None and taken[source] == 1}


def plain_path(name: str) -> str:
    """A name or path as it is compared: slashes, and every accent in one character with its letter."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def read_names(
    path: Path, sources: Sequence[str], known: Collection[tuple[str, int]] | None = None
) -> dict[tuple[str, int], str]:
    """Who is who in videos.

    Args:
        path: a table with `source, face, name`; a source may be given by its file name.
        sources: of the videos, as paths relative to the root.
        known: every (source, face) that was found; None where nobody has looked yet.

    Returns:
        (source, face) -> name; empty where the face is to be left out.

    Raises:
        InputError: when it cannot be read, names a video or a face that is not there, or a face twice.
    """
    _, rows = read_rows(path, ("source", "face", "name"))
    given: dict[tuple[str, int], str] = {}
    index = Sources(sources)
    for row in rows:
        source, face = index.find(row.get("source")), row.whole_number_of("face")
        if source is None or face is None or (known is not None and (source, face) not in known):
            raise InputError(
                f"{path}, row {row.number}: there is no face {row.get('face')} in `{row.get('source')}`; "
                "faces.html beside the prepared data shows which there are."
            )
        if (source, face) in given:
            raise InputError(f"{path}, row {row.number}: face {face} of {source} is listed twice; remove one.")
        given[source, face] = row.get("name")
    return given
