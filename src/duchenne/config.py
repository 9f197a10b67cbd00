"""Strict dataclass <-> flat YAML: an unknown key is an error that names the nearest known one. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, Union

from duchenne.errors import InputError, UsageError, did_you_mean
from duchenne.files import read_text, write_text

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")
_DEEPEST: Final = 32
"""Levels of nesting of a YAML file; ours have four."""
_MOST_ALIASES: Final = 100
_LONGEST: Final = 80
"""Characters of a value that an error shows."""
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers that YAML 1.1, and so PyYAML, takes for texts: 1e-3."""


@dataclass(frozen=True)
class Range:
    """What a number may be: `Annotated[float, Range(0, 1)]`, the type of a field of a dataclass, see `check_ranges`.

    Attributes:
        low: the least.
        high: the most.
        above: whether `low` itself is too little.
    """

    low: float
    high: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether the number lies in it; NaN never does."""
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        """In words."""
        return f"{'above' if self.above else 'at least'} {_said(self.low)} and at most {_said(self.high)}"


def _said(number: float) -> str:
    """Without an exponent, as long as anyone would write it so."""
    return f"{number:.0f}" if number == round(number) and abs(number) < 1e12 else f"{number:g}"


SEEDS: Final = Range(0, 2**63 - 1)
Count = Annotated[int, Range(1, 10**9)]
"""A whole number of things, at least one."""
Number = Annotated[int, Range(0, 10**9)]
"""A whole number of things, perhaps none."""
Width = Annotated[int, Range(1, 65_536)]
"""Of a layer of a network."""
SIDES: Final = Range(1, 4096)
Side = Annotated[int, SIDES]
"""Of square pictures, in pixels."""
Seed = Annotated[int, SEEDS]
"""Of random numbers."""
Share = Annotated[float, Range(0, 1)]
"""From none to all."""
Weight = Annotated[float, Range(0, 1e6)]
"""Of a term of a sum; 0 leaves it out."""
Rate = Annotated[float, Range(0, 1e3, above=True)]
"""At which something is learned."""
Seconds = Annotated[float, Range(0, 1e9)]
"""Of a recording."""
Intensity = Annotated[float, Range(0, 5, above=True)]
"""From which an action unit counts as present."""
FramesPerSecond = Annotated[float, Range(0, 10_000, above=True)]
"""Of a recording."""
Workers = Annotated[int, Range(1, 1024)]
"""Processes or threads."""
CORES: Final = Range(0, 1024)
"""The same; 0 is one per core."""


def ranges_of(cls: type) -> dict[str, Range | None]:
    """The range of every field of a dataclass that holds numbers; None where its type states none."""
    return dict(_ranges_of(cls))


def check_ranges(config: Any) -> None:
    """Checks every number of a dataclass against the range in its field's type; tuples item by item.

    Raises:
        ValueError: in one sentence, when one lies outside.
    """
    for name, span, number in outside(config):
        raise ValueError(f"{name} must be {span}, not {shortened(number)}")


def outside(config: Any) -> Iterator[tuple[str, Range, float]]:
    """The numbers of a dataclass that lie outside their ranges: field, range, number."""
    kind: Any = type(config)
    for name, span in _ranges_of(kind).items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if span and isinstance(number, int | float) and not isinstance(number, bool) and not span.holds(number):
                yield name, span, number


def from_mapping(cls: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Builds a dataclass from plain values, refusing unknown keys and wrong types.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, None, Literal, tuples and unions of these.
        values: field name -> value, as YAML gives it (an int is taken where a float is wanted).
        where: what to call the source in errors, e.g. the file's path.

    Raises:
        UsageError: for an unknown key (with the nearest known one), a wrong type or a missing required field.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where} must be a mapping, not {shortened(values)}.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    kind: Any = cls
    hints = _hints(kind)
    for key in values:
        if key not in fields:
            short = _initials(str(key), fields)
            hint = f"did you mean `{short}`?" if short else did_you_mean(str(key), fields)
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
        made = cls(**converted)
        check_ranges(made)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    return made


def to_mapping(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain values that YAML can hold (tuples become lists)."""
    values = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def load_mapping(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file that must hold one flat mapping; nothing in it is ever executed.

    Raises:
        InputError: when the file is missing, is not YAML, holds something else than a mapping, or a key twice.
    """
    import yaml  # in functions alone: command lines need no YAML for --help

    path = Path(path)
    text = read_text(path)
    try:
        values = yaml.load(text, Loader=_loader())
    # Dates that are none, `!!int abc`, numbers of thousands of digits, lists in lists in lists.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: is not valid YAML ({reason}).") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold `key: value` lines, not a {type(values).__name__}.")
    return values


@cache
def _loader() -> type[yaml.SafeLoader]:
    """Python's own SafeLoader; refuses lists in lists in lists, names that stand for a mass of others, keys twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        depth, aliases = 0, 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            """As PyYAML does it, to a stated depth."""
            self.aliases += self.check_event(yaml.AliasEvent)
            self.depth += 1
            if self.depth > _DEEPEST or self.aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"more than {_DEEPEST} levels, or {_MOST_ALIASES} names that stand for others")
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

        def compose_mapping_node(self, anchor: Any) -> Any:
            """As PyYAML does it, which would take the last of several values of a key."""
            node = super().compose_mapping_node(anchor)
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    continue
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in lines:
                    raise yaml.YAMLError(f"`{key.value}` is in line {lines[name]} and again in line {line}; keep one")
                lines[name] = line
            return node

    return Loader


def load_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: when the file is missing, too large or not JSON.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str | bytes, where: str) -> Any:
    """What a JSON text holds.

    Args:
        text: as written.
        where: the file, for errors.

    Raises:
        InputError: when it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; lists in lists in lists
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: is not valid JSON ({reason}).") from error


def save_mapping(path: str | Path, values: Mapping[str, Any]) -> None:
    """Writes plain values as YAML, in the order given, in one step."""
    import yaml

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
    elif origin is Annotated:
        return _convert(value, typing.get_args(hint)[0], where)
    elif hint is float and _is_number(value):
        try:
            return float(value)
        except OverflowError:  # a whole number with more digits than any float has
            pass
    elif hint is type(None) and value is None:
        return None
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{where} must be {_describe(hint)}, not {shortened(value)}.")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


@cache
def _ranges_of(cls: type) -> dict[str, Range | None]:
    found: dict[str, Range | None] = {}
    for name, hint in _hints(cls).items():
        spans = list(_spans(hint))
        if spans and typing.get_origin(hint) is not typing.ClassVar:
            found[name] = next(filter(None, spans), None)
    return found


def _spans(hint: Any) -> Iterator[Range | None]:
    """The ranges of the numbers in a type, None of those that state none."""
    if hint in (int, float):
        yield None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        stated = [item for item in hint.__metadata__ if isinstance(item, Range)]
        yield from stated or _spans(inner[0])
    elif origin in (Union, types.UnionType, tuple):
        for option in inner:
            yield from _spans(option)


def shortened(value: Any) -> str:
    """As Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists
        return f"this {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _EXPONENT.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _initials(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` abbreviates by its initials (`lr`)."""
    return next((name for name in known if "_" in name and "".join(word[:1] for word in name.split("_")) == key), None)


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _describe(typing.get_args(hint)[0])
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
