"""Dataclasses that are both a command line and the keywords of a Python function. Imports no torch."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from duchenne.config import Range, from_mapping, outside, shortened
from duchenne.errors import UsageError, did_you_mean

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def from_keywords(kind: type[T], given: Mapping[str, Any], *, where: str) -> T:
    """A dataclass from Python values, as they are given by hand.

    One value stands for a list of one, a text for a path, a path or number for a text, and NumPy's values for Python's.

    Args:
        kind: see `duchenne.config.from_mapping`, whose types may be paths too.
        given: field -> value.
        where: what to call the source in errors.

    Raises:
        UsageError: for a missing value, an unknown name (with the nearest known one) or a wrong type.
    """
    check_required(kind, given, where=where)
    hints = typing.get_type_hints(kind)
    plain = {name: _plain(value, hints[name]) if name in hints else value for name, value in given.items()}
    return from_mapping(kind, plain, where=where)


def takes(kind: type) -> Callable[[F], F]:
    """Gives a function with `**fields` the signature that it has in truth: the fields of a dataclass as keywords."""

    def mark(function: F) -> F:
        shown = inspect.signature(function)
        own = [some for some in shown.parameters.values() if some.kind is not inspect.Parameter.VAR_KEYWORD]
        hints, fields = typing.get_type_hints(kind), [field for field in dataclasses.fields(kind) if field.init]
        more = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields
        ]
        function.__signature__ = shown.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        return function

    return mark


def field_names(kind: type) -> set[str]:
    """The fields that a dataclass can be given."""
    return {field.name for field in dataclasses.fields(kind) if field.init}


def check_required(kind: type, names: Collection[str], *, where: str) -> None:
    """Asks for what a dataclass has no default of.

    Args:
        kind: the dataclass.
        names: the fields that were given.
        where: what to call the command in errors.

    Raises:
        UsageError: for the first field that is missing.
    """
    for field in dataclasses.fields(kind):
        bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.init and bare and field.name not in names:
            raise UsageError(f"{where}: needs {flag(field.name)}; name it.")


def check_numbers(settings: Any, **flags: str) -> None:
    """Checks every number against the range in its field's type, see `duchenne.config.Range`.

    Args:
        settings: a dataclass.
        **flags: field -> its name on the command line, where that is another.

    Raises:
        UsageError: in one sentence, for the first that lies outside.
    """
    for name, span, number in outside(settings):
        check_number(flags.get(name, name), number, span)


def check_number(name: str, number: Any, span: Range) -> None:
    """Checks one number that is no field of a dataclass.

    Raises:
        UsageError: when it lies outside, or is no number.
    """
    given: object = number
    if isinstance(given, bool) or not isinstance(given, Real):
        raise UsageError(f"{flag(name)} {shortened(number)}: must be a number, {span}.")
    if not span.holds(number):
        said = f"{number:.6g}" if isinstance(number, float) else shortened(number)
        raise UsageError(f"{flag(name)} {said}: must be {span}.")


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Checks one word that is no field of a dataclass.

    Args:
        name: of the argument.
        value: as it was given.
        choices: a `Literal` that holds what it may be.

    Raises:
        UsageError: when it is none of them, with the nearest one.
    """
    if not isinstance(value, str) or value not in typing.get_args(choices):
        known = [str(choice) for choice in typing.get_args(choices)]
        raise UsageError(f"{flag(name)} {shortened(value)}: is unknown; {did_you_mean(str(value).lower(), known)}")


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
    fits = any(isinstance(value, one) for one in kinds if isinstance(one, type))
    if isinstance(value, int | Path) and not isinstance(value, bool) and str in kinds and not fits:
        return str(value)
    return value
