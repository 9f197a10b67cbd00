"""Scripts that no test runs (benchmarks, tools, examples) import only what the package and they still have."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [path for folder in ("benchmarks", "tools", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def source_of(module: str, script: Path) -> Path | None:
    """The file of a module of the package, of `benchmarks`, or beside a script; None for other people's."""
    parts = module.split(".")
    places = {"duchenne": ROOT / "src", "benchmarks": ROOT}
    place = places.get(parts[0], script.parent).joinpath(*parts)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@functools.cache
def names_of(path: Path) -> frozenset[str]:
    """What a module has: what is assigned, defined or imported in it, and the modules of a folder."""
    found = {one.stem for one in path.parent.iterdir()} if path.name == "__init__.py" else set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(one.asname or one.name).split(".")[0] for one in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # names that `duchenne` loads when they are first asked for
    return frozenset(found)


def missing(source: str, script: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            path = source_of(node.module, script)
            if path is None and node.module.split(".")[0] in ("duchenne", "benchmarks"):
                yield node.module
            elif path is not None:
                yield from (f"{node.module}.{one.name}" for one in node.names if one.name not in names_of(path))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_is_there(script: Path) -> None:
    assert list(missing(script.read_text(), script)) == []


def test_what_is_gone_is_seen() -> None:
    gone = "from duchenne.faces.find import FaceFinder, silent_options\nfrom duchenne.nowhere import x\nimport json"
    assert list(missing(gone, ROOT / "benchmarks" / "x.py")) == [
        "duchenne.faces.find.silent_options",
        "duchenne.nowhere",
    ]


def test_the_picture_of_the_rooms_is_that_of_the_imports(tmp_path: Path) -> None:
    """Its rooms, that is: how many modules each has changes too often to draw it anew each time."""
    subprocess.run([sys.executable, ROOT / "tools" / "architecture.py", "--out", tmp_path / "now.svg"], check=True)
    drawn, now = (
        set(re.findall(r"<!-- ([a-z ]+) -->", path.read_text()))
        for path in (ROOT / "docs" / "pictures" / "architecture.svg", tmp_path / "now.svg")
    )
    source = ROOT / "src" / "duchenne"
    rooms = {path.parent.relative_to(source).parts[0] for path in source.glob("*/**/*.py")}
    assert drawn == now == rooms - {"plugins", "recipes", "weights"} | {"shared modules"}
