"""From a dataclass to a command line and its help: tyro, without what its help says for programmers alone."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

T = TypeVar("T")
_NONE: Final = "None"
_EMPTY: Final = (_NONE, "False", "")
"""Defaults that say nothing: what happens without a flag is in its help."""
_REGISTRY: Final = ConstructorRegistry()
_open: list[object] = []
"""Classes whose fields tyro is listing for us."""


def parse(
    kind: type[T],
    *,
    args: Sequence[str],
    prog: str,
    description: str | None = None,
    config: Sequence[Any] = (),
    default: T | None = None,
) -> T:
    """The arguments of a command. Leaves with status 0 after --help, with 2 after bad use.

    Args:
        kind: a dataclass: its fields are the flags, their docstrings the help.
        args: the words after the command.
        prog: the command.
        description: shown in place of the class's docstring.
        config: markers of `tyro.conf` for all fields.
        default: an instance with the defaults.
    """
    with _REGISTRY:
        found: T | None = tyro.cli(
            kind, args=list(args), prog=prog, description=description, config=tuple(config), default=default
        )
    assert found is not None
    return found


@_REGISTRY.struct_rule
def _fields(info: StructTypeInfo) -> StructConstructorSpec | None:
    """A dataclass as tyro reads it, each field with the help that it should have."""
    if not dataclasses.is_dataclass(info.type) or info.type in _open:
        return None
    _open.append(info.type)
    try:
        spec = ConstructorRegistry.get_struct_spec(info)
    finally:
        _open.pop()
    if not isinstance(spec, StructConstructorSpec):
        return None
    fields = [dataclasses.replace(field, type=_with_hint(field.type, info.markers)) for field in spec.fields]
    return dataclasses.replace(spec, fields=tuple(fields))


def _with_hint(kind: Any, markers: Collection[object]) -> Any:
    """The type of a field, with what its help says of the default, and of values that may be None.

    Tyro checks whether defaults are of their types. Of collections and unions it asks another package, which takes a
    quarter of the time of a `--help`; our dataclasses are checked as Python, so nothing is left to find.
    """
    bare, *own = typing.get_args(kind) if typing.get_origin(kind) is Annotated else (kind,)
    spec = _spec(bare)
    if spec is not None:
        bare, own = object, [*own, spec]
    is_single = tyro.conf.FlagCreatePairsOff in (*markers, *own)
    return Annotated[(bare, tyro.conf.arg(help_behavior_hint=_default_of_flag if is_single else _default), *own)]


def _default(label: str) -> str:
    return "" if label in _EMPTY else f"(default: {'on' if label == 'True' else label})"


def _default_of_flag(label: str) -> str:
    """Of what is only said to change it, `--no-browser`: that it is on otherwise goes without saying."""
    return "" if label == "True" else _default(label)


def _spec(kind: Any) -> PrimitiveConstructorSpec[Any] | None:
    """How the words of a collection, or of a value that may be None, are read; None for other types."""
    if typing.get_origin(kind) is tuple:
        return _known(kind)
    others = [one for one in typing.get_args(kind) if one is not type(None)]
    if len(others) == len(typing.get_args(kind)):
        return None
    spec = _known(typing.Union[tuple(others)])  # noqa: UP007, not known beforehand
    if spec is None:
        return None
    read, written, fits = spec.instance_from_str, spec.str_from_instance, spec.is_instance
    return dataclasses.replace(
        spec,
        choices=None if spec.choices is None else (*spec.choices, _NONE),
        instance_from_str=lambda words: None if words == [_NONE] else read(words),
        str_from_instance=lambda value: [_NONE] if value is None else written(value),
        is_instance=lambda value: value is None or fits(value),
    )


def _known(kind: Any) -> PrimitiveConstructorSpec[Any] | None:
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, set()))
    return spec if isinstance(spec, PrimitiveConstructorSpec) else None
