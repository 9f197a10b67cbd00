"""Writing files so that a half-written one is never seen: write beside, then rename."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

from duchenne.errors import InputError, UsageError

_LONGEST_NAME: Final = 255
"""Bytes of a file name, in every common file system."""
LOCK_NAME: Final = ".lock"
"""In the folder of a job while it is at work."""
_PART: Final = re.compile(r"\.(.+)\.(\d+)-([0-9a-f]{6})-[0-9a-f]{12}\.(part|old)(\..*)?", re.DOTALL)
"""What is being written: its final name, process, machine, and whether it is the new one or the one that made way."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes of a file name that are no UTF-8."""
_swept: set[str] = set()
_CHUNK: Final = 2**20
_LARGEST_TEXT: Final = 2**26
"""Bytes of a file of settings or a record."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; renames it to `path` on success, removes it on any failure.

    The temporary name cannot be guessed and is made anew, so that no link that lies there is followed; it keeps the
    suffix of `path`, so that writers which look at it (pandas, PyAV, OpenCV) work. File and folder are on the disk when
    the new name is, so a power cut leaves the old file or the new one. What processes that were killed left beside it
    is removed.

    Args:
        path: the final file. Its folder is made when missing.

    Yields:
        The temporary path, in the same folder; an empty file.

    Raises:
        InputError: when the folder or file cannot be written (no permission, disk full), or its path is no UTF-8 and
            the library that writes it knows no others.
    """
    path = Path(path)
    temporary = path.with_name(_part_name(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: its folder cannot be made ({error.strerror}); choose another place.") from error
    made = False
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        made = True
        sweep(path.parent)
        yield temporary
        _to_disk(temporary)
        temporary.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        foreign = error.filename is not None and Path(str(error.filename)) not in (temporary, path)
        if foreign or "shared object" in str(error):  # a library that did not fit into memory any more
            raise
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be written ({reason}); choose another place or free some.") from error
    except UnicodeEncodeError as error:
        if not _SURROGATE.search(str(path)):
            raise
        raise InputError(f"{path}: files of this kind need a path in UTF-8; choose another.") from error
    finally:
        if made:
            with suppress(OSError):  # where it cannot be removed, the error above says more
                temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Gives a new folder beside `path` to write to, which takes its place whole on success.

    As `replacing` does it with files. The earlier folder is removed, its place is taken in two steps: one that makes
    way, one that follows. The next call puts back what a process left that was killed between the two.

    Args:
        path: the final folder.

    Yields:
        The temporary one.

    Raises:
        InputError: when it cannot be written.
    """
    path = Path(path)
    temporary, old = (path.with_name(_part_name(path, what)) for what in ("part", "old"))
    try:
        try:
            temporary.mkdir(parents=True)
            sweep(path.parent)
            yield temporary
            for file in (*temporary.iterdir(), temporary):
                _to_disk(file)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            _to_disk(path.parent)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path}: cannot be written ({reason}); choose another place or free some.") from error
    finally:
        if old.exists() and not path.exists():  # whatever came between, Ctrl-C too
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _part_name(path: Path, what: str = "part") -> str:
    """The temporary name, shortened where the final one is so long that nothing can be added to it."""
    ending = f".{os.getpid()}-{_machine()}-{os.urandom(6).hex()}.{what}{path.suffix}"
    stem = os.fsencode(path.stem)[: max(1, _LONGEST_NAME - 1 - len(os.fsencode(ending)))]
    return f".{os.fsdecode(stem)}{ending}"


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # opens no folders; its renaming is written through
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot for folders
            raise
    finally:
        os.close(handle)


@cache
def _machine() -> str:
    """Tells computers, and containers, that share a folder apart: process numbers are those of one of them."""
    import hashlib  # here and below: commands that write nothing, such as --help, need not wait for it
    import platform

    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def sweep(folder: str | Path) -> None:
    """Removes what killed processes of this computer left half-written in a folder; once for each folder and process.

    A folder that had made way for one that never came is put back.

    Args:
        folder: itself, not what is below.
    """
    real = os.path.realpath(folder)
    if real in _swept:
        return
    _swept.add(real)
    for name in os.listdir(real):
        found = _PART.fullmatch(name)
        if not found or found[3] != _machine() or _is_running(int(found[2])):
            continue
        left, final = Path(real, name), Path(real, found[1] + (found[5] or ""))
        with suppress(OSError):
            if not left.is_dir() or left.is_symlink():
                left.unlink()
            elif found[4] == "old" and not final.exists():
                left.rename(final)
            else:
                shutil.rmtree(left)


def is_leftover(name: str) -> bool:
    """Whether a file of this name in a folder of results is a lock or half-written: nothing that a job would spoil."""
    return (name.startswith(".") and name.endswith(LOCK_NAME)) or _PART.fullmatch(name) is not None


def _is_running(number: int) -> bool:
    import psutil  # here: few need it

    return bool(psutil.pid_exists(number))


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Holds a folder for this process and thread; a process that dies holds nothing.

    Args:
        folder: of one job's results. It is made when missing, and removed again where nothing was written into it.

    Raises:
        UsageError: when another job works in it.
        InputError: when it cannot be made or written.
    """
    folder = Path(folder)
    made = not os.path.exists(folder)  # Path.exists raises where a name is too long
    try:
        with _held(folder, folder / LOCK_NAME):
            yield
    finally:
        if made:
            with suppress(OSError):  # it holds something
                folder.rmdir()


@contextmanager
def locked_beside(path: str | Path, patience_s: float = 0.0) -> Iterator[None]:
    """The same for one file, or a folder that is replaced as a whole: the lock lies beside it.

    Args:
        path: what one job writes. Its folder is made when missing.
        patience_s: seconds to wait while another one holds it.

    Raises:
        UsageError, InputError: as `locked`.
    """
    path = Path(path)
    name = os.fsdecode(os.fsencode(path.name)[: _LONGEST_NAME - 1 - len(LOCK_NAME)])
    with _held(path, path.with_name(f".{name}{LOCK_NAME}"), patience_s):
        yield


@contextmanager
def _held(what: Path, place: Path, patience_s: float = 0.0) -> Iterator[None]:
    from filelock import FileLock, Timeout  # here: reading commands need not wait for it

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place, timeout=patience_s, thread_local=False)
        lock.acquire()
    except Timeout as error:
        raise UsageError(f"{what}: another process is at work in it; wait for it, or choose another place.") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what}: cannot be written ({reason}); choose another place.") from error
    try:
        yield
    finally:
        with suppress(OSError):  # whoever waits for it notices that it is another file
            place.unlink()
        lock.release()


