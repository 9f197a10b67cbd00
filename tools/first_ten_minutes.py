"""Works through docs/first_ten_minutes.md as a newcomer would, and takes its pictures where it is asked to.

    python tools/first_ten_minutes.py [FOLDER] [--pictures docs/pictures]

Needs `[review,train]`, playwright and Debian's chromium; everything is kept in FOLDER.

The recordings are synthetic: two people side by side in each, whose smiles are known exactly. They are coded here by
pressing keys in the page, at the frames where the drawing's AU12 reaches and leaves intensity B.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from duchenne.demonstration.job import write_film
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.synth import synthetic_clip

FRAMES, SIDE_PX, PRESENT_FROM = 100, 420, 2.0
FILMS = ("monday", "tuesday", "wednesday")


def smiling(first_subject: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Clips of one person after the other that hold a smile which begins and ends: frames, and where it is."""
    from duchenne.synthetic.sampling import plan_clip

    for subject in range(first_subject, first_subject + 100):
        for clip in range(4):
            plan = plan_clip(3, subject, clip, FRAMES, head="fixed", style=0)
            present = plan.intensity[:, SYNTH_AUS.index(12)] >= PRESENT_FROM
            if 15 < present.sum() < 70 and not present[0] and not present[-1]:
                frames, _ = synthetic_clip(3, subject=subject, clip=clip, frames=FRAMES, size_px=SIDE_PX, head="fixed")
                yield frames, present
                break


def make(folder: Path) -> dict[str, list[NDArray[np.bool_]]]:
    """The recordings; name -> where the left and the right person smile."""
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / ".smiles.json"
    if known.exists():
        return {name: [np.array(one) for one in both] for name, both in json.loads(known.read_text()).items()}
    people, truth = smiling(0), {}
    for name in FILMS:
        (left, smiles_left), (right, smiles_right) = next(people), next(people)
        write_film(folder / f"{name}.webm", np.concatenate([left, right], axis=2))
        truth[name] = [smiles_left, smiles_right]
    known.write_text(json.dumps({name: [one.tolist() for one in both] for name, both in truth.items()}))
    return truth


def run(*words: str) -> None:
    """One command of the page, as printed there."""
    subprocess.run([sys.executable, "-m", "duchenne.cli.main", *words], check=True)


def runs(present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame, and first frame without it, of every stretch."""
    edges = np.flatnonzero(np.diff(np.r_[0, present.astype(np.int8), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def go(page: Page, index: int) -> None:
    """Waits for a frame."""
    page.evaluate("index => review.player.seek(index)", index)
    while page.evaluate("review.player.shown") != index:
        time.sleep(0.02)


def painted(page: Page) -> None:
    """Waits until the pictures of the faces are there."""
    there = "one => one.getContext('2d').getImageData(38, 38, 1, 1).data[3]"
    while not all(page.evaluate(f"[...document.querySelectorAll('#faces canvas')].map({there})")):
        time.sleep(0.2)


def code(page: Page, truth: dict[str, list[NDArray[np.bool_]]]) -> None:
    """Codes every smile of everyone by keys, and what was coded."""
    for name in FILMS:
        page.select_option("#recording", f"r{FILMS.index(name)}")
        page.wait_for_timeout(2500)
        for face, present in enumerate(truth[name]):
            page.click(f'[data-face="{face}"]')
            page.wait_for_timeout(400)
            page.evaluate("document.activeElement.blur()")
            go(page, 0)
            page.keyboard.press("c")
            for onset, offset in runs(present):
                go(page, onset)
                page.keyboard.press("q")
                go(page, min(offset, FRAMES - 1))
                page.keyboard.press("q")
            go(page, FRAMES - 1)
            page.keyboard.press("c")
    page.wait_for_timeout(800)


def main() -> None:
    """Makes the recordings, works through the page, takes the pictures."""
    parser = argparse.ArgumentParser(description="Works through docs/first_ten_minutes.md with drawn people.")
    parser.add_argument("folder", nargs="?", type=Path, help="where everything is kept; a temporary folder by default")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="take the pictures of the page into this folder")
    given = parser.parse_args()
    folder, pictures = given.folder or Path(tempfile.mkdtemp()) / "recordings", given.pictures
    truth = make(folder)
    run("detect", str(folder), "-o", f"{folder}/", "--report", f"{folder}/pages/", "--quiet")
    command = [sys.executable, "-m", "duchenne.cli.main", "review", str(folder), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(address)
            page.fill("#coder", "mk")
            page.keyboard.press("Enter")
            page.wait_for_timeout(1500)
            code(page, truth)
            page.select_option("#recording", "r0")
            page.wait_for_timeout(2500)
            page.evaluate("document.activeElement.blur()")
            for _ in range(4):  # two coded ranges, the smile on the right, that on the left
                page.keyboard.press("ArrowDown")
                page.wait_for_timeout(400)
            page.keyboard.press("Shift+Digit3")
            go(page, runs(truth["monday"][0])[0][0] + 8)
            page.evaluate("document.getElementById('rows').scrollTop = 200")
            page.wait_for_timeout(600)
            painted(page)
            if pictures is not None:
                page.screenshot(path=pictures / "review.png")
            page.click("#tab-teach")
            page.click("#fit")
            while not page.inner_text("#job-step").startswith(("done", "failed")):
                time.sleep(1)
            while not page.evaluate("Boolean(review.info?.fitted)"):
                time.sleep(0.2)
            page.wait_for_timeout(2000)
            painted(page)
            page.evaluate("document.getElementById('rows').scrollTop = 200")
            if pictures is not None:
                page.screenshot(path=pictures / "review_teach.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
