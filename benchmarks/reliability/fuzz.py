"""Damages files of every format that is read, and looks whether each is read as before or refused in one sentence.

    python -m benchmarks.reliability.fuzz --inputs 20000 [--seed 0] [--formats prepared png] [--keep FOLDER]
    python -m benchmarks.reliability.fuzz --only 1234 --seed 0       # one of them again, with what it raised

Input number i follows from the seed and i alone. It is read in a process of its own kind that may take 4 GB more than
it has after its imports, and 30 s. What counts as a failure:

    traceback   anything but the library's own errors, or a message of several lines
    silent      a sealed format (`fuzz_samples.FORMATS`) that gives something else than undamaged, without a word
    memory, crash, endless

Failing inputs are written to `--keep`; those that ever failed lie in `tests/reliability/damaged`, which the tests
read.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

MEMORY_BYTES: Final = 4 * 2**30
LONGEST_S: Final = 30.0
_VALUES: Final = (
    b"-1", b"0", b"7", b"1e308", b"-1e308", b"nan", b"inf", b"9" * 5000, b"null", b"true", b'""', b"[]", b"{}", b"1.5",
    b"banana", b"10000000", b"1" + b"0" * 30, b"2024-13-45", b"!!int abc", b"[" * 3000, b"&a [*a]", b"\0", b"\xff\xfe",
    b"'", b'"', b",", b"\n", b"\t", b"=1+1", b"../../x", b"!!python/object/apply:os.getcwd []",
)  # fmt: skip
_LEAVES: Final[tuple[Any, ...]] = (
    None, -1, 0, 7, 1.5, 1e308, float("inf"), float("nan"), 10**7, 10**30, "banana", "", True, [], {}, [[]], {"a": 1},
)  # fmt: skip


def mutated(data: bytes, rng: np.random.Generator, name: str, *, rewrite: bool) -> bytes:
    """The content of a file, damaged in one way or several; with `rewrite` also as another program would write it."""
    if name.endswith((".json", ".yaml", ".boris")) and rng.random() < 0.5:
        return _other_leaf(data, rng, name)
    if name.endswith(".parquet") and rewrite and rng.random() < 0.7:
        return _other_column(data, rng)
    text = name.endswith((".csv", ".json", ".jsonl", ".yaml", ".boris", ".eaf"))
    for _ in range(1 + rng.poisson(0.4)):
        data = _damaged_text(data, rng) if text and rng.random() < 0.7 else _damaged_bytes(data, rng)
    return data


def _damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    size = len(data)
    if not size:
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8))
    # Headers and footers decide; they are hit as often as all the rest.
    place = int(rng.choice([rng.integers(size), rng.integers(min(size, 512)), size - 1 - rng.integers(min(size, 512))]))
    span = int(min(size - place, 2 ** rng.integers(0, 12)))
    kind = rng.integers(8)
    changed = bytearray(data)
    if kind < 3:
        changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        changed[place : place + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
    elif kind == 4:
        del changed[place:]
    elif kind == 5:
        del changed[place : place + span]
    elif kind == 6:
        changed[place : place + span] = bytes(span)
    else:
        changed[place:place] = changed[place : place + span]
    return bytes(changed)


def _damaged_text(data: bytes, rng: np.random.Generator) -> bytes:
    kind = rng.integers(5)
    if kind < 3:
        found = list(re.finditer(rb"-?[0-9.]+|[A-Za-z_]+|\"[^\"]*\"", data))
        if not found:
            return data + rng.choice(np.array(_VALUES, dtype=object))
        word = found[rng.integers(len(found))]
        return data[: word.start()] + _VALUES[rng.integers(len(_VALUES))] + data[word.end() :]
    lines = data.splitlines(keepends=True) or [b""]
    place = int(rng.integers(len(lines)))
    if kind == 3:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[place])
    else:
        del lines[place]
    return b"".join(lines)


def _other_leaf(data: bytes, rng: np.random.Generator, name: str) -> bytes:
    values = yaml.safe_load(data) if name.endswith(".yaml") else json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        for key, value in list(inner.items() if isinstance(inner, dict) else enumerate(inner)):
            places.append((inner, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(values)
    inner, key = places[rng.integers(len(places))]
    if rng.random() < 0.15:
        del inner[key]
    else:
        inner[key] = _LEAVES[rng.integers(len(_LEAVES))]
    if name.endswith(".yaml"):
        return yaml.safe_dump(values).encode()
    return json.dumps(values).encode()


def _other_column(data: bytes, rng: np.random.Generator) -> bytes:
    """As another program would write the table back, with something impossible in a column."""
    import io

    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    name = table.column_names[rng.integers(table.num_columns)]
    place = table.schema.get_field_index(name)
    kind = rng.integers(5)
    if kind == 0:
        table = table.drop_columns([name])
    elif kind == 1:
        table = table.take(pa.array(rng.permutation(table.num_rows)[: int(rng.integers(table.num_rows))]))
    elif kind == 2:
        value = _LEAVES[rng.integers(9)]
        table = table.set_column(place, name, pa.array([value] * table.num_rows))
    elif kind == 3 and pa.types.is_fixed_size_list(table.schema.field(name).type):
        lists = [list(item) for item in table[name].to_pylist()]
        del lists[rng.integers(len(lists))][0]
        table = table.set_column(place, name, pa.array(lists))
    else:
        column = pd.Series(table[name].to_pylist(), dtype=object)
        column[int(rng.integers(len(column)))] = [None, -1, 99, 1e308, float("nan"), "banana", 10**7][rng.integers(7)]
        try:
            table = table.set_column(place, name, pa.array(column.tolist()))
        except (pa.ArrowException, TypeError, ValueError):
            table = table.set_column(place, name, pa.array(column.map(str).tolist()))
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def chosen(number: int, seed: int, root: Path, formats: list[str]) -> tuple[str, str, bytes]:
    """Format, damaged file and its content of one input."""
    from benchmarks.reliability.fuzz_samples import FORMATS

    rng = np.random.default_rng([seed, number])
    weights = np.array([FORMATS[name].weight for name in formats])
    kind = formats[rng.choice(len(formats), p=weights / weights.sum())]
    victims = json.loads((root / "victims.json").read_text())[kind]
    victim = victims[rng.integers(len(victims))]
    return kind, victim, mutated((root / kind / victim).read_bytes(), rng, victim, rewrite=not FORMATS[kind].sealed)


class Reader:
    """Reads damaged files in this process.

    Args:
        root: what `fuzz_samples.build` made.
    """

    def __init__(self, root: Path) -> None:
        from benchmarks.reliability.fuzz_samples import FORMATS

        self.root, self.formats = root, FORMATS
        self._healthy: dict[tuple[str, str], Any] = {}

    def read(self, kind: str, victim: str, content: bytes) -> dict[str, str]:
        """What comes of it: `same`, `other`, `refused`, `silent`, `traceback` or `memory`, and the message."""
        from duchenne.errors import DuchenneError

        one = self.formats[kind]
        if one.sealed and (kind, victim) not in self._healthy:
            self._healthy[kind, victim] = one.read(self.root / kind, victim)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / kind
            shutil.copytree(self.root / kind, copy, copy_function=os.link)
            (copy / victim).unlink()
            (copy / victim).write_bytes(content)
            try:
                found = one.read(copy, victim)
            except DuchenneError as error:
                several = len(str(error).splitlines()) > 1 or len(str(error)) > 1000
                return {"end": "traceback" if several else "refused", "message": str(error).replace(folder, "")[:2000]}
            except MemoryError:
                return {"end": "memory", "message": traceback.format_exc()[-1500:]}
            except Exception:
                return {"end": "traceback", "message": traceback.format_exc()[-3000:]}
        if not one.sealed:
            return {"end": "read", "message": ""}
        return {"end": "same" if found == self._healthy[kind, victim] else "silent", "message": ""}


def _work(root: Path) -> None:
    """Reads what comes on standard input, one JSON line each, and answers on what was standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    reader = Reader(root)
    instead = os.environ.get("DUCHENNE_FUZZ_INSTEAD")  # what the tests of this harness let it read
    if instead:
        code = compile(instead, "instead", "exec")
        reader.formats = {name: type(one)(lambda *_: exec(code)) for name, one in reader.formats.items()}
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    ceiling = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write('{"end": "ready"}\n')
    answers.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        content = Path(asked["content"]).read_bytes()
        answers.write(json.dumps(reader.read(asked["kind"], asked["victim"], content)) + "\n")
        answers.flush()


