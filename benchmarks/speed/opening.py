"""What the checks cost when a prepared folder is opened: this version against an earlier one, taking turns.

    git worktree add ../earlier a0bcb45
    python -m benchmarks.speed.opening --earlier ../earlier/src [--rows 200000] [--turns 15]

The folder is that of `index.py`, once as version 1 of the format, which both read, and once as this version writes it.
Each opens in a process of its own that has imported everything, one after the other in turn, so that what else the
computer does meets all alike. Linux.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

OPEN: Final = """
import gc, sys, time
from duchenne.data.prepared import Prepared
Prepared([sys.argv[1]])
print("ready", flush=True)
for line in sys.stdin:
    gc.collect()
    start = time.process_time(), time.perf_counter()
    Prepared([sys.argv[1]])
    print(time.process_time() - start[0], time.perf_counter() - start[1], flush=True)
"""


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--earlier", type=Path, required=True, help="`src` of the earlier version")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=15)
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from index import make

    here = Path(__file__).parents[2] / "src"
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        make(second, given.rows, landmarks=False)
        make(first, given.rows, landmarks=False)
        said = (first / "dataset.yaml").read_text()
        (first / "dataset.yaml").write_text(said.replace("format_version: 2", "format_version: 1"))
        children = {
            name: subprocess.Popen(
                [sys.executable, "-c", OPEN, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": str(tree.absolute())},
            )
            for name, tree, path in (
                ("earlier", given.earlier, first), ("now, version 1", here, first), ("now, version 2", here, second),
            )
        }  # fmt: skip
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in children}
        for turn in range(given.turns + 1):
            for name, child in children.items():
                assert child.stdin is not None
                assert child.stdout is not None
                if turn:
                    child.stdin.write("\n")
                    child.stdin.flush()
                line = child.stdout.readline().split()
                if not line:
                    raise RuntimeError(f"{name}: the process ended with {child.wait()}")
                if turn:
                    found[name].append((float(line[0]), float(line[1])))
        for name, child in children.items():
            child.communicate()
            for what, values in zip(("processor", "clock"), zip(*found[name], strict=True), strict=True):
                print(f"{name:<16} {what:<10} least {min(values):.4f} s, median {statistics.median(values):.4f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
