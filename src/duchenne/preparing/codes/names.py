"""Who is who: the table `names.csv` with `source, face, name`, which people fill in beside `faces.html`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
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

    def find(self, name: str, *, copies: bool = True) -> str | None:
        """The source, None where none or several fit, see `fits`."""
        found = self.fits(name, copies=copies)
        return found[0] if len(found) == 1 else None

    def fits(self, name: str, *, copies: bool = True) -> list[str]:
        """The sources that may be meant: called so, in folders that do not contradict each other.

        Args:
            name: a path, a file name or a stem.
            copies: where none fits, whole paths of other computers say nothing of folders: coders copy recordings to
                disks of their own.
        """
        wanted = PurePosixPath(plain_path(name))
        paths, names, stems = self._known
        if str(wanted) in paths:
            return paths[str(wanted)]
        called = [names.get(wanted.name), stems.get(wanted.name), stems.get(stem_of(wanted.name))]
        for among in (_inside, _copied) if copies else (_inside,):
            for sources in called:
                found = among(wanted.parent, sources or [])
                if found:
                    return found
        return []

    def find_start(self, name: str) -> str | None:
        """The source whose stem the name begins with: `p01 MK` or `p01_second` mean `p01.mp4`; the longest one.

        Not `p01.second`, which is as likely the name of another recording.
        """
        path = PurePosixPath(plain_path(name))
        for text, folder in ((path.name, path.parent), (str(path), PurePosixPath())):
            found = [stem for stem in self._known[2] if _begins(text, stem)]
            for among in (_inside, _copied) if found else ():
                fits = among(folder, self._known[2][max(found, key=len)])
                if fits:
                    return fits[0] if len(fits) == 1 else None
        return None


def _inside(folder: PurePosixPath, sources: Sequence[str]) -> list[str]:
    """Of sources of one name those in a folder as somebody else wrote it: `P01` may be `study/P01`, `P02` it is not."""
    return _nearest(folder, [source for source in sources if _is_end(folder, _folder(source))])


def _copied(folder: PurePosixPath, sources: Sequence[str]) -> list[str]:
    """Of sources of one name those that may be copies of what lies in a folder of another computer or disk."""
    return _nearest(folder, [source for source in sources if disk_of(folder) != disk_of(_folder(source))])


def _nearest(folder: PurePosixPath, sources: Sequence[str]) -> list[str]:
    """Those that share most of the end of the folder."""
    most = max((_shared(folder, _folder(source)) for source in sources), default=0)
    return [source for source in sources if _shared(folder, _folder(source)) == most]


def _folder(source: str) -> PurePosixPath:
    return PurePosixPath(plain_path(source).strip()).parent


def _is_end(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether one folder is the end of the other."""
    return _shared(one, other) == min(len(_known(one)), len(_known(other)))


def _shared(one: PurePosixPath, other: PurePosixPath) -> int:
    """How many folders two have in common, from the end; Windows does not tell capitals from small letters."""
    pairs = zip(reversed(_known(one)), reversed(_known(other)))
    return sum(1 for _ in takewhile(lambda pair: pair[0].lower() == pair[1].lower(), pairs))


def _known(folder: PurePosixPath) -> tuple[str, ...]:
    """Its parts behind `..`, before which anything may stand."""
    back = [place for place, part in enumerate(folder.parts) if part == ".."]
    return folder.parts[back[-1] + 1 :] if back else folder.parts


def is_called_so(name: str, source: str) -> bool:
    """Whether a name is that of the source, with fewer or more folders, and perhaps without its ending."""
    return stem_of(name) == stem_of(source) and _is_end(_folder(name), _folder(source))


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
    """What the recordings of a file are called: by their paths without the ending, of one recording by the same.

    `rest.mp4`, `P01/rest` and `C:/study/P01/rest.mp4` may be one recording, `P01/rest.mp4` and `P02/rest.mp4` are not.
    """
    namesakes: dict[str, set[PurePosixPath]] = defaultdict(set)
    paths = {name: PurePosixPath(plain_path(name).strip()) for name in names}
    for name, path in paths.items():
        namesakes[stem_of(name)].add(path)
    found = {}
    for stem, several in namesakes.items():
        kinds = {one.suffix.lower() for one in several} & VIDEO_SUFFIXES
        folders = _outermost({one.parent for one in several})
        is_one = len(kinds) < 2 and are_of_one(folders)
        whole = str(folders[0] / stem) if len(folders) == 1 else stem
        for path in several:
            found[path] = whole if is_one else str(path if len(kinds) > 1 else _without_ending(path))
    return {name: found[path] for name, path in paths.items()}


