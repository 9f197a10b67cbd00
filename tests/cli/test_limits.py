"""What the computer refuses is one sentence; closed and narrow streams change nothing else."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from duchenne.cli import main as command
from duchenne.errors import InputError, starved

COMMAND = [sys.executable, "-m", "duchenne.cli.main"]
NAME = "Gr\u00f6\u00dfe \u263a"
ROWS = f"source,frame,time_s,face,score,AU12_s\n{NAME}.mp4,0,0.0,0,0.9,1.0\n{NAME}.mp4,1,0.04,0,0.9,3.0\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"), "not enough memory"),
        (RuntimeError("could not create a primitive"), "not enough memory"),
        (OSError("libmediapipe.so: failed to map segment from shared object"), "not enough memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "not enough memory"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (ImportError("libgomp.so.1: cannot open shared object file: Too many open files"), "ulimit -n"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (ValueError("a fault of our own"), None),
        (OSError(errno.EIO, "Input/output error"), None),
    ],
)
def test_what_ran_out_is_said(error: Exception, sentence: str | None) -> None:
    found = starved(error)
    assert (found is None) == (sentence is None)
    if sentence is not None:
        assert sentence in str(found)


def test_the_command_says_it_in_one_sentence_and_hides_no_fault_of_our_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stand_in(error: Exception) -> None:
        def fail(name: str) -> object:
            raise error

        monkeypatch.setattr(command, "import_module", fail)

    stand_in(MemoryError())
    assert command.main(["embed"]) == 1
    assert capsys.readouterr().err.startswith("duchenne embed: there is not enough memory for this;")
    stand_in(InputError("a.csv: cannot be read (Too many open files)."))
    assert command.main(["embed"]) == 1
    assert capsys.readouterr().err == "duchenne embed: a.csv: cannot be read (Too many open files).\n"
    stand_in(KeyError("a fault of our own"))
    with pytest.raises(KeyError):
        command.main(["embed"])


def test_too_little_memory_to_begin_is_one_sentence() -> None:
    done = subprocess.run(
        [*COMMAND, "detect", "x.png"], capture_output=True, text=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 * 2**20, 300 * 2**20)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "there is not enough memory for this" in done.stderr
    assert "Traceback" not in done.stderr


def test_few_files_are_enough_or_said() -> None:
    done = subprocess.run(
        [*COMMAND, "summarize", "none.csv"], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("duchenne summarize: none.csv: there is no such file")


CLOSED = """
import os, sys
for number in range(3):
    os.close(number)
sys.stdout = sys.stderr = None
from duchenne.cli.streams import three_streams
three_streams()
with open(sys.argv[1], "w") as file:
    print("told to nobody")
    print("told to nobody", file=sys.stderr)
    os.write(2, b"what a library tells")
    file.write(str(file.fileno()))
"""


def test_what_closed_streams_are_told_ends_in_no_file(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CLOSED, tmp_path / "a.txt"], check=True)
    assert int((tmp_path / "a.txt").read_text()) > 2


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", ">&- 2>&-"])
def test_closed_streams_change_no_result(tmp_path: Path, closing: str) -> None:
    (tmp_path / "a_aus.csv").write_text(ROWS, encoding="utf-8")
    words = " ".join([*COMMAND, "summarize", "a_aus.csv", closing])
    done = subprocess.run(words, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    written = (tmp_path / "a_summary.csv").read_text(encoding="utf-8")
    assert written.startswith("source,")
    assert f"{NAME}.mp4" in written


@pytest.mark.parametrize("stream", ["ascii", "latin-1"])
def test_a_narrow_terminal_shows_what_it_can(tmp_path: Path, stream: str) -> None:
    (tmp_path / f"{NAME}_aus.csv").write_text(ROWS, encoding="utf-8")
    variables = {**os.environ, "PYTHONIOENCODING": stream, "LC_ALL": "C"}
    done = subprocess.run([*COMMAND, "summarize", f"{NAME}_aus.csv"], cwd=tmp_path, capture_output=True, env=variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert NAME.encode(stream, "backslashreplace") + b"_summary.csv: 1 rows" in done.stdout
    assert (tmp_path / f"{NAME}_summary.csv").is_file()


def test_a_full_output_is_one_sentence(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full on this system")
    (tmp_path / "a_aus.csv").write_text(ROWS, encoding="utf-8")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "summarize", "a_aus.csv"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == (
        "duchenne summarize: the output cannot be written (No space left on device); free some place.\n"
    )


def test_ctrl_c_after_the_last_line_is_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "flush_output", interrupted)
    assert command.main(["--version"]) == 130
