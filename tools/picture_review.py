"""Takes docs/pictures/review.png: two synthetic people side by side, read by `detect`, coded, in the page of `review`.

    python tools/picture_review.py [FOLDER]        # needs Debian's chromium; the recording is kept in FOLDER
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

import duchenne
from duchenne.demonstration.job import write_film
from duchenne.synthetic.synth import synthetic_clip

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "review.png"
FRAMES, SIDE_PX = 100, 420


def make(folder: Path) -> None:
    """The recording, its table and some codes."""
    folder.mkdir(parents=True, exist_ok=True)
    people = [
        synthetic_clip(3, subject=subject, clip=clip, frames=FRAMES, size_px=SIDE_PX, head="fixed")
        for subject, clip in ((2, 1), (5, 0))
    ]
    write_film(folder / "couple.webm", np.concatenate([frames for frames, _ in people], axis=2))
    duchenne.detect(folder / "couple.webm", output=folder / "couple_aus.csv", all_aus=True)
    (folder / "codes.csv").write_text(
        "source,au,onset_s,offset_s,intensity,side,certainty,face,coder\n"
        "couple.webm,coded,0,3.2,,,,0,mk\ncouple.webm,12,0.6,1.96,C,,,0,mk\ncouple.webm,6,0.8,1.8,B,,,0,mk\n"
        "couple.webm,4,2.4,2.88,B,L,uncertain,0,mk\n"
    )


def shoot(folder: Path, out: Path) -> None:
    """The page as a picture."""
    command = [sys.executable, "-m", "duchenne.cli.main", "review", str(folder), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(address)
            page.wait_for_timeout(4000)
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowDown")
            page.evaluate("review.player.seek(34)")
            page.wait_for_timeout(1500)
            page.screenshot(path=out)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Makes the recording where it is not there yet, and takes the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    if not (folder / "couple_aus.csv").exists():
        make(folder)
    shoot(folder, OUT)


if __name__ == "__main__":
    main()
