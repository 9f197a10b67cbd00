"""Every number of every setting has a range, and a number outside of it is refused in one sentence."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing
from pathlib import Path
from typing import Any, Final

import pytest

import duchenne
from duchenne.config import Range, ranges_of
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import MapSubjects
from duchenne.evaluation.report.maps import PALETTE

ENDINGS: Final = ("Arguments", "Settings", "Config", "Choice", "Options")


def settings() -> list[type]:
    """The dataclasses of settings; command lines that only hand words on to functions are theirs to check."""
    found = {}
    for module in pkgutil.walk_packages(duchenne.__path__, "duchenne."):
        if module.name.startswith("duchenne.cli"):
            continue
        for name, kind in vars(importlib.import_module(module.name)).items():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and name.endswith(ENDINGS):
                found[f"{kind.__module__}.{kind.__name__}"] = kind
    return list(found.values())


ALL: Final = settings()
NUMBERS: Final = [(kind, name) for kind in ALL for name in ranges_of(kind)]


def test_these_are_the_settings() -> None:
    names = {kind.__name__ for kind in ALL}
    assert {"LinearSettings", "TuneSettings", "SynthConfig", "DetectSettings", "DetectArguments", "TrainingConfig",
            "PrepareSettings", "VideosSettings", "FinetuneArguments", "MapSettings", "CLPConfig"} <= names  # fmt: skip
    assert len(NUMBERS) > 150


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_the_number_has_a_range_that_is_held(kind: type, name: str) -> None:
    span = ranges_of(kind)[name]
    assert isinstance(span, Range), f"{kind.__name__}.{name}: give its type a range, see duchenne.config"
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    if not field.init:
        assert span.holds(field.default)  # type: ignore[arg-type]
        return
    many = typing.get_origin(typing.get_type_hints(kind)[name]) is tuple
    for number in (span.low if span.above else span.low - 1, span.high * 2 + 1, float("nan")):
        with pytest.raises((UsageError, ValueError)) as caught:
            kind(**{**required(kind), name: (number,) if many else number})
        assert "must be" in str(caught.value)


def required(kind: type) -> dict[str, Any]:
    """Something for every field that has no default."""
    hints = typing.get_type_hints(kind)
    made: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.init and field.default is field.default_factory is dataclasses.MISSING:
            hint, span = hints[field.name], ranges_of(kind).get(field.name)
            choices = typing.get_args(hint)
            made[field.name] = span.high if span else Path("x") if hint is Path else choices[0] if choices else "x"
    return made


def test_a_map_shows_no_more_people_than_there_are_colours() -> None:
    (span,) = typing.get_args(MapSubjects)[1:]
    assert span.high == len(PALETTE)
