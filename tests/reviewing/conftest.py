"""The browser that the tests of the page drive, and what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.reviewing.made import BITS, Site, recordings, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one numbered recording and its table."""
    return recordings(tmp_path_factory.mktemp("study") / "recordings")


@pytest.fixture
def site(folder: Path, tmp_path: Path) -> Iterator[Site]:
    """The page about it; codes are stored in `tmp_path`."""
    with serving(folder, codes=tmp_path / "codes.csv") as made:
        yield made


@pytest.fixture
def show(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function (site, coder, width, height) that opens the page, and fails at the end where the page had an error."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def opened(
        site: Site, coder: str | None = "mk", width: int = 1300, height: int = 900, playable: bool = True
    ) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((site.address, "data:", "blob:")) else wrong.append(f"asked {asked.url}")
            ),
        )
        if coder is not None:
            page.add_init_script(f"localStorage.setItem('coder', {coder!r})")
        page.goto(site.address)
        if playable:
            loaded(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def until(page: Page, expression: str, argument: Any = None, seconds: float = 15) -> None:
    """Waits until an expression of the page holds; Playwright's own waiting needs what the page's policy forbids."""
    last = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        assert time.monotonic() < last, expression
        time.sleep(0.02)


def loaded(page: Page) -> None:
    """Waits until the recording and its numbers are there."""
    until(page, "Boolean(globalThis.review?.player.ready && review.player.times.length)")


def seen(page: Page) -> int:
    """The number that the displayed frame says of itself."""
    found: int = page.evaluate(
        """bits => {
          const video = document.getElementById("video"), canvas = document.createElement("canvas");
          canvas.width = video.videoWidth; canvas.height = video.videoHeight;
          const pen = canvas.getContext("2d");
          pen.drawImage(video, 0, 0);
          let number = 0;
          for (let bit = 0; bit < bits; bit++)
            number = 2 * number + (pen.getImageData((bit + .5) * canvas.width / bits, 8, 1, 1).data[0] > 127);
          return number;
        }""",
        BITS,
    )
    return found


def arrived(page: Page, index: int) -> None:
    """Waits until a frame is shown."""
    until(page, "index => review.player.shown === index && !review.player.seeking", index)


def saved(page: Page) -> None:
    """Waits until all codes are stored."""
    until(page, "review.coding.state === 'saved' && !review.coding.saving")


def press(page: Page, *keys: str) -> None:
    """Presses keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)
