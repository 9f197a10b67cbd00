"""Damaged files of every format are read as before or refused in one sentence; see `benchmarks/reliability/fuzz.py`."""

from pathlib import Path

import pytest
from benchmarks.reliability.fuzz import FAILURES, Child, Reader, chosen
from benchmarks.reliability.fuzz_samples import FORMATS, build

DAMAGED = Path(__file__).parent / "damaged"
INPUTS = 300


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz") / "samples"
    build(root)
    return root


@pytest.mark.slow
def test_undamaged_files_are_read(samples: Path) -> None:
    reader = Reader(samples)
    for kind in FORMATS:
        for name in {chosen(number, 0, samples, [kind])[1] for number in range(30)}:
            found = reader.read(kind, name, (samples / kind / name).read_bytes())
            assert found["end"] == ("same" if FORMATS[kind].sealed else "read"), (kind, name, found)


@pytest.mark.slow
def test_damaged_files_of_every_format(samples: Path) -> None:
    """Quickly, in this process: other inputs than those of `fuzz.py` with its own seed."""
    reader, ends, failures = Reader(samples), [], []
    for number in range(INPUTS):
        kind, name, content = chosen(number, 20, samples, sorted(FORMATS))
        found = reader.read(kind, name, content)
        ends.append(found["end"])
        if found["end"] in FAILURES:
            failures.append(f"{number} {kind} {name}: {found['end']} {found['message']}")
    assert failures == []
    assert ends.count("refused") > INPUTS / 3  # the damage is no pretence


@pytest.mark.slow
def test_a_reader_of_damaged_files_is_watched(samples: Path) -> None:
    """Every input that ever failed, in a process that may take 4 GB more than it has."""
    child, failures = Child(samples), []
    for path in sorted(DAMAGED.iterdir()):
        kind, _, name = path.name.split("--")
        found = child.read(kind, name.replace("+", "/"), path.read_bytes())
        if found["end"] in FAILURES:
            failures.append(f"{path.name}: {found['end']} {found['message']}")
    child.close()
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "end"),
    [("raise ZeroDivisionError", "traceback"), ("bytearray(5 * 2**30)", "memory"), ("os._exit(7)", "crash")],
)
def test_failures_are_noticed(samples: Path, monkeypatch: pytest.MonkeyPatch, what: str, end: str) -> None:
    """The harness sees what it is there for; the reading process takes the place of a reader by this code."""
    monkeypatch.setenv("DUCHENNE_FUZZ_INSTEAD", what)
    child = Child(samples)
    assert child.read("log", "log.jsonl", b"")["end"] == end
    child.close()
