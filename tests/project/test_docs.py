"""The documentation keeps up with the code: commands, flags, Python calls and links."""

import ast
import dataclasses
import inspect
import os
import re
from pathlib import Path

import pytest

import duchenne
from duchenne.cli.main import _GO_ON, COMMANDS, main
from duchenne.config import from_mapping, load_mapping
from duchenne.data.partitions import PARTITIONS
from duchenne.evaluation.protocols.registry import PROTOCOLS
from duchenne.keywords import field_names
from duchenne.methods.registry import METHODS
from duchenne.preparing.arguments import READERS, settings_class
from duchenne.preparing.datasets.registry import DATA_SETS
from duchenne.training.config import TrainingConfig, method_run_config
from duchenne.training.recipes import load_recipe, recipe_names

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text()


def section(name: str) -> str:
    """The part of commands.md about one command."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", COMMANDS_PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section `{name}`"
    return found[1]


def documented(name: str) -> set[str]:
    """The flags in the first column of a command's table."""
    rows = [line.split(" | ")[0] for line in section(name).splitlines() if line.startswith("| `")]
    return {flag for row in rows for flag in re.findall(r"--[a-z][a-z0-9-]*", row)}


def offered(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    """The flags in the left column of a command's help."""
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    rows = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    flags = {flag for row in rows if row[:1] == "-" for flag in re.findall(r"--[a-z][a-z0-9-]*", row.split("  ")[0])}
    return flags - {"--help"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"prepare", "pretrain", "evaluate"}))
def test_every_flag_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert documented(name) == offered(capsys, name)


def test_every_flag_of_prepare_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert documented("prepare") == set().union(*(offered(capsys, "prepare", reader) for reader in READERS))


def test_every_flag_of_evaluate_is_documented_with_its_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    has = {protocol: offered(capsys, "evaluate", protocol) for protocol in PROTOCOLS}
    everyone, scored, some = section("evaluate").split("| flag |")[1:]
    told: dict[str, set[str]] = {}
    for table, protocols in ((everyone, {*has}), (scored, {*has} - {"probes"}), (some, set())):
        for row in re.findall(r"^\| (`--.*)$", table, re.MULTILINE):
            flags, what, *_ = row.split(" | ")
            named = protocols or set(re.findall(r"`([^`]+)`", what.partition(":")[0]))
            told |= dict.fromkeys(re.findall(r"--[a-z][a-z0-9-]*", flags), named)
    assert told == {flag: {name for name in has if flag in has[name]} for flag in set().union(*has.values())}


def test_every_flag_of_pretrain_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    training = {f"--{item.name.replace('_', '-')}" for item in dataclasses.fields(TrainingConfig)}
    known = offered(capsys, "pretrain", METHODS[0])
    assert documented("pretrain") <= known
    assert training <= documented("pretrain")


DIFFER = {
    "synth": {"size"}, "prepare": {"size"}, "detect": {"quiet", "camera", "camera-address"}, "summarize": {"output"},
    "info": {"all", "run", "data"}, "pretrain": {"show"},
}  # fmt: skip
"""Flags without an argument of the same name in Python."""


def python_names(name: str) -> set[str]:
    """The arguments of a command's function."""
    own = set(inspect.signature(getattr(duchenne, name)).parameters)
    if name == "evaluate":
        return own | {*PROTOCOLS["linear"].fields}
    kinds = {"prepare": settings_class("videos"), "pretrain": method_run_config(METHODS[0])}
    return own | (field_names(kinds[name]) if name in kinds else set())


@pytest.mark.parametrize("name", COMMANDS)
def test_python_takes_what_the_command_takes_but_for_what_its_page_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = {"prepare": ["videos"], "pretrain": [METHODS[0]], "evaluate": ["linear"]}.get(name, [])
    flags = {flag.removeprefix("--") for flag in offered(capsys, name, *kind)}
    names = {one.replace("_", "-") for one in python_names(name)}
    assert {flag for flag in flags if flag.removeprefix("no-") not in names} == DIFFER.get(name, set())
    page = (ROOT / "docs" / "python.md").read_text().partition("## Where the two differ")[2]
    rows = "\n".join(row for row in page.splitlines() if f"`{name} " in row.split(" | ")[0])
    assert [flag for flag in DIFFER.get(name, ()) if f"--{flag}`" not in rows] == []


def test_the_page_says_which_commands_go_on() -> None:
    text = " ".join(COMMANDS_PAGE.split())
    listed = re.search(r"130 Ctrl-C: (.*?) continue from there", text)
    assert listed is not None
    named = {*re.findall(r"`([^`]+)`", listed[1])} - {"pretrain --resume", "detect -o DIR/"}  # these say it themselves
    assert named == {*_GO_ON}


def test_every_command_is_listed() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(#\1\) \|", COMMANDS_PAGE, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {*(ROOT / "docs").glob("*.md"), *(ROOT / "src" / "duchenne" / "methods").glob("*/README.md")}
    links = {os.path.relpath(page, ROOT / "docs") for page in pages - {ROOT / "docs" / "README.md"}}
    assert {link for link in links if f"({link})" not in index} == set()


def test_every_data_set_has_its_page() -> None:
    folder = ROOT / "docs" / "datasets"
    index = (folder / "README.md").read_text()
    assert {page.stem for page in folder.glob("*.md")} - {"README"} == set(DATA_SETS)
    assert [name for name in DATA_SETS if f"({name}.md)" not in index] == []


def test_every_partition_is_listed() -> None:
    index = (ROOT / "docs" / "datasets" / "README.md").read_text()
    assert [name for name in PARTITIONS if f"`{name}`" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_calls_have_the_right_arguments(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "duchenne":
                    arguments = [None] * len(node.args)
                    named = {item.arg: None for item in node.keywords if item.arg}
                    inspect.signature(getattr(duchenne, node.func.attr)).bind(*arguments, **named)
                    if node.func.attr == "evaluate":
                        protocol = ast.literal_eval(node.args[0]) if node.args else "linear"
                        assert set(named) <= {"model", "data", "out", *PROTOCOLS[protocol].fields}
                    if node.func.attr == "prepare":
                        assert set(named) <= {
                            "root",
                            "out",
                            *field_names(settings_class(ast.literal_eval(node.args[0]))),
                        }


def test_pages_name_no_path_of_one_computer() -> None:
    pattern = re.compile(r"(?<![\w.])/(work|root|home|opt)/")
    files = [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "Makefile"]
    assert [str(path) for path in files if pattern.search(path.read_text())] == []


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_build_their_configuration(name: str) -> None:
    method = load_mapping(ROOT / "src" / "duchenne" / "recipes" / f"{name}.yaml")["method"]
    from_mapping(method_run_config(method), load_recipe(name, method), where=name)
