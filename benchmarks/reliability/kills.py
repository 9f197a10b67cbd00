"""Kills commands at random moments, and looks at what they leave and whether the same command finishes.

    python -m benchmarks.reliability.kills --kills 100 [--seed 0] [--work FOLDER] [--commands fit embed]
                                           [--log kills.jsonl]

Kill number i follows from the seed and i alone; those that the log holds are not made again. Every command is first run
twice undisturbed, on small inputs. Then for each kill: one command, over nothing or over an earlier result; at a random
moment SIGTERM or SIGKILL to its main process, SIGINT or SIGHUP to that or, as a terminal does, to all its processes.
What counts as a failure:

    status      another exit status than the signal's, 130 after SIGINT, or 0 where the command had finished
    traceback   on standard error
    survivor    a process that is still there after some seconds
    file        a final file that is neither the earlier one nor that of an undisturbed run
    again       the same command does not finish then, or what it writes is something else than undisturbed
    leftover    a temporary file, lock or folder that is there even then
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.reliability.kills_commands import COMMANDS, LONGEST_S, Command, build
from benchmarks.reliability.kills_processes import Process, import_everything
from benchmarks.reliability.kills_review import Page
from filelock import FileLock

SIGNALS: Final = ("TERM", "INT", "HUP", "KILL")
COLD: Final = 0.15
"""Share of the commands that are started anew."""
IMPORTING_S: Final = 10.0
END_S: Final = 30.0
"""Time for processes to notice that the one that they work for is gone; those that still import do so afterwards."""
_TEMPORARY: Final = re.compile(r"\.part|\.old$|^\.lock$|\.lock$|\.progress$")


def content(path: Path) -> str:
    """What a file holds, without what may differ between two runs: times."""
    if path.name == "checkpoint.pt":
        from duchenne.training.checkpoints import load_checkpoint

        return hashlib.sha256(repr(_plain(load_checkpoint(path))).encode()).hexdigest()
    if path.name == "checkpoint.json":
        return ""  # the checksum of the other, which loading it compares
    data = path.read_bytes()
    if path.name == "log.jsonl":
        kept = [json.loads(line) for line in data.splitlines()]
        data = json.dumps([[line.get(key) for key in ("step", "loss", "lr")] for line in kept]).encode()
    if path.suffix in (".json", ".yaml", ".html", ".md", ".txt", ".csv"):
        data = re.sub(rb"[^\s\"']*/(IN|out-[0-9a-z-]+)\b", rb"PLACE", data)
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.numpy().tobytes() if hasattr(value, "numpy") else value


def contents(out: Path) -> dict[str, str]:
    """Every file below, or the file itself: its name -> what it holds. An index holds the time of its table."""
    if out.is_file():
        return {out.name: content(out)}
    files = {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {name: content(path) for name, path in files.items() if "index/1/" not in name}


@dataclass
class Reference:
    """What an undisturbed run writes.

    Attributes:
        files: name -> content; None where two runs differ.
        seconds: that it took.
        begin: after which its first file was there.
    """

    files: dict[str, str | None]
    seconds: float
    begin: float


class Place:
    """The folder that one command works in: `IN`, and the output."""

    def __init__(self, root: Path, name: str, command: Command) -> None:
        self.root = Path(tempfile.mkdtemp(prefix=f"out-{name}-", dir=root))
        (self.root / "IN").symlink_to(root / "IN")
        self.command, self.out = command, self.root / command.out
        if name == "review":
            shutil.copytree(root / "IN" / "films", self.out)

    def words(self) -> tuple[str, ...]:
        """Of the command here."""
        words = tuple(word.replace("OUT", self.command.out, 1) for word in self.command.words)
        more = [word for name, word in self.command.again if (self.out / name).exists()]
        return words + tuple(more[:1])

    def start(self, mark: str, *, cold: bool = False) -> Process:
        """The command in a session of its own; what an earlier one told is gone before anybody reads it."""
        for name in ("stdout", "stderr"):
            (self.root / name).write_text("")
        return Process(self.words(), self.root, mark, cold=cold)

    def said(self) -> str:
        """What it told on standard error."""
        return (self.root / "stderr").read_text() if (self.root / "stderr").is_file() else ""

    def remove(self) -> None:
        """Removes it."""
        shutil.rmtree(self.root, ignore_errors=True)


def reference(root: Path, name: str) -> Reference:
    """Runs a command twice, or reads what that gave before; several of this program may run side by side."""
    kept = root / f"reference-{name}.json"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.is_file():
            found = _reference(root, name)
            kept.write_text(json.dumps(vars(found)))
    return Reference(**json.loads(kept.read_text()))


def _reference(root: Path, name: str) -> Reference:
    found, took, began = [], 0.0, 0.0
    for number in range(2):
        place = Place(root, name, COMMANDS[name])
        start = time.monotonic()
        process = place.start(f"reference-{os.getpid()}-{number}")
        first: float | None = None
        page = Page(place.root / "stdout", process) if name == "review" else None
        while process.poll() is None and time.monotonic() - start < LONGEST_S:
            if first is None and (place.out.exists() if page is None else page.stored):
                first = time.monotonic() - start
            if page is not None and page.done.is_set():
                process.send(signal.SIGINT)
                process.wait(60)
            time.sleep(0.02)
        if process.returncode != 0:
            process.send(signal.SIGKILL)
            raise RuntimeError(f"{name}: ended with {process.returncode}: {place.said()}")
        took, began = time.monotonic() - start, first or 0.0
        found.append(contents(place.out))
        if number:
            shutil.rmtree(root / f"earlier-{name}", ignore_errors=True)
            (root / f"earlier-{name}").mkdir()
            place.out.rename(root / f"earlier-{name}" / place.out.name)
        place.remove()
    if name == "review":
        found = [{}, {}]  # how far its search came is chance; `look_again` sees to the codes
    if set(found[0]) != set(found[1]):
        raise RuntimeError(f"{name}: two runs wrote different files: {set(found[0]) ^ set(found[1])}")
    files = {file: value if found[1][file] == value else None for file, value in found[0].items()}
    return Reference(files, took, began)


def differing(found: Mapping[str, str], wanted: Reference, working: str) -> list[str]:
    """Files that an undisturbed run does not write, or not so."""
    wrong = []
    for name, value in found.items():
        hidden = any(part.startswith(".") for part in Path(name).parts) or _TEMPORARY.search(name)
        if hidden or re.fullmatch(working, name):
            continue
        if name not in wanted.files:
            wrong.append(f"{name}: is not known")
        elif wanted.files[name] is not None and wanted.files[name] != value:
            wrong.append(f"{name}: differs")
    return wrong


def kill(root: Path, number: int, seed: int, names: list[str]) -> dict[str, Any]:
    """One kill."""
    rng = np.random.default_rng([seed, number])
    name = names[int(rng.integers(len(names)))]
    which, alone = SIGNALS[int(rng.integers(4))], bool(rng.random() < 0.5)
    command, wanted = COMMANDS[name], reference(root, name)
    place, mark = Place(root, name, command), f"{os.getpid()}-{seed}-{number}"
    over = bool(rng.random() < 0.5) and command.replaces
    if over:
        earlier = root / f"earlier-{name}" / command.out
        (shutil.copytree if earlier.is_dir() else shutil.copy)(earlier, place.out)
    cold, begin = bool(rng.random() < COLD), wanted.begin * 0.9 if rng.random() < 0.7 else 0.0
    moment = begin + float(rng.random()) * 1.05 * (wanted.seconds - begin) + cold * float(rng.random()) * IMPORTING_S
    start = time.monotonic()
    process = place.start(mark, cold=cold)
    page = Page(place.root / "stdout", process) if name == "review" else None
    process.wait(moment - (time.monotonic() - start))
    ended, sent = process.poll() is not None, getattr(signal, f"SIG{which}")
    process.send(sent, everyone=which in ("INT", "HUP") and not alone)
    faults: list[str] = []
    status = process.wait(60)
    if status is None:
        faults.append("status: does not end")
        process.send(signal.SIGKILL)
        status = process.wait(60)
    until = time.monotonic() + END_S
    while process.left(mark) and time.monotonic() < until:
        time.sleep(0.2)
    for survivor in process.left(mark):
        faults.append(f"survivor: {' '.join(survivor.cmdline())[:200]}")
        survivor.kill()
    said = place.said()
    allowed = {0, -sent, 130} if which == "INT" or (which == "TERM" and name == "pretrain") else {0, -sent}
    if status not in allowed:
        faults.append(f"status: {status} after SIG{which}")
    if "Traceback" in said:
        faults.append(f"traceback: {said[-1500:]}")
    if page is not None:
        faults += look_again(place, page)
        return _told(place, name, which, moment, faults, number=number, ended=ended, cold=cold)
    left = contents(place.out) if place.out.exists() else {}
    faults += [f"file: {line}" for line in differing(left, wanted, command.working)]
    if over:
        faults += [f"file: {file}: is lost" for file in wanted.files if file not in left]
    again = place.start(mark)
    if again.wait(LONGEST_S) != 0:
        again.send(signal.SIGKILL)
        faults.append(f"again: status {again.returncode}: {place.said()[-1500:]}")
    found = contents(place.out) if place.out.exists() else {}
    faults += [f"again: {line}" for line in differing(found, wanted, r"(?!)")]
    faults += [f"again: {file}: is missing" for file in wanted.files if file not in found]
    below = [str(path.relative_to(place.root)) for path in place.root.rglob("*")]
    faults += [f"leftover: {path}" for path in below if _TEMPORARY.search(Path(path).name) or "/unfinished" in path]
    return _told(place, name, which, moment, faults, number=number, ended=ended, cold=cold)


def look_again(place: Place, before: Page) -> list[str]:
    """Opens the page once more: what it said to have stored is there, and nothing half-written."""
    before.done.wait(30)
    process = place.start("again")
    page = Page(place.root / "stdout", process, only_look=True)
    page.done.wait(60)
    process.send(signal.SIGINT)
    status = process.wait(60)
    faults = [] if status == 0 else [f"again: status {status}: {place.said()[-1500:]}"]
    if page.found not in (before.stored, before.asked):
        faults.append(f"file: codes.csv holds {page.found} codes, not {before.stored} or {before.asked}")
    below = [str(path.relative_to(place.root)) for path in place.out.iterdir()]
    return faults + [f"leftover: {path}" for path in below if _TEMPORARY.search(path)]


def _told(place: Place, name: str, which: str, moment: float, faults: list[str], **more: Any) -> dict[str, Any]:
    if not faults:
        place.remove()
    return {
        "command": name, "signal": which, "moment_s": round(moment, 2), "faults": faults, **more,
        **({"place": str(place.root)} if faults else {}),
    }  # fmt: skip


def main() -> int:
    """Runs from the command line; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", choices=[*COMMANDS], default=[*COMMANDS])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "duchenne-kills")
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    root = given.work.absolute()
    root.mkdir(parents=True, exist_ok=True)
    log = given.log or root / f"kills-{given.seed}.jsonl"
    import_everything()
    if not (root / "built").is_file():
        build(root)
        (root / "built").touch()
    done = {line["number"]: line for line in map(json.loads, log.read_text().splitlines())} if log.is_file() else {}
    for number in range(given.first, given.first + given.kills):
        if number in done:
            continue
        found = done[number] = kill(root, number, given.seed, given.commands)
        with log.open("a") as file:
            file.write(json.dumps(found) + "\n")
        where = "after its end" if found["ended"] else f"after {found['moment_s']} s"
        print(f"{number} {found['command']} SIG{found['signal']} {where}: {found['faults'] or 'well'}", flush=True)
    counts: Callable[[str], Counter[str]] = lambda key: Counter(line[key] for line in done.values())  # noqa: E731
    for key in ("command", "signal"):
        print(", ".join(f"{value} {count}" for value, count in sorted(counts(key).items())))
    failed = [line for line in done.values() if line["faults"]]
    print(f"{len(done)} kills, {sum(line['ended'] for line in done.values())} after the end, {len(failed)} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
