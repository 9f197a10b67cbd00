"""What all tests share: the folder of real faces, the browser, the model files, and which tests can run here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Playwright, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

# Before anything imports torch, and inherited by the processes that tests start: the pictures here are tiny, so more
# threads only cost time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if (SHARED / "models").is_dir():
    os.environ["DUCHENNE_MODELS"] = str(SHARED / "models")

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start inherits that; the tests
# of interruption need what a terminal gives.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The cores are shared, so a slow example says nothing; where a failure stops other people it must come back.
settings.register_profile("duchenne", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("duchenne")


PROGRAMS = {"browser": "chromium", "ffmpeg": "ffmpeg", "openssl": "openssl", "strace": "strace"}
"""Marker -> the program that its tests need, a package of the same name in Debian."""


def _missing() -> dict[str, str]:
    """Marker -> why its tests cannot run here."""
    missing = {}
    if not ((SHARED / "data").is_dir() and (SHARED / "models").is_dir()):
        missing["shared"] = "there is no ../shared (real faces and model files) beside the checkout"
    for marker, program in PROGRAMS.items():
        if shutil.which(program) is None:
            missing[marker] = f"there is no `{program}` on the PATH (apt-get install {program})"
    return missing


def _all_are_required() -> bool:
    return os.environ.get("DUCHENNE_REQUIRE_ALL") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, why in _missing().items() if _all_are_required() else ():
        if item.get_closest_marker(name):
            pytest.fail(f"Cannot run: {why}.", pytrace=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by the fixtures they use and deselects those that cannot run here.

    With DUCHENNE_REQUIRE_ALL=1, as in CI, they fail instead.
    """
    why = {} if _all_are_required() else _missing()
    if "slow" not in config.option.markexpr:
        why["slow"] = "they take long; run them with -m slow"
    left_out: dict[str, int] = {}
    kept, deselected = [], []
    for item in items:
        for name in ("shared", "browser"):
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)
        reason = next((name for name in why if item.get_closest_marker(name)), None)
        (deselected if reason else kept).append(item)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = kept
    lines = [f"{count} `{name}` tests left out: {why[name]}" for name, count in left_out.items()]
    config.stash[_LEFT_OUT] = lines
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = lines


_LEFT_OUT = pytest.StashKey[list[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes the lines from a process of tests that run side by side; all of them collect the same tests."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real faces (`data`) and model files (`models`) beside the checkout."""
    return SHARED


@pytest.fixture(scope="session")
def browser() -> Path:
    """The program `chromium`."""
    found = shutil.which("chromium")
    assert found is not None
    return Path(found)


@pytest.fixture(scope="module")
def play() -> Iterator[Playwright]:
    """Playwright. It starts only once in a thread, whose event loop it holds, so no longer than the tests of a file."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(browser: Path, play: Playwright) -> Iterator[Browser]:
    """The browser, driven."""
    opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
    yield opened
    opened.close()


@pytest.fixture
def screenshot(browser: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function (page, picture, width_px=1200, height_px=1600) that draws an HTML file to a PNG file."""

    def draw(page: Path, picture: Path, width_px: int = 1200, height_px: int = 1600) -> Path:
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'browser'}", f"--window-size={width_px},{height_px}",
            f"--screenshot={picture}",
        ]  # fmt: skip
        subprocess.run([browser, *options, page.resolve().as_uri()], check=True, capture_output=True, timeout=120)
        return picture

    return draw
