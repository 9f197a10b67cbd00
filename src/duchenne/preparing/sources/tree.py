"""The files of a data set as they lie on the disk, zip archives looked into; nothing is unpacked, nothing is run."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from duchenne.data.cells import decode_text
from duchenne.errors import InputError
from duchenne.files import check_file, shown_name, walk

LARGEST_MEMBER: Final = 1 << 28
"""Bytes; a picture or table that unpacks to more is refused."""
BROKEN_ARCHIVE: Final = (
    zipfile.BadZipFile, LookupError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What `zipfile` raises of an archive that is damaged, locked, or packed in a way that it does not know."""
_PASSED_OVER: Final = ("__MACOSX", "@eaDir")
_ARCHIVE: Final = re.compile(r"\.zip/", re.IGNORECASE)
K = TypeVar("K", bound=Hashable)


class Stored(NamedTuple):
    """Where a file lies: `path` is the file itself, or the archive that holds it as `member`."""

    path: Path
    member: str = ""


class Tree:
    """Every file below a root.

    Attributes:
        root: the folder.
        names: path of every file relative to the root, with forward slashes, sorted; files in an archive are named as
            if the archive were a folder (`2D+3D/F001.zip/F001/T1/0001.jpg`).
        problems: a sentence for each archive that cannot be read.
    """

    def __init__(self, root: Path) -> None:
        """Lists the files; archives only say what they hold.

        Raises:
            InputError: when `root` is no folder or cannot be listed.
        """
        check_root(root)
        self.root = root
        self.problems: list[str] = []
        self._archives: set[str] = set()
        self.names = sorted(self._walk())

    def stored(self, name: str) -> Stored:
        """Where the file of a name lies."""
        for end in _ARCHIVE.finditer(name):
            archive = name[: end.end() - 1]
            if archive in self._archives:
                return Stored(self.root / archive, name[end.end() :])
        return Stored(self.root / name)

    def data(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            InputError: when it cannot be read.
        """
        return read_stored(self.stored(name))

    def text(self, name: str) -> str:
        """The content of a text file, see `tables.decode_text`."""
        return decode_text(self.data(name))

    def match(self, pattern: str) -> Iterator[tuple[re.Match[str], str]]:
        """(match, name) of every file whose path ends with `pattern`, from the beginning of a name; capitals or not."""
        compiled = re.compile(rf"(?:^|/){pattern}$", re.IGNORECASE)
        for name in self.names:
            found = compiled.search(name)
            if found:
                yield found, name

    def index(self, pattern: str, key: Callable[[re.Match[str]], K]) -> dict[K, str]:
        """key -> name of every file that matches.

        A file that lies in an archive and unpacked is taken unpacked.

        Raises:
            InputError: when two files have the same key, as where a folder lies there twice.
        """
        return self.unique((key(found), name) for found, name in self.match(pattern))

    def unique(self, files: Iterable[tuple[K, str]]) -> dict[K, str]:
        """As `index`, for keys and names that were found otherwise."""
        index: dict[K, str] = {}
        twice: list[tuple[str, str]] = []
        for key, name in files:
            before = index.setdefault(key, name)
            if before == name:
                continue
            packed = bool(self.stored(before).member), bool(self.stored(name).member)
            if packed == (True, False):
                index[key] = name
            elif packed[0] == packed[1]:
                twice.append((before, name))
        if twice:
            first, second = twice[0]
            raise InputError(
                f"{self.root}: {len(twice)} files are there twice (first: {first} and {second}); "
                "remove one of the copies, or name a --root that holds only one."
            )
        return index

    def glance(self) -> str:
        """What lies directly below the root, in words."""
        tops = sorted({name.partition("/")[0] for name in self.names})
        if not tops:
            return "it is empty"
        more = f" and {len(tops) - 5} more" if len(tops) > 5 else ""
        return f"it holds {', '.join(islice(tops, 5))}{more}"

    def _walk(self) -> Iterator[str]:
        for place, names in walk(self.root):
            below = Path(place).relative_to(self.root).as_posix()
            if any(part in _PASSED_OVER for part in below.split("/")):
                continue
            prefix = "" if below == "." else f"{below}/"
            for name in names:
                path = shown_name(prefix + name)  # one that is no UTF-8 cannot be opened by it
                if name.lower().endswith(".zip"):
                    yield from self._members(path)
                else:
                    yield path

    def _members(self, archive: str) -> Iterator[str]:
        try:
            check_file(self.root / archive)
            with zipfile.ZipFile(self.root / archive) as opened:
                members = [info.filename for info in opened.infolist() if not info.is_dir()]
        except InputError as error:
            self.problems.append(str(error))
            return
        except (OSError, *BROKEN_ARCHIVE) as error:
            self.problems.append(f"{archive}: cannot be read as a zip archive ({error}); fetch it again.")
            return
        self._archives.add(archive)
        for member in members:
            if not any(part in _PASSED_OVER or part.startswith(".") for part in member.split("/")):
                yield f"{archive}/{member}"


def check_root(root: Path) -> None:
    """Raises InputError where `root` is no folder."""
    if not root.is_dir():
        what = "is a file; name the folder that holds it" if root.exists() else "there is no such folder; check --root"
        raise InputError(f"{root}: {what}.")


def read_stored(place: Stored) -> bytes:
    """The content of a file, or of a member of an archive.

    Raises:
        InputError: when it is missing, damaged, locked by a password, or unreasonably large.
    """
    if not place.member:
        check_file(place.path)
        try:
            return place.path.read_bytes()
        except OSError as error:
            raise InputError(f"{place.path}: cannot be read ({error.strerror}); check the path.") from error
    try:
        archive = _archive(place.path)
        if archive.getinfo(place.member).file_size > LARGEST_MEMBER:
            raise InputError(f"{place.path}/{place.member}: unpacks to over 256 MiB; replace it.")
        return archive.read(place.member)
    except (OSError, *BROKEN_ARCHIVE) as error:
        if isinstance(error, RuntimeError) and "password" in str(error):
            raise InputError(f"{place.path}: is locked by a password; unpack it.") from error
        raise InputError(f"{place.path}/{place.member}: cannot be read ({error}); fetch the archive again.") from error


@lru_cache(maxsize=4)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
