"""Strict dataclass <-> flat YAML: an unknown key is an error that names the nearest known one. Imports no torch."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from duchenne.errors import InputError, UsageError
from duchenne.files import write_text

T = TypeVar("T")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers that YAML 1.1, and so PyYAML, takes for texts: 1e-3."""


def from_mapping(cls: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Builds a dataclass from plain values, refusing unknown keys and wrong types.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, None, Literal, tuples and unions of these.
        values: field name -> value, as YAML gives it (an int is taken where a float is wanted).
        where: what to call the source in errors, e.g. the file's path.

    Raises:
        UsageError: for an unknown key (with the nearest known one), a wrong type or a missing required field.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            near = _nearest(str(key), fields)
            hint = f"did you mean `{near}`?" if near else "it takes no keys."
            raise UsageError(f"{where}: unknown key `{key}`; {hint}")
    converted = {key: _convert(value, hints[key], f"{where}: `{key}`") for key, value in values.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in converted
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{where}: missing key `{missing[0]}`; add it.")
    try:
        return cls(**converted)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def to_mapping(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain values that YAML can hold (tuples become lists)."""
    values = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def load_mapping(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file that must hold one flat mapping; nothing in it is ever executed.

    Raises:
        InputError: when the file is missing, is not YAML, or holds something else than a mapping.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not valid YAML ({' '.join(str(error).split())}).") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold `key: value` lines, not a {type(values).__name__}.")
    return values


def save_mapping(path: str | Path, values: Mapping[str, Any]) -> None:
    """Writes plain values as YAML, in the order given, in one step."""
    write_text(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100))


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Checks `value` against a type hint; returns it with lists as tuples and ints as floats where wanted."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        for option in typing.get_args(hint):
            try:
                return _convert(value, option, where)
            except UsageError:
                continue
    elif origin is Literal:
        if any(value == option and type(value) is type(option) for option in typing.get_args(hint)):
            return value
    elif origin is tuple:
        inner = typing.get_args(hint)
        if isinstance(value, list | tuple):
            kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
            if len(kinds) == len(value):
                pairs = enumerate(zip(value, kinds, strict=True), start=1)
                return tuple(_convert(item, kind, f"{where}, item {number},") for number, (item, kind) in pairs)
    elif origin is Mapping:
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float and _is_number(value):
        return float(value)
    elif hint is type(None) and value is None:
        return None
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{where} must be {_describe(hint)}, not {value!r}.")


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _EXPONENT.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nearest(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` abbreviates by its initials (`lr`), or else the one spelt most alike."""
    known = list(known)
    initials = [name for name in known if "_" in name and "".join(word[:1] for word in name.split("_")) == key]
    return next(iter(initials + difflib.get_close_matches(key, known, n=1, cutoff=0.0)), None)


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in typing.get_args(hint))
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in typing.get_args(hint))
    if origin is tuple:
        inner = typing.get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return f"a list, each item {_describe(inner[0])}"
        return f"a list of {len(inner)} items ({', '.join(map(_describe, inner))})"
    if origin is Mapping:
        return "a mapping"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}.get(
        hint, str(hint)
    )
