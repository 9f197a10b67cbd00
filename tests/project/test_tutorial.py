"""The tutorial's commands and Python run on a study as it describes one, both ways."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from duchenne.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "tutorial_statistics.md"


TEXT = PAGE.read_text()


def study() -> None:
    """What `detect` leaves of six people, both ways, with trials and names as the page describes them."""
    draw = np.random.default_rng(0)
    tables, trials, names = [], [], []
    for person in range(6):
        source, time_s = f"rec/p{person:02d}.mp4", np.arange(500) / 10
        smile = 0.1 + 0.02 * person + 0.5 * ((time_s >= 12) & (time_s < 20)) + draw.normal(0, 0.02, 500)
        rows = {"source": source, "frame": np.arange(500), "time_s": time_s, "AU12_s": smile, "AU06_s": np.nan}
        quality = np.where(time_s < 1, "narrow blurred", None)
        tables.append(pd.DataFrame({**rows, "face": 0, "quality": quality}))
        tables.append(pd.DataFrame({**rows, "AU12_s": 0.9, "face": 1, "quality": None}))  # a passer-by
        trials += [(source, "joke", 12, 20, 8, 12), (source, "weather", 40, 48, 36, 40)]
        names += [(source, 0, f"p{person:02d}"), (source, 1, "")]
    whole = pd.concat(tables, ignore_index=True)
    whole.to_parquet("all_aus.parquet")
    Path("tables").mkdir()
    for source, rows in whole.groupby("source"):
        rows.to_csv(Path("tables") / f"{Path(str(source)).stem}_aus.csv", index=False)
    timed = ["source", "trial", "onset_s", "offset_s", "baseline_onset_s", "baseline_offset_s"]
    pd.DataFrame(trials, columns=timed).to_csv("trials.csv", index=False)
    pd.DataFrame(names, columns=["source", "face", "name"]).to_csv("names.csv", index=False)


@pytest.mark.parametrize("way", ["one table", "folder"])
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.chdir(tmp_path)
    study()
    whole, folder = re.findall(r"^duchenne (summarize .*)$", TEXT, re.MULTILINE)
    assert main(shlex.split(whole if way == "one table" else folder)) == 0
    name = "all_trials.csv" if way == "one table" else "tables_trials.csv"

    space: dict[str, Any] = {"Path": Path}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    if way == "folder":
        (reading,) = re.findall(r"`(table = pd\.concat.*?)`", TEXT)
        blocks = [block.replace('table = pd.read_parquet("all_aus.parquet")', reading) for block in blocks]
        blocks = [block.replace("all_trials.csv", name) for block in blocks]
        assert reading in blocks[0]
    for block in blocks:
        exec(block, space)  # the page's own code
    assert space["unsure"].sum() == 60
    smiles = space["smiles"]
    assert list(smiles.index) == [f"p{person:02d}" for person in range(6)]
    assert smiles["joke"].to_numpy() == pytest.approx(np.full(6, 0.5), abs=0.05)
    assert smiles["weather"].to_numpy() == pytest.approx(np.zeros(6), abs=0.05)
    assert len(pd.read_csv("sure_trials.csv")) == len(pd.read_csv(name))