def shown_name(path: str | Path) -> str:
    """A path, or a text with some, as one that can be written anywhere: bytes that are no UTF-8 become `\\xNN`."""
    return _SURROGATE.sub(_as_byte, os.fspath(path))


def each_once(paths: list[Path]) -> list[Path]:
    """The same paths.

    Raises:
        UsageError: when two of them are one place, however they are written.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path}: is named twice; name each folder once.")
        seen.add(path.resolve())
    return paths


def _as_byte(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else f"\\u{number:04x}"


def walk(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below `folder`, itself included, with the names of its files; hidden ones are passed over.

    Links are followed, but no folder is visited twice.

    Raises:
        InputError: when a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); allow reading it.") from error

    seen = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # links that lead back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield place, [name for name in names if not name.startswith(".")]


def check_file(path: str | Path) -> None:
    """Refuses what is no regular file: a pipe or a device might never end.

    Raises:
        InputError: in one sentence; also where nothing is there.
    """
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{path}: there is no such file; check the path.") from error
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from error
    except ValueError as error:  # a NUL in it
        raise InputError(f"{str(path)!r}: cannot be a file name ({error}); check the path.") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise InputError(f"{path}: cannot be read: it is {kind}, not a file; name the file itself.")


def read_bytes(path: str | Path, most: int = _LARGEST_TEXT) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        most: bytes; a larger one is refused.

    Raises:
        InputError: when it is missing, no regular file, too large, or cannot be read.
    """
    path = Path(path)
    check_file(path)
    try:
        if path.stat().st_size > most:
            raise InputError(f"{path}: is larger than {most >> 20} MB, too large for what it should be.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.") from error


def read_text(path: str | Path, most: int = _LARGEST_TEXT) -> str:
    """The content of a text file in UTF-8, see `read_bytes`.

    Raises:
        InputError: as `read_bytes`, and when it is no UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8 to `path` in one step (see `replacing`); names in it as `shown_name` gives them."""
    with replacing(path) as temporary:
        temporary.write_text(shown_name(text), encoding="utf-8")


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file."""
    import hashlib

    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
