"""Dataclasses that are both a command line and the keywords of a Python function. Imports no torch."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from duchenne.config import from_mapping

T = TypeVar("T")


def from_keywords(kind: type[T], given: Mapping[str, Any], *, where: str) -> T:
    """A dataclass from Python values, as they are given by hand.

    One value stands for a list of one, a text for a path, a path or number for a text, and NumPy's values for Python's.

    Args:
        kind: see `duchenne.config.from_mapping`, whose types may be paths too.
        given: field -> value.
        where: what to call the source in errors.

    Raises:
        UsageError: for an unknown name (with the nearest known one), a wrong type or a missing value.
    """
    hints = typing.get_type_hints(kind)
    plain = {name: _plain(value, hints[name]) if name in hints else value for name, value in given.items()}
    return from_mapping(kind, plain, where=where)


def field_names(kind: type) -> set[str]:
    """The fields that a dataclass can be given."""
    return {field.name for field in dataclasses.fields(kind) if field.init}


def post_init_of(parents: object) -> None:
    """Runs the `__post_init__` of what a dataclass inherits after the class that calls this with `super()`."""
    further = getattr(parents, "__post_init__", None)
    if further is not None:
        further()


def flag(name: str) -> str:
    """A field as it is written on the command line."""
    return f"--{name.replace('_', '-')}"


def names_given(words: Sequence[str]) -> list[str]:
    """The fields whose flags are among the words of a command line, in their order."""
    flags = [word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")]
    return [name.removeprefix("no_") for name in flags]


def _plain(value: Any, hint: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if typing.get_origin(hint) is tuple:
        values = value if isinstance(value, list | tuple) else (value,)
        return tuple(_plain(item, typing.get_args(hint)[0]) for item in values)
    kinds = typing.get_args(hint) or (hint,)
    if isinstance(value, str) and Path in kinds and str not in kinds:
        return Path(value)
    if isinstance(value, int | Path) and not isinstance(value, bool) and str in kinds and type(value) not in kinds:
        return str(value)
    return value
