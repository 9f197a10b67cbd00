"""Words that Python functions take as arguments: an unknown one is refused, never taken for another."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import duchenne
from duchenne.errors import UsageError

FIRST: Mapping[str, Callable[..., Any]] = {
    "agree": lambda at, **word: duchenne.agree("a.csv", "b.csv", out=at / "out", **word),
    "compare": lambda at, **word: duchenne.compare(published="bp4d", **word),
    "embed": lambda at, **word: duchenne.embed("pixels", data=at, **word),
    "fit": lambda at, **word: duchenne.fit(model="pixels", data=at, out=at / "out", **word),
    "load_model": lambda at, **word: duchenne.load_model("duchenne", **word),
    "retrieve": lambda at, **word: duchenne.retrieve(model="pixels", data=at, query="a.jpg", out=at / "a.html", **word),
    "synth": lambda at, **word: duchenne.synth(at / "out", subjects=1, clips=1, frames=2, size_px=32, **word),
}
"""Function -> a call in which all else is well, as far as it is looked at before."""


def words_of(function: Any) -> dict[str, tuple[Any, ...]]:
    """Arguments that take one of several words."""
    hints = typing.get_type_hints(function)
    return {name: typing.get_args(hint) for name, hint in hints.items() if typing.get_origin(hint) is typing.Literal}


WORDS = {
    name: words
    for name in duchenne.__all__
    if inspect.isfunction(function := getattr(duchenne, name)) and name != "register_method"
    if (words := words_of(function))
}


def test_every_function_is_tried() -> None:
    assert set(FIRST) == set(WORDS)


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, words in WORDS.items() for argument in words]
)
def test_an_unknown_word_is_refused(name: str, argument: str, tmp_path: Path) -> None:
    """Also one in capitals, and True in the place of `on`."""
    right = str(WORDS[name][argument][0])
    for wrong in (right.upper(), f"{right}x", True, None):
        with pytest.raises(UsageError, match=rf"^{argument} \S+: is unknown; "):
            FIRST[name](tmp_path, **{argument: wrong})
    assert list(tmp_path.iterdir()) == []
