"""Code from outside of the package: what installed packages offer by name, and `package.module:Name`.

A package offers methods, backbones, data sets and augmentations as entry points (`importlib.metadata`) of the groups
`duchenne.methods`, `duchenne.backbones`, `duchenne.datasets` and `duchenne.augmentations`; they are imported when their
name is first used. Whoever installs a package trusts it, so files may name what it offers.

`package.module:Name` is any other code. What the user types is the user's word; what a file names is not: a recipe, a
run or a detector that names code is opened only if the variable `DUCHENNE_BUILDERS` holds its name (several: commas).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Literal

from duchenne.errors import DuchenneError, UsageError

BUILDERS_VARIABLE: Final = "DUCHENNE_BUILDERS"
BUILDER: Final = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):([A-Za-z_]\w*)")
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What a plug-in may be called."""
CODE_KEYS: Final = ("method", "backbone", "views")
"""Keys of a configuration that can name code."""

Kind = Literal["methods", "backbones", "datasets", "augmentations"]


def is_builder(name: Any) -> bool:
    """Whether a name has the form `package.module:Name`."""
    return isinstance(name, str) and BUILDER.fullmatch(name) is not None and not name.startswith("transformers:")


def check_builder(name: Any, where: object) -> None:
    """Refuses code that a file names, unless the user allows it.

    Args:
        name: of a method, backbone or augmentation; anything else than `package.module:Name` passes.
        where: the file, for the error.

    Raises:
        UsageError: when it is code that `DUCHENNE_BUILDERS` does not hold.
    """
    allowed = [word for part in os.environ.get(BUILDERS_VARIABLE, "").split(",") if (word := part.strip())]
    if is_builder(name) and name not in allowed:
        raise UsageError(
            f"{where}: needs the code {name}, which a file may not start by itself; if you trust it, "
            f"set {BUILDERS_VARIABLE}={','.join((*allowed, name))} and run again."
        )


def check_named_code(values: Mapping[str, Any], where: object, typed: str | None = None) -> None:
    """Refuses a configuration from a file that names code, unless the user allows it; see `check_builder`.

    Args:
        values: of the configuration.
        where: the file, for the error.
        typed: what the user named in so many words.

    Raises:
        UsageError: for the first name that is not allowed.
    """
    for key in CODE_KEYS:
        if values.get(key) != typed:
            check_builder(values.get(key), where)


def import_builder(name: str, what: str) -> Any:
    """What `package.module:Name` stands for; modules beside the user are found, too.

    Args:
        name: of that form.
        what: asked for it, for errors: `--backbone`.

    Raises:
        UsageError: when it cannot be imported.
    """
    package, _, own = name.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)  # as `python -m` would; the installed command does not have it
    try:
        with others_code(f"{what} {name}: cannot be imported", "; check the name"):
            return getattr(import_module(package), own)
    finally:
        if added:
            sys.path.remove(here)


def plugins(kind: Kind) -> dict[str, tuple[EntryPoint, ...]]:
    """What installed packages offer, by name; nothing is imported. Several of one name: nobody knows which is meant."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=f"duchenne.{kind}"), key=lambda point: (point.name, point.value)):
        if point not in found.get(point.name, ()):  # a package can lie twice on the path
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def load_plugin(kind: Kind, name: str) -> Any | None:
    """What an installed package offers by a name, imported now; None where there is nothing of that name.

    Raises:
        UsageError: when it is broken, or two packages offer something of that name.
    """
    if NAME.fullmatch(name) is None:
        return None
    points = plugins(kind).get(name, ())
    if not points:
        return None
    if len(points) > 1:
        both = " and ".join(package_of(point) for point in points)
        raise UsageError(f"`{name}` of duchenne.{kind} is offered by {both}; uninstall one of them.")
    advice = f"; mend or uninstall the package {package_of(points[0])}"
    with others_code(f"`{name}` of duchenne.{kind}: {points[0].value} cannot be imported", advice):
        return points[0].load()


def package_of(point: EntryPoint) -> str:
    """Name and version of the package that offers something."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module


class RefusedError(ValueError):
    """What is not done here, with the reason in our own words; `others_code` makes a sentence of it."""


@contextmanager
def others_code(said: str, advice: str = "", kind: type[DuchenneError] = UsageError) -> Iterator[None]:
    """Runs code that is not ours: whatever it raises becomes one sentence, `said (reason)advice.`

    Args:
        said: what failed.
        advice: what to do.
        kind: of the error: an `InputError` where files are at fault.

    Raises:
        DuchenneError: of that kind, with that sentence; one of ours passes as it is.
    """
    try:
        yield
    except DuchenneError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        reason = str(error) if isinstance(error, RefusedError) else reason
        raise kind(f"{said} ({reason}){advice}.") from error
