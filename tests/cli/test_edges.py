"""What the shell hands over: a full standard output, names that are too long, pipes in place of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duchenne.cli import main

DUCHENNE = [sys.executable, "-m", "duchenne.cli.main"]


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DUCHENNE, *words], text=True, stderr=subprocess.PIPE, check=False, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_a_full_output_is_one_sentence() -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full on this system")
    with open("/dev/full", "w") as full:
        done = run("--help", stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        "duchenne --help: the output cannot be written (No space left on device); free some place.\n"
    )


@pytest.mark.parametrize("words", [*([name, "--model"] for name in main.COMMANDS), [], ["info"]])
@pytest.mark.parametrize("long", ["x" * 5000, "9" * 5000, "--" + "x" * 5000])
def test_no_argument_is_so_long(words: list[str], long: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*words, long]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"duchenne {words[0]}: {long[:80]}...: has " if words else f"duchenne {long[:71]}: ")
    assert told.err.endswith(f": has {len(long)} characters, more than any argument; check it.\n")
    assert told.err.count("\n") == 1


def test_a_name_that_is_too_long_is_one_sentence() -> None:
    done = run("summarize", "a" * 4000, stdout=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr.startswith("duchenne summarize: aaaa")
    assert done.stderr.endswith("is too long for the name of a file; check it.\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_in_place_of_a_table_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    done = run("summarize", str(tmp_path / "pipe.csv"), stdout=subprocess.DEVNULL)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
