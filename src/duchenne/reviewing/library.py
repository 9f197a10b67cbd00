"""Which recordings, tables and codes the page is about, and that no request leads to any other file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from duchenne.detection.job import OVERLAY_ENDING
from duchenne.errors import InputError, UsageError
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.faces.recordings.listing import list_media
from duchenne.files import shown_name, walk
from duchenne.tables.writing import output_names

_TABLE_SUFFIXES: Final = (".csv", ".parquet")
_TABLE_ENDING: Final = "_aus"
WORK_FOLDER: Final = "duchenne_review"
"""Beside the codes: what the page makes itself (tables, prepared faces, detectors).

Folders of recordings in it are hidden: other commands pass those over, and take them for no recordings of the study.
"""
TABLES: Final = "tables"
"""In it: tables of the detector that comes with the package."""
FITTED: Final = "fitted"
"""In it: tables of the detector that was fitted to the codes."""


@dataclass(frozen=True)
class Recording:
    """One recording of the page.

    Attributes:
        key: by which the page asks for it; requests hold no path.
        path: of the file.
        within: the folder that it must lie in, links followed; the file itself where it was named outright.
        source: its name in the codes: the path relative to the root, with slashes.
    """

    key: str
    path: Path
    within: Path
    source: str

    def checked(self) -> Path:
        """The file, links followed.

        Raises:
            InputError: when it is gone, or leads out of the folder that was given.
        """
        return _inside(self.path, self.within)


class Library:
    """The recordings and where their tables and codes lie.

    Attributes:
        recordings: by key, in the order of their names.
        root: folder that sources are relative to.
        codes: the file of codes; it need not be there.
        skipped: sentences on what was left out.
        names: key -> what outputs of the recording are called.
    """

    def __init__(
        self, recordings: Sequence[Recording], tables: Sequence[Path], folders: Sequence[Path], codes: Path
    ) -> None:
        self.recordings = {recording.key: recording for recording in recordings}
        self.root = folders[0] if folders else Path()
        self.codes = codes
        self.skipped: list[str] = []
        of = output_names([recording.path for recording in recordings])
        self.names = {recording.key: of[recording.path] for recording in recordings}
        self._tables, self._folders = list(tables), list(folders)

    @property
    def sources(self) -> list[str]:
        """The names of all recordings in codes."""
        return [recording.source for recording in self.recordings.values()]

    @property
    def work(self) -> Path:
        """The folder for what the page makes."""
        return self.codes.parent / WORK_FOLDER

    def find(self, key: str) -> Recording:
        """The recording.

        Raises:
            InputError: when there is none with this key.
        """
        if key not in self.recordings:
            raise InputError("There is no such recording; reload the page.")
        return self.recordings[key]

    def table_of(self, recording: Recording) -> Path | None:
        """The table of `detect` of a recording; one that the page made itself comes last.

        Tables that were named outright are looked at first; else `NAME_aus.csv` or `.parquet` beside the recording, in
        the working folder or anywhere in the folders given. Of several recordings with one NAME it belongs to the one
        that it lies beside.
        """
        if self._tables and len(self.recordings) == 1:
            return self._tables[0]
        stems = {recording.path.stem, self.names[recording.key]}
        names = {f"{stem}{_TABLE_ENDING}{suffix}" for stem in stems for suffix in _TABLE_SUFFIXES}
        outright = [path for path in self._tables if path.name in names and self._belongs(path, recording)]
        merged = [path for path in self._tables if not path.stem.endswith(_TABLE_ENDING)]
        beside = [folder / name for folder in (recording.path.parent, Path.cwd()) for name in sorted(names)]
        found = outright or merged or [path for path in beside if path.is_file() and self._belongs(path, recording)]
        if not found:
            listed = sorted(path for folder in self._folders for path in _files(folder) if path.name in names)
            found = [path for path in listed if self._belongs(path, recording)]
        if not (outright or merged):
            places = [folder.resolve() for folder in (*self._folders, recording.path.parent, Path.cwd())]
            found = [path for path in found if any(path.resolve().is_relative_to(place) for place in places)]
        own = self.made(TABLES, recording)
        found = [path for path in found if WORK_FOLDER not in path.parts] or ([own] if own.is_file() else [])
        return found[0] if found else None

    def _belongs(self, table: Path, recording: Recording) -> bool:
        """Whether a table that is called as a recording is its own, and not another one's of the same name."""
        stem = table.stem.removesuffix(_TABLE_ENDING)
        if stem == self.names[recording.key]:
            return True
        namesakes = [one for one in self.recordings.values() if one.path.stem == stem]
        beside = [one for one in namesakes if one.path.parent.resolve() == table.parent.resolve()]
        return (beside or namesakes) == [recording]

    def copy_of(self, recording: Recording) -> Path:
        """Where the copy lies that browsers play, if one was made."""
        return self.work / ".playable" / f"{self.names[recording.key]}.mp4"

    def made(self, folder: str, recording: Recording) -> Path:
        """Where `detect` writes the table of a recording when the page starts it; `folder` is `TABLES` or `FITTED`."""
        return self.work / folder / f"{self.names[recording.key]}{_TABLE_ENDING}.csv"