class Child:
    """A process that reads, started anew when it dies or takes too long."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: subprocess.Popen[str] | None = None
        self._place = Path(tempfile.mkdtemp()) / "content"

    def read(self, kind: str, victim: str, content: bytes) -> dict[str, str]:
        """As `Reader.read`, and `crash` or `endless`."""
        if self._process is None:
            words = [sys.executable, "-m", "benchmarks.reliability.fuzz", "--worker", str(self.root)]
            variables = {**os.environ, "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables,
                cwd=Path(__file__).parents[2],
            )  # fmt: skip
            if self._answer(300) is None:
                raise RuntimeError("the reading process did not start")
        self._place.write_bytes(content)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"kind": kind, "victim": victim, "content": str(self._place)}) + "\n")
        self._process.stdin.flush()
        found = self._answer(LONGEST_S)
        if found is not None:
            return found
        code = self._process.poll()
        self.close()
        return {"end": "endless" if code is None else "crash", "message": f"exit status {code}"}

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answer(self, longest_s: float) -> dict[str, str] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], longest_s)
        line = self._process.stdout.readline() if ready else ""
        if not line and ready:
            self._process.wait()
        found: dict[str, str] | None = json.loads(line) if line else None
        return found


FAILURES: Final = ("traceback", "memory", "crash", "endless", "silent")


def fuzz(
    inputs: range, seed: int, root: Path, *, formats: list[str], keep: Path | None = None, quiet: bool = False
) -> tuple[dict[str, collections.Counter[str]], list[tuple[int, str, str, dict[str, str]]]]:
    """Damages and reads; gives the ends by format, and every failure with its number."""
    child, ends = Child(root), dict[str, collections.Counter[str]]()
    failures = []
    start = time.monotonic()
    for number in inputs:
        kind, victim, content = chosen(number, seed, root, formats)
        found = child.read(kind, victim, content)
        ends.setdefault(kind, collections.Counter())[found["end"]] += 1
        if found["end"] in FAILURES:
            failures.append((number, kind, victim, found))
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}--{number:06d}--{victim.replace('/', '+')}").write_bytes(content)
            if not quiet:
                print(f"{number} {kind} {victim}: {found['end']}\n{found['message']}", flush=True)
        if not quiet and number % 100 == 99:
            print(f"{number + 1} inputs, {len(failures)} failures, {time.monotonic() - start:.0f} s", flush=True)
    child.close()
    return ends, failures


def main() -> int:
    """Runs from the command line; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--formats", nargs="+", default=None)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        _work(given.worker)
        return 0
    from benchmarks.reliability.fuzz_samples import FORMATS, build

    formats = given.formats or sorted(FORMATS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "samples"
        build(root)
        if given.only is not None:
            kind, victim, content = chosen(given.only, given.seed, root, formats)
            print(kind, victim, Reader(root).read(kind, victim, content))
            return 0
        inputs = range(given.first, given.first + given.inputs)
        ends, failures = fuzz(inputs, given.seed, root, formats=formats, keep=given.keep)
    for kind, counts in sorted(ends.items()):
        print(f"{kind:<12} {sum(counts.values()):>6}  " + ", ".join(f"{end} {n}" for end, n in sorted(counts.items())))
    print(f"{given.inputs} inputs, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
