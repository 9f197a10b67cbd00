"""The order of imports, what importing pulls in, how fast the command answers, and the size of files."""

import ast
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import duchenne
from duchenne.cli.main import COMMANDS, command_module
from duchenne.methods.registry import METHODS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "duchenne"
HEAVY = {
    "torch", "numpy", "cv2", "mediapipe", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "av", "kornia",
    "lightning_fabric", "safetensors", "joblib", "pooch", "jinja2", "yaml", "starlette", "uvicorn",
}  # fmt: skip
LEVELS = (
    {
        "_version",
        "facs",
        "config",
        "keywords",
        "types",
        "metrics",
        "errors",
        "files",
        "plain",
        "progress",
        "devices",
        "parallel",
        "pages",
        "plots",
        "plugins",
    },
    {"model_files", "published", "modules", "losses", "augment", "faces"},
    {"data"},
    {"preparing", "synthetic"},
    {"methods"},
    {"training"},
    {"testing"},
    {"features"},
    {"heads"},
    {"evaluation", "tables", "detectors"},
    {"detection"},
    {"reviewing"},
    {"demonstration", "reproducing"},
    {"cli"},
)
"""A part imports from its own level and from those above this line, never from below."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph() -> dict[str, set[str]]:
    """Every module with those that it imports, wherever the import stands."""
    modules = {module_name(path): path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py"}
    out = {}
    for module, path in modules.items():
        names = (name for _, name in imports(path.read_text(), module))
        out[module] = {name if name in modules else name.rpartition(".")[0] for name in names} - {module}
    return out


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that can reach each other."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = edges.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reached = {node: reach(node) for node in edges}
    groups = {tuple(sorted({other for other in reached[node] if node in reached.get(other, ())})) for node in edges}
    return sorted(list(group) for group in groups if len(group) > 1)


def test_no_module_needs_itself() -> None:
    assert circles(graph()) == []


def test_no_room_needs_itself() -> None:
    rooms: dict[str, set[str]] = {}
    for module, needed in graph().items():
        room = module.split(".")[1]
        rooms.setdefault(room, set()).update(name.split(".")[1] for name in needed)
    assert circles({room: needed - {room} for room, needed in rooms.items()}) == []


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_rooms_stay_small() -> None:
    folders = {path.parent for folder in (SOURCE, ROOT / "tests", ROOT / "benchmarks") for path in folder.rglob("*.py")}
    crowded = {str(folder.relative_to(ROOT)): n for folder in folders if (n := len(list(folder.glob("*.py")))) > 16}
    assert not crowded


def test_tests_lie_where_the_code_lies() -> None:
    def folders(of: Path) -> set[str]:
        return {str(path.parent.relative_to(of)) for path in of.rglob("*.py")}

    # YAML; the repository as a whole; damage and kills; what needs a GPU
    elsewhere = {"recipes", "project", "reliability", "cuda"}
    assert folders(ROOT / "tests") - folders(SOURCE) - elsewhere == set()


def level(module: str) -> int:
    part = module.split(".")[1]
    found = [number for number, parts in enumerate(LEVELS) if part in parts]
    assert found, f"{module}: give `{part}` a place in the order of imports"
    return found[0]


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Every import of a part of duchenne, wherever it stands: (line, module)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import; write it out"
            if node.module == "duchenne":
                lazy = duchenne._FUNCTIONS
                names = [lazy.get(alias.name, f"duchenne.{alias.name}") for alias in node.names]
                names = [name for name in names if name != "duchenne.__version__"]
            else:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("duchenne."))


def wrong_imports(source: str, module: str) -> list[str]:
    return [f"{module}:{line} imports {name}" for line, name in imports(source, module) if level(name) > level(module)]


def test_imports_go_upwards_only() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path != SOURCE / "__init__.py":  # the facade: loads each function when it is asked for
            wrong += wrong_imports(path.read_text(), module_name(path))
    assert not wrong


@pytest.mark.parametrize(
    "line",
    [
        "from duchenne.training.pretrain import pretrain",
        "import duchenne.features.embed",
        "def f():\n    from duchenne import detect",
        "from duchenne.data import prepared",
    ],
)
def test_a_downward_import_is_seen(line: str) -> None:
    assert wrong_imports(line, "duchenne.modules.backbones.resnet")
    assert not wrong_imports(line, "duchenne.cli.demo")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def loaded_by(*modules: str) -> set[str]:
    """The heavy packages that a fresh process has loaded after importing `modules`."""
    names = run(f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})")
    return HEAVY & set(names.split())


def test_importing_duchenne_is_light() -> None:
    assert loaded_by("duchenne", "duchenne.facs", "duchenne.errors", "duchenne.cli.main") == set()


def test_facts_and_configuration_need_no_torch() -> None:
    configs = [f"duchenne.methods.{name}.config" for name in METHODS]
    assert loaded_by("duchenne.config", "duchenne.training.config", "duchenne.methods.registry", *configs) == set()


def test_command_modules_are_light() -> None:
    assert loaded_by(*map(command_module, COMMANDS)) == set()


def test_what_help_shows_is_light() -> None:
    settings = "evaluation.protocols.registry", "preparing.arguments", "detection.settings", "training.config"
    assert loaded_by(*(f"duchenne.{name}" for name in settings)) == set()


def test_facade_names_exist() -> None:
    listed = [name for name in duchenne.__all__ if not name.startswith("_")]
    assert all(callable(getattr(duchenne, name)) for name in listed)
    assert set(listed) == set(duchenne._FUNCTIONS)
    with pytest.raises(AttributeError, match="no attribute 'detekt'"):
        duchenne.detekt  # noqa: B018


def seconds(*words: str) -> float:
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "duchenne.cli.main", *words], capture_output=True, check=True)
        spent.append(time.perf_counter() - start)
    return min(spent)


def test_help_answers_at_once() -> None:
    assert seconds("--help") < 0.6


def test_everything_in_the_package_is_installed() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["duchenne"]
    listed = {path for pattern in patterns for path in SOURCE.glob(pattern)}
    files = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    there = {path for path in files if path.suffix != ".py"}
    assert there - listed == set()


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_files_stay_short(folder: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := path.read_text().count("\n")) > (400 if folder == "src" else 500)
    }
    assert not long