def open_library(inputs: Sequence[str | Path], codes: str | Path | None = None) -> Library:
    """Finds what the page is about.

    Args:
        inputs: folders, recordings, and tables of `detect` where they do not lie beside their recordings.
        codes: the file of codes; `codes.csv` in the folder given, or beside the first recording, by default.

    Raises:
        UsageError: when `codes` is no CSV file.
        InputError: when an input is missing or there is no recording.
    """
    given = [Path(item) for item in inputs]
    tables = [path for path in given if path.suffix.lower() in _TABLE_SUFFIXES and not path.is_dir()]
    missing = next((path for path in tables if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"{missing}: there is no such file; check the path.")
    places = [path for path in given if path not in tables]
    if not places:
        raise UsageError("no recording was given; name recordings, or a folder that holds them.")
    folders = [path for path in places if path.is_dir()]
    found: dict[Path, Path] = {}
    skipped = []
    for place in places:
        within = place.resolve()
        for path in list_media([place], VIDEO_SUFFIXES):
            if WORK_FOLDER in path.parts:
                continue
            inside = within if place.is_dir() else path.resolve()
            if path.resolve().is_relative_to(inside):
                found.setdefault(path, inside)
            else:
                skipped.append(
                    f"{shown_name(path)} is a link out of {shown_name(place)}, so it is left out; name it outright."
                )
    stems = {path.stem for path in found}
    drawn = [p for p in found if p.stem.endswith(OVERLAY_ENDING) and p.stem.removesuffix(OVERLAY_ENDING) in stems]
    paths = [path for path in found if path not in drawn or path in places]
    if not paths:
        raise InputError(" ".join(skipped) or f"{given[0]}: holds no recording.")
    root = folders[0] if folders else Path(os.path.commonpath([path.parent for path in paths]))
    file = Path(codes) if codes is not None else root / "codes.csv"
    if file.suffix.lower() != ".csv":
        raise UsageError(f"--codes {file}: the codes are a CSV file; give a name that ends in .csv.")
    recordings = [Recording(f"r{number}", path, found[path], _source(path, root)) for number, path in enumerate(paths)]
    twice = next((one.source for one in recordings if [r.source for r in recordings].count(one.source) > 1), None)
    if twice is not None:
        raise UsageError(f"two of the recordings are called {twice}; name the one folder that holds both.")
    library = Library(recordings, tables, folders or [root], file)
    library.skipped = skipped
    return library


def _source(path: Path, root: Path) -> str:
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return shown_name(inside.as_posix())


def _files(folder: Path) -> Iterable[Path]:
    for place, names in walk(folder):
        yield from (Path(place, name) for name in names)


def _inside(path: Path, within: Path) -> Path:
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        raise InputError(f"{shown_name(path)}: is gone ({error.strerror}); reload the page.") from error
    if not real.is_relative_to(within) or not real.is_file():
        raise InputError(f"{shown_name(path)}: does not lie in the folder that was given any more.")
    return real
