"""Draws the rooms of the package and what they import, into docs/pictures/architecture.svg.

A room is a folder of `src/duchenne`; the modules beside the folders are one box. A room stands above all rooms that it
imports. Of the arrows only those are drawn that no chain of others implies, so that every import runs along arrows.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "duchenne"
GROUND = "shared modules"
SHARED = {"plugins"}
"""Folders that are shared modules: the modules beside the folders import them, and they those."""
BOX = (1.7, 0.62)
STEP = (2.0, 1.35)

Graph = dict[str, set[str]]


def room(parts: tuple[str, ...]) -> str:
    """The folder that a module's path below the package lies in, or `GROUND`."""
    return parts[0] if parts and (SOURCE / parts[0]).is_dir() and parts[0] not in SHARED else GROUND


def imported(path: Path) -> set[str]:
    """The rooms that one module imports, wherever the import stands."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        rooms |= {room(tuple(name.split(".")[1:])) for name in names if name.split(".")[0] == "duchenne"}
    return rooms


def rooms() -> tuple[Graph, dict[str, int]]:
    """Every room that holds modules with the rooms that it imports, and its number of modules."""
    graph: Graph = {}
    modules: dict[str, int] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent == SOURCE and path.name == "__init__.py":
            continue  # the facade imports a function when it is asked for
        name = room(path.relative_to(SOURCE).parts)
        graph.setdefault(name, set()).update(imported(path) - {name})
        modules[name] = modules.get(name, 0) + (path.name != "__init__.py")
    full = {name for name in graph if modules[name] or graph[name]}
    return {name: graph[name] & full for name in sorted(full)}, modules


def heights(graph: Graph) -> dict[str, int]:
    """Room -> the longest chain of imports below it.

    Raises:
        ValueError: when rooms import each other in a circle.
    """
    found: dict[str, int] = {}
    while len(found) < len(graph):
        ready = [name for name in graph if name not in found and graph[name] <= found.keys()]
        if not ready:
            raise ValueError(f"Circle among {sorted(graph.keys() - found.keys())}.")
        found |= {name: 1 + max((found[below] for below in graph[name]), default=-1) for name in ready}
    return found


def direct(graph: Graph) -> Graph:
    """The arrows that no chain of others implies."""

    def below(name: str) -> set[str]:
        return graph[name].union(*(below(other) for other in graph[name]))

    return {
        name: {to for to in needed if not any(to in below(o) for o in needed - {to})} for name, needed in graph.items()
    }


def places(graph: Graph, height: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Room -> the centre of its box: rows by height, and in a row each box near what it imports."""
    out: dict[str, tuple[float, float]] = {}
    for level in range(max(height.values()) + 1):
        row = sorted(name for name in graph if height[name] == level)
        pull = {name: sum(out[to][0] for to in sorted(graph[name])) / max(len(graph[name]), 1) for name in row}
        row.sort(key=lambda name: pull[name])
        left = sum(pull.values()) / len(row) - STEP[0] * (len(row) - 1) / 2
        out |= {name: (left + STEP[0] * n, STEP[1] * level) for n, name in enumerate(row)}
    return out


def draw(graph: Graph, modules: dict[str, int], out: Path) -> None:
    """Writes the picture; equal imports give equal bytes."""
    height, arrows = heights(graph), direct(graph)
    place = places(arrows, height)
    across, up = zip(*place.values(), strict=True)
    limits = (min(across) - BOX[0], max(across) + BOX[0]), (min(up) - BOX[1], max(up) + BOX[1])
    figure = Figure(figsize=tuple(0.8 * (high - low) for low, high in limits), layout="constrained")
    axes = figure.add_subplot(xlim=limits[0], ylim=limits[1], aspect="equal")
    axes.axis("off")
    for name, needed in sorted(arrows.items()):
        for to in sorted(needed):
            start, end = (place[name][0], place[name][1] - BOX[1] / 2), (place[to][0], place[to][1] + BOX[1] / 2)
            axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.5", "lw": 1}, zorder=0)
    for name, (x, y) in sorted(place.items()):
        corner = (x - BOX[0] / 2, y - BOX[1] / 2)
        axes.add_patch(
            FancyBboxPatch(corner, *BOX, boxstyle="round,pad=0,rounding_size=0.1", fc="#eef3fa", ec="#35588a")
        )
        axes.text(x, y + 0.08, name, ha="center", va="center", fontsize=10, weight="bold")
        count = max(1, modules[name])  # a room may be its `__init__.py` alone
        axes.text(x, y - 0.17, f"{count} module{'s' * (count > 1)}", ha="center", va="center", fontsize=7, color="0.35")
    with mpl.rc_context({"svg.hashsalt": "duchenne", "svg.fonttype": "path"}):
        figure.savefig(out, metadata={"Date": None}, facecolor="white")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "pictures" / "architecture.svg")
    draw(*rooms(), parser.parse_args().out)


if __name__ == "__main__":
    main()
