"""Strict configuration: round trips, unknown keys with their nearest neighbour, wrong types, unreadable files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duchenne.config import from_mapping, load_mapping, save_mapping, to_mapping
from duchenne.errors import DuchenneError, InputError, UsageError


@dataclass(frozen=True, kw_only=True)
class Example:
    steps: int
    learning_rate: float = 0.03
    name: str = "plain"
    shuffle: bool = True
    kind: Literal["sgd", "adam", 3] = "sgd"
    seed: int | None = None
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "a")
    level: Literal["low", "high"] | float = 0.5
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError("`steps` must not be negative.")


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
floats = st.floats(allow_nan=False, width=64)
examples = st.builds(
    Example,
    steps=st.integers(0, 10**12),
    learning_rate=floats,
    name=texts,
    shuffle=st.booleans(),
    kind=st.sampled_from(["sgd", "adam", 3]),
    seed=st.none() | st.integers(),
    sizes=st.lists(st.integers(), max_size=4).map(tuple),
    pair=st.tuples(st.integers(), texts),
    level=st.sampled_from(["low", "high"]) | floats,
    notes=st.dictionaries(texts, texts | st.integers(), max_size=3),
)


@given(config=examples)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_through_yaml(config: Example, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    save_mapping(path, to_mapping(config))
    again = from_mapping(Example, load_mapping(path), where=str(path))
    assert again == config
    assert [type(getattr(again, name)) for name in to_mapping(config)] == [
        type(getattr(config, name)) for name in to_mapping(config)
    ]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("learning_rat", "learning_rate"), ("lr", "learning_rate"), ("Steps", "steps"), ("shufle", "shuffle")],
)
def test_an_unknown_key_is_named_with_its_neighbour(key: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(Example, {"steps": 1, key: 2}, where="my.yaml")
    assert str(caught.value) == f"my.yaml: unknown key `{key}`; did you mean `{nearest}`?"


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("steps", 1.5, "a whole number"),
        ("steps", True, "a whole number"),
        ("steps", "7", "a whole number"),
        ("learning_rate", True, "a number"),
        ("learning_rate", "fast", "a number"),
        ("learning_rate", None, "a number"),
        ("name", 3, "a text"),
        ("shuffle", 1, "true or false"),
        ("kind", "sgdd", "one of 'sgd', 'adam', 3"),
        ("kind", 3.0, "one of 'sgd', 'adam', 3"),
        ("seed", "a", "a whole number or null"),
        ("sizes", 3, "a list, each item a whole number"),
        ("pair", [1], "a list of 2 items (a whole number, a text)"),
        ("notes", [1], "a mapping"),
    ],
)
def test_a_wrong_type_is_named(key: str, value: object, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping(Example, {"steps": 1, key: value}, where="my.yaml")
    assert str(caught.value) == f"my.yaml: `{key}` must be {wanted}, not {value!r}."


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("2E5", 2e5), ("1.5e+2", 150.0), ("-3e-2", -0.03)])
def test_numbers_that_yaml_takes_for_texts(tmp_path: Path, text: str, value: float) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"steps: 3\nlearning_rate: {text}\n")
    assert from_mapping(Example, load_mapping(path), where=str(path)).learning_rate == value


def test_the_wrong_item_of_a_list_is_named() -> None:
    with pytest.raises(UsageError, match="`sizes`, item 2, must be a whole number, not 'a'"):
        from_mapping(Example, {"steps": 1, "sizes": [1, "a"]}, where="my.yaml")


def test_an_int_is_taken_for_a_float() -> None:
    value = from_mapping(Example, {"steps": 1, "learning_rate": 2}, where="x").learning_rate
    assert isinstance(value, float)


def test_missing_and_impossible_values() -> None:
    with pytest.raises(UsageError, match="x: missing key `steps`; add it"):
        from_mapping(Example, {}, where="x")
    with pytest.raises(UsageError, match="x: `steps` must not be negative"):
        from_mapping(Example, {"steps": -1}, where="x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "is not valid YAML"),
        (b"- 1\n- 2\n", "must hold `key: value` lines, not a list"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_mapping(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load_mapping(tmp_path / "none.yaml")
    with pytest.raises(DuchenneError, match="cannot be read"):
        load_mapping(tmp_path)
    (tmp_path / "empty.yaml").touch()
    assert load_mapping(tmp_path / "empty.yaml") == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lr: 0.1\nweights: none\nlr: 0.001\n", "`lr` is in line 1 and again in line 3; keep one"),
        ("lr: 0.1\n'lr': 0.1\n", "`lr` is in line 1 and again in line 2; keep one"),
        ("{lr: 0.1, lr: 0.2}", "`lr` is in line 1 and again in line 1; keep one"),
        ("settings:\n  fps: 1\n  fps: 2\n", "`fps` is in line 2 and again in line 3; keep one"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(content)
    with pytest.raises(InputError, match=re.escape(f"r.yaml: is not valid YAML ({said}).")):
        load_mapping(tmp_path / "r.yaml")


def test_keys_of_several_mappings_and_merged_ones_may_be_alike(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "a: &a {lr: 1, x: 2}\nb: &b {<<: *a, lr: 3}\nc: {<<: *b, lr: 4}\nd: [{x: 5}, {x: 6}]\n"
    )
    assert load_mapping(tmp_path / "r.yaml") == {
        "a": {"lr": 1, "x": 2}, "b": {"lr": 3, "x": 2}, "c": {"lr": 4, "x": 2}, "d": [{"x": 5}, {"x": 6}],
    }  # fmt: skip
