"""How large an installation is: detection alone, and with training. Prints a table in Markdown.

    python tools/install_size.py

Counted are the files that the installed packages list as theirs, with all that they require, as they are here. What a
build of torch for GPUs brings along (packages named nvidia-*, cuda-* and triton) is counted where it is installed.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from pathlib import Path

from packaging.requirements import Requirement


def requirements(name: str, extras: tuple[str, ...]) -> set[str]:
    """A package and all that it requires, by their names as in `pip list`."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(name, extras)]
    while waiting:
        one = waiting.pop()
        key = (re.sub(r"[-_.]+", "-", one[0]).lower(), one[1])
        if key in found:
            continue
        found.add(key)
        for line in importlib.metadata.requires(one[0]) or []:
            needed = Requirement(line)
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *one[1]))
            if wanted:
                waiting.append((needed.name, tuple(sorted(needed.extras))))
    return {name for name, _ in found}


def megabytes(name: str) -> float:
    """Of a package's files on disk."""
    paths = {Path(str(file.locate())) for file in importlib.metadata.files(name) or []}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def main() -> None:
    """Prints the table."""
    base = requirements("duchenne", ()) - {"duchenne"}
    more = requirements("duchenne", ("train",)) - {"duchenne"} - base
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    print("| installation | packages | MB | the largest |\n|---|--:|--:|---|")
    for title, names in (("`duchenne`", base), ('added by `"duchenne[train]"`', more)):
        sizes = sorted(((megabytes(name), name) for name in names), reverse=True)
        largest = ", ".join(f"{name} {size:.0f}" for size, name in sizes[:6])
        print(f"| {title} | {len(names)} | {sum(size for size, _ in sizes):.0f} | {largest} |")


if __name__ == "__main__":
    main()
