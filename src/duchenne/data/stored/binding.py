"""Whether a file is still the one that an index was made from: by its SHA-256, computed as seldom as is safe."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from duchenne.config import parse_json
from duchenne.errors import InputError
from duchenne.files import check_file, file_hash, read_text, write_text

VERSION: Final = 1
"""Of the index; another one is made again. It says nothing of the folder itself, see `FORMAT_VERSION`."""
_SMALL: Final = 2**22
"""Bytes of a file that is always read for its SHA-256: a hundredth of a second."""
_TICK_NS: Final = 2 * 10**9
"""The coarsest clock of a file system in use: a file changed again within it may have the same time."""


def cache_of(folder: Path) -> Path:
    """The place in the user's cache for what is known of a folder that cannot be written."""
    import pooch  # here: few folders need it

    return (
        Path(pooch.os_cache("duchenne")) / "prepared" / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    )


def stated(file: Path) -> dict[str, Any]:
    """Size and time of a regular file, and when they were looked at.

    Raises:
        InputError: when it is missing or no regular file.
    """
    check_file(file)
    found = file.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "read_ns": time.time_ns()}


def facts_of(file: Path) -> dict[str, Any]:
    """The same with its SHA-256, from the cache where it was read before.

    Raises:
        InputError: when it cannot be read, or was changed meanwhile.
    """
    found = stated(file)
    memo = cache_of(file.parent) / "table.json" if found["size"] > _SMALL else None
    if memo is not None:
        before = load_sealed(memo)
        if before is not None and _same(before, found):
            return before
    found["sha256"] = file_hash(file)
    refuse_change(file, found)
    if memo is not None:
        with suppress(InputError):  # else it is read again the next time
            save_sealed(memo, found)
    return found


def refuse_change(file: Path, before: dict[str, Any]) -> None:
    """Refuses a file whose size or time is another than before.

    Raises:
        InputError: in one sentence.
    """
    now = stated(file)
    if any(now[key] != before[key] for key in ("size", "mtime_ns")):
        raise InputError(f"{file}: was changed while it was read; run again when nothing writes to it.")


def is_bound(file: Path, facts: dict[str, Any]) -> bool:
    """Whether the file is the one of the facts. Where size and time differ or prove nothing, it is read.

    Raises:
        InputError: when it cannot be read.
    """
    now = stated(file)
    if now["size"] != facts.get("size"):
        return False
    if now["size"] > _SMALL and _same(facts, now):
        return True
    return bool(facts_of(file)["sha256"] == facts.get("sha256"))


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether size and time prove that a file has not changed since it was read."""
    equal = all(before.get(key) == now[key] for key in ("size", "mtime_ns"))
    read = before.get("read_ns")
    return equal and isinstance(read, int) and read - int(now["mtime_ns"]) > _TICK_NS


def save_sealed(path: Path, values: dict[str, Any]) -> None:
    """Writes values as JSON with their checksum, in one step."""
    write_text(path, sealed(values))


def sealed(values: dict[str, Any]) -> str:
    """Values as JSON with their checksum."""
    return json.dumps({**values, "seal": _seal(values)})


def load_sealed(path: Path) -> dict[str, Any] | None:
    """The values; None where the file is missing or not what was written."""
    try:
        values = parse_json(read_text(path, 2**30), str(path))
    except InputError:
        return None
    if not isinstance(values, dict):
        return None
    seal = values.pop("seal", None)
    return values if seal == _seal(values) else None


def _seal(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
