"""Methods' pages name code, recipes and settings that are there."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from pathlib import Path

import pytest

import duchenne
from duchenne.methods.registry import METHODS, method_class
from duchenne.modules.encoder import EncoderSpec
from duchenne.training.config import method_run_config
from duchenne.training.recipes import recipe_names

PACKAGE, ROOT = Path(duchenne.__file__).parent, Path(__file__).parents[2]
FILES = (".json", ".jsonl", ".png", ".pth", ".safetensors")
ELSEWHERE = {"align_corners", *(field.name for field in dataclasses.fields(EncoderSpec))}
"""Settings that are not the configuration's: torch's, and the encoder's."""


def quoted(method: str) -> list[str]:
    text = re.sub(r"```.*?```", "", (PACKAGE / "methods" / method / "README.md").read_text(), flags=re.DOTALL)
    return [" ".join(token.split()) for token in re.findall(r"`([^`]+)`", text)]


def is_there(method: str, name: str) -> bool:
    """Whether a dotted name is something in the method's package, in ours, or on a class of the method's family."""
    parts = name.split(".")
    for kind in method_class(method).__mro__:
        if parts[0] == kind.__name__:
            return len(parts) == 2 and hasattr(kind, parts[1])
    for base in (f"duchenne.methods.{method}", "duchenne", "duchenne.methods"):
        for length in range(len(parts), 0, -1):
            try:
                found = import_module(".".join([base, *parts[:length]]))
            except ImportError:
                continue
            for part in parts[length:]:
                found = getattr(found, part, None)
            if found is not None:
                return True
    return False


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_a_page_names_is_there(method: str) -> None:
    recipes, checked = set(recipe_names()), 0
    fields = {field.name for field in dataclasses.fields(method_run_config(method))}
    for token in quoted(method):
        bare = token.split("(")[0]
        if re.fullmatch(r"[a-z_/0-9]+\.py", bare):
            assert any((folder / bare).is_file() for folder in (PACKAGE, PACKAGE / "methods", ROOT)), token
        elif bare.split("/")[0] in {*METHODS, "cpu", "smoke"} and re.fullmatch(r"\w+/[\w.]+", bare):
            assert bare in recipes, token
        elif re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", bare) and not bare.endswith(FILES):
            assert is_there(method, bare), token
        elif setting := re.fullmatch(r"([a-z_]+)(=| ?: )\S+", token):
            assert setting[1] in fields | ELSEWHERE, token
        else:
            continue
        checked += 1
    assert checked > 2
