"""How messages name arguments: by name from Python, as flags on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import DuchenneError, InputError, UsageError, flags_in_messages

SOURCE = Path(duchenne.__file__).parent


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("--size-px 0: must be at least 1.", "`size_px` 0: must be at least 1."),
        ("add --labels, or drop --sync-batchnorm.", "add `labels`, or drop `sync_batchnorm`."),
        ("--l2 1,2 (--no-detect): drop one.", "`l2` 1,2 (`detect=False`): drop one."),
        ("a--b.mp4, /tmp/--x/c and --y.csv: no files.", "a--b.mp4, /tmp/--x/c and --y.csv: no files."),
        ("run `duchenne fit --by sex` first.", "run `duchenne fit --by sex` first."),
        ("a dash -- and a line ---: nothing.", "a dash -- and a line ---: nothing."),
    ],
)  # fmt: skip
def test_python_reads_names(written: str, shown: str) -> None:
    error = UsageError(written)
    with flags_in_messages(False):
        assert str(error) == shown
        with flags_in_messages():
            assert str(error) == written
        assert str(InputError(f"x ({error})")) == f"x ({shown})"


def test_each_says_it_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    with flags_in_messages(False):
        with pytest.raises(DuchenneError) as caught:
            duchenne.evaluate("linear", model="no_where", data="x", out="x")
        assert main(["evaluate", "linear", "--model", "no_where", "--data", "x", "--out", "x"]) == 2
        assert str(caught.value).startswith("`model` no_where: ")
    assert capsys.readouterr().err.startswith("duchenne evaluate: --model no_where: ")


def nodes() -> Iterator[ast.AST]:
    for path in SOURCE.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text()))


def test_messages_name_arguments_that_are_there() -> None:
    names, flags = set(), set()
    for node in nodes():
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Raise):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            flags |= {
                flag for text in texts for flag in re.findall(r"(?<![\w-])--(?:no-)?([a-z][a-z0-9-]*)", str(text))
            }
    assert len(flags) > 50
    assert {flag for flag in flags if flag.replace("-", "_") not in names} == set()
