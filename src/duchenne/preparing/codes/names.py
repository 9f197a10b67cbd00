"""Who is who: the table `names.csv` with `source, face, name`, which people fill in beside `faces.html`."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from duchenne.data.cells import read_rows
from duchenne.errors import InputError
from duchenne.faces.recordings.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_ENDINGS: Final = VIDEO_SUFFIXES | IMAGE_SUFFIXES | {
    ".wav", ".mp3", ".m4a", ".aac", ".flac", ".aif", ".aiff", ".wma", ".csv", ".tsv", ".txt", ".xlsx", ".parquet",
    ".eaf", ".pfsx", ".opf", ".boris",
}  # fmt: skip
"""Of the files that names mean; anything else after a point is part of a name."""


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
        name = plain_path(name)
        found = [
            stem for stem in self._known[2]
            if name.lower().startswith(stem.lower()) and not (name + " ")[len(stem)].isalnum()
            and not name.startswith(".", len(stem))
        ]  # fmt: skip
        fits = self._known[2][max(found, key=len)] if found else []
        return fits[0] if len(fits) == 1 else None


def stem_of(name: str) -> str:
    """The file name without folder and ending, whichever system it was written on: `p1.pre` and `p1.post` have none."""
    path = PurePosixPath(plain_path(name))
    return path.stem if path.suffix.lower() in _ENDINGS else path.name


def same_recordings(mine: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Mine -> theirs, for recordings that two codings have in common; no two of mine are the same one of theirs.

    What is called alike comes first, then a name that begins like another (`p01 MK` and `p01`); one of each alone is
    the same one.
    """
    if len(mine) == 1 == len(theirs):
        return {mine[0]: theirs[0]}
    found: dict[str, str] = {}
    known = Sources(theirs)
    for find in (known.find, known.find_start):
        meant = {source: find(source) for source in mine if source not in found}
        taken = Counter([*meant.values(), *found.values()])
        found |= {source: other for source, other in meant.items() if other is not None and taken[other] == 1}
    return found


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
