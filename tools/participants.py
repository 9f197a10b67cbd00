"""The picture of the page over all participants in docs/detect.md, from made-up tables of sixty people.

python tools/participants.py [--out docs/pictures/participants.png]     # needs Debian's chromium and playwright
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

import duchenne
from duchenne.tables.writing import write_record

PEOPLE, RATE, TRIAL_S = 60, 10, 20
TRIALS = ("neutral", "funny", "sad", "social")
EFFECTS = {1: (0, 0.2, 1, 0.1), 2: (0, 0.2, 0.1, 0.1), 4: (0, 0.2, 1, 0.1), 6: (0, 2.5, 0, 0.1), 12: (0, 2.5, 0, 1.2),
           15: (0, 0.2, 1, 0.1), 25: (0, 2.5, 0, 0.1), 45: (0, 0.2, 0.1, 0.1)}  # fmt: skip


def made_up(folder: Path) -> None:
    """Tables as `detect` writes them, with trials: numbers that nobody's face gave."""
    rng, trials = np.random.default_rng(0), []
    time_s = np.arange(len(TRIALS) * TRIAL_S * RATE) / RATE
    for number in range(1, PEOPLE + 1):
        name = f"participant_{number:02d}"
        aus = {}
        for au, effect in EFFECTS.items():
            shift = rng.normal(0, 0.4) + abs(rng.normal(1, 0.3)) * np.repeat(effect, TRIAL_S * RATE)
            aus[f"AU{au:02d}_s"] = (
                shift + 0.03 * rng.normal(0, 1, len(time_s)).cumsum() + rng.normal(0, 0.3, len(time_s))
            ).round(4)
        table = folder / f"{name}_aus.csv"
        pd.DataFrame(
            {"source": f"{name}.mp4", "frame": range(len(time_s)), "time_s": time_s, "face": 0, **aus, "au_scale": "z"}
        ).to_csv(table, index=False)
        write_record(table, {"duchenne": duchenne.__version__, "model": "duchenne"})
        trials += [(f"{name}.mp4", trial, TRIAL_S * at, TRIAL_S * (at + 1)) for at, trial in enumerate(TRIALS)]
    pd.DataFrame(trials, columns=["source", "trial", "onset_s", "offset_s"]).to_csv(folder / "trials.txt", index=False)


def main() -> None:
    """Makes the tables, the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/participants.png"))
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "study"
        folder.mkdir()
        made_up(folder)
        duchenne.summarize(folder, trials=folder / "trials.txt", report=Path(made) / "people.html")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1250, "height": 900})
            page.goto((Path(made) / "people.html").as_uri())
            page.select_option("#order", label="by AU12")
            page.wait_for_timeout(500)
            page.screenshot(path=out)
            browser.close()
    print(out)


if __name__ == "__main__":
    main()
