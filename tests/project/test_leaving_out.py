"""Tests that cannot run here are left out in one printed line, and are an error where everything is required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = """
import pytest

def test_plain(): pass
def test_faces(shared): pass
@pytest.mark.shared
def test_marked(): pass
def test_page(screenshot): pass
@pytest.mark.ffmpeg
def test_film(): pass
@pytest.mark.slow
def test_long(): pass
"""
SETTINGS = "[pytest]\nmarkers =\n    shared\n    browser\n    ffmpeg\n    openssl\n    strace\n    slow\n"


def run(checkout: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the examples in a checkout of their own: without ../shared, and without a browser on the PATH."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", checkout / "tests" / "conftest.py")
    (checkout / "tests" / "test_examples.py").write_text(EXAMPLES)
    (checkout / "pytest.ini").write_text(SETTINGS)
    environment = {
        "PATH": str(checkout),
        **{key: value for key, value in os.environ.items() if key == "HOME"},
        **variables,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout" / "tests").mkdir(parents=True)
    return tmp_path / "checkout"


SIDE_BY_SIDE = ((), ("-n", "2", "--dist", "loadfile"))


@pytest.mark.slow
@pytest.mark.parametrize("words", SIDE_BY_SIDE)
def test_what_is_missing_is_left_out_in_one_line_each(checkout: Path, words: tuple[str, ...]) -> None:
    done = run(checkout, *words)
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    for line in (
        "2 `shared` tests left out: there is no ../shared",
        "1 `browser` tests left out",
        "1 `ffmpeg` tests left out",
        "1 `slow` tests",
    ):
        assert done.stdout.count(line) == 1


def test_what_is_there_runs(checkout: Path) -> None:
    (checkout.parent / "shared" / "data").mkdir(parents=True)
    (checkout.parent / "shared" / "models").mkdir()
    assert "3 passed, 3 deselected" in run(checkout).stdout
    assert "1 passed, 5 deselected" in run(checkout, "-m", "slow").stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", SIDE_BY_SIDE)
def test_missing_is_an_error_where_all_are_required(checkout: Path, words: tuple[str, ...]) -> None:
    done = run(checkout, *words, DUCHENNE_REQUIRE_ALL="1")
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert "4 failed" in done.stdout or "4 errors" in done.stdout
    assert done.stdout.count("Cannot run: there is no ../shared") >= 2
    assert "Cannot run: there is no `chromium`" in done.stdout
    assert "Cannot run: there is no `ffmpeg`" in done.stdout
