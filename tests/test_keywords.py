"""Dataclasses that are command lines: Python values, flags, signatures."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import duchenne
from duchenne.errors import UsageError
from duchenne.keywords import check_required, field_names, from_keywords, names_given, post_init_of, takes


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Of every kind."""

    words: tuple[str, ...]
    strengths: tuple[float, ...] = (0.1,)
    number: int = 1
    text: str = "3"
    place: Path | None = None
    either: str | Path | None = None
    limit: float | Literal["stored"] = 0.5
    is_on: bool = True
    own: float = field(default=0.2, init=False)


def read(**given: Any) -> Fields:
    return from_keywords(Fields, {"words": "a", **given}, where="here")


def test_values_by_hand() -> None:
    assert read() == Fields(words=("a",))
    found = read(strengths=1, number=np.int32(4), text=5, place="p", either=Path("q"), limit="stored", is_on=False)
    assert found == Fields(
        words=("a",), strengths=(1.0,), number=4, text="5", place=Path("p"), either=Path("q"), limit="stored",
        is_on=False,
    )  # fmt: skip
    assert isinstance(found.strengths[0], float)
    assert isinstance(found.number, int)
    assert read(words=np.array(["a", "b"]), strengths=[1, 2.5], text=Path("f.csv")) == Fields(
        words=("a", "b"), strengths=(1.0, 2.5), text="f.csv"
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"word": "a"}, "here: needs words; name it"),
        ({"words": "a", "numbers": 3}, "here: unknown key `numbers`; did you mean `number`"),
        ({"words": "a", "number": 1.5}, "`number` must be a whole number"),
        ({"words": "a", "number": True}, "`number` must be a whole number"),
        ({"words": "a", "text": True}, "`text` must be a text"),
        ({"words": "a", "is_on": 1}, "`is_on` must be true or false"),
        ({"words": [1.5]}, "`words`, item 1, must be a text"),
        ({"words": "a", "own": 0.3}, "unknown key `own`"),
    ],
)
def test_what_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        from_keywords(Fields, given, where="here")


def test_words_of_a_command_line() -> None:
    words = ["--batch-size", "64", "--lr=0.1", "x", "--no-baselines", "-o", "--map_items", "AU12", "--"]
    assert [name for name in names_given(words) if name] == ["batch_size", "lr", "baselines", "map_items"]
    assert field_names(Fields) == {
        "words", "strengths", "number", "text", "place", "either", "limit", "is_on",
    }  # fmt: skip
    check_required(Fields, ["words"], where="here")


def test_every_parent_is_checked() -> None:
    checked = []

    @dataclass
    class First:
        def __post_init__(self) -> None:
            checked.append("first")
            post_init_of(super())

    @dataclass
    class Second:
        def __post_init__(self) -> None:
            checked.append("second")
            post_init_of(super())

    @dataclass
    class Both(First, Second):
        pass

    Both()
    assert checked == ["first", "second"]


def test_a_function_shows_what_it_takes() -> None:
    @takes(Fields)
    def job(source: str, *, model: str = "m", **fields: Any) -> None:
        """Does nothing."""

    shown = inspect.signature(job)
    assert list(shown.parameters)[:3] == ["source", "model", "words"]
    assert shown.parameters["words"].default is inspect.Parameter.empty
    assert shown.parameters["strengths"].default == (0.1,)
    assert "own" not in shown.parameters
    shown.bind("s", words=("a",), number=2)
    with pytest.raises(TypeError, match="numbers"):
        shown.bind("s", words=("a",), numbers=2)
    of_detect = inspect.signature(duchenne.detect).parameters
    assert [of_detect[name].default for name in ("model", "min_face", "device", "smooth_s")] == [
        "duchenne",
        32,
        "auto",
        0.0,
    ]
    assert of_detect["mirrored"].annotation is bool