def _outermost(folders: Collection[PurePosixPath]) -> list[PurePosixPath]:
    """Without those that are the end of another."""
    ends = {PurePosixPath(*one.parts[start:]) for one in folders for start in range(1, len(one.parts))}
    return [one for one in folders if one not in ends and one.name]


def are_of_one(folders: Collection[PurePosixPath]) -> bool:
    """Whether one file may lie in all of these: each on another computer or disk."""
    return len({disk_of(one) for one in folders}) == len(folders)


def may_be_one(names: Iterable[str]) -> bool:
    """Whether names of files of one name can all be the same file's: they are in no two folders of one disk."""
    return are_of_one(_outermost({PurePosixPath(str(_folder(name)).lower()) for name in names}))


def disk_of(folder: PurePosixPath) -> str:
    """The computer or disk that a whole path begins with; empty for a path that is not whole."""
    start = _DISK.match(str(folder))
    return start[0].lower() if start else ""


def same_recordings(mine: Sequence[str], theirs: Sequence[str], *, alone: bool = True) -> dict[str, str]:
    """Mine -> theirs, for recordings that two codings have in common; no two of mine are the same one of theirs.

    What is called alike comes first, then a name that begins like another (`p01 MK` and `p01`).

    Args:
        mine, theirs: names of one coding each, no two of one recording.
        alone: nothing says that the two name different recordings: one of each alone is the same one, whatever they
            are called, and folders are not asked where no other two are in the same one.
    """
    if alone and len(mine) == 1 == len(theirs):
        return {mine[0]: theirs[0]}
    known = Sources(theirs)
    found: dict[str, str] = {}
    for find in (known.find, known.find_start):
        rest = [source for source in mine if source not in found]
        found |= _only_once({source: find(source) for source in rest}, found.values())
    others = [source for source in theirs if source not in found.values()]
    names = Sources([source for source in mine if source not in found])
    found |= {source: other for other, source in _only_once({o: names.find_start(o) for o in others}, ()).items()}
    if alone and not any(_folder(source).name and _folder(other).name for source, other in found.items()):
        left = [source for source in theirs if source not in found.values()]
        stems = Counter(map(stem_of, left))
        of_stem = {stem_of(source): source for source in left if stems[stem_of(source)] == 1}
        rest = [source for source in mine if source not in found]
        found |= _only_once({source: of_stem.get(stem_of(source)) for source in rest}, ())
    return found


def _only_once(meant: Mapping[str, str | None], taken: Iterable[str]) -> dict[str, str]:
    """What is meant by one name alone."""
    times = Counter([*meant.values(), *taken])
    return {name: other for name, other in meant.items() if other is not None and times[other] == 1}


def plain_path(name: str) -> str:
    """A name or path as it is compared: slashes, and every accent in one character with its letter."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def alike_note(path: Path, names: Iterable[str]) -> list[str]:
    """A sentence on names that hardly differ, by capitals, blanks or how accents are written, and may be one person."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        alike["".join(plain_path(name).split()).casefold()].append(name)
    pairs = [" and ".join(f"`{name}`" for name in several) for several in alike.values() if len(several) > 1]
    if not pairs:
        return []
    return [f"{path}: {', '.join(pairs)} count as different people; write one name where they are one."]


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
        source, face = index.find(row.get("source"), copies=False), row.whole_number_of("face")
        if source is None:
            raise row.error(
                "source", f"no video or several are meant by `{row.get('source')}`; give its path under --root."
            )
        if face is None or (known is not None and (source, face) not in known):
            raise InputError(
                f"{path}, row {row.number}: there is no face {row.get('face')} in `{row.get('source')}`; "
                "faces.html beside the prepared data shows which there are."
            )
        if (source, face) in given:
            raise InputError(f"{path}, row {row.number}: face {face} of {source} is listed twice; remove one.")
        given[source, face] = row.get("name")
    return given
