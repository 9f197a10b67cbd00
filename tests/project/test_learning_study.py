"""The learning study in miniature, as it would run on a GPU: a ResNet, its control, and nothing made twice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_study_for_a_gpu_in_miniature(tmp_path):
    table = tmp_path / "learning.csv"
    study = [
        sys.executable,
        str(REPOSITORY / "benchmarks" / "learning" / "study.py"),
        "--scale",
        "gpu",
        "--device",
        "cpu",
    ]
    small = {
        "methods": "temporal ranking",
        "heads": "fixed",
        "passes": "96",
        "people": "6",
        "clips": "1",
        "tested": "6",
    }
    small |= {"networks": "ResNet-18, 112 px", "out": str(tmp_path / "study"), "table": str(table)}
    command = [*study, *(word for name, value in small.items() for word in (f"--{name}", value))]
    said = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=400) for _ in range(2)]
    rows = pd.read_csv(table, keep_default_na=False, dtype=str)
    assert set(rows["network"]) == {"ResNet-18, 112 px"}
    learned = rows[rows["model"] == "temporal ranking"]
    assert {"auc", "f1", "auc over untrained", "auc over AUs off"} <= set(learned["figure"])
    assert len(learned[(learned["aus"] == "off") & (learned["figure"] == "auc")]) == 1
    assert {"landmarks", "HOG", "pixels", "16 x 16 pixels"} < set(rows["model"])
    assert not rows.duplicated([name for name in rows if name not in ("value", "low", "high")]).any()
    assert len(said[1].stdout.splitlines()) == 1  # the second call finds all rows
    assert "| gpu | 96 | ResNet-18, 112 px | fixed | 0 | temporal ranking |" in reported(table)


def reported(table: Path, *options: str) -> str:
    """What the report prints."""
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "learning" / "study_report.py"), str(table), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_tables_of_the_page_are_those_of_the_study(tmp_path):
    page = REPOSITORY / "docs" / "learning.md"
    copy, picture = tmp_path / "learning.md", tmp_path / "ladder.png"
    copy.write_text(re.sub(r"(<!-- table: [^>]+ -->).*?(<!-- end -->)", r"\1 \2", page.read_text(), flags=re.DOTALL))
    assert len(copy.read_text()) < len(page.read_text()) - 5_000
    reported(
        REPOSITORY / "benchmarks" / "learning" / "results" / "learning.csv", "--into", str(copy), "--plot", str(picture)
    )
    assert copy.read_text() == page.read_text()
    assert cv2.imread(str(picture)) is not None


def row(model: str, figure: str, value: float, low: float, aus: str = "on", seed: str = "0") -> dict[str, object]:
    """A line of the study's table."""
    place = {"scale": "cpu", "passes": "300000", "network": "compact", "learned_from": "fixed", "tested_on": "fixed"}
    return {**place, "seed": seed, "model": model, "aus": aus, "figure": figure, "value": value, "low": low, "high": 1}


def test_the_overview_calls_learned_what_leads_by_more_than_two_trainings_differ(tmp_path):
    """Two pairs of trainings, .03 and .04 apart: twice their root mean square is .0707."""
    table, rows = tmp_path / "learning.csv", []
    for model, lead, low in (("triplet", 0.08, 0.07), ("CLP", 0.06, 0.05), ("N-pair", 0.08, -0.01)):
        rows += [row(model, "auc", 0.6, 0.5), row(model, "auc over AUs off", lead, low)]
        rows += [row(model, "auc over untrained", 0.1, 0.05)]
    rows += [row("EmoCo", "auc", 0.6, 0.5), row("EmoCo", "auc over AUs off", 0.2, 0.1)]
    rows += [row("EmoCo", "auc over untrained", 0.1, -0.05), row("SimCLR", "auc", 0.6, 0.5)]
    rows += [row("triplet", "auc", 0.57, 0.5, seed="0, again"), row("CLP", "auc", 0.64, 0.5, seed="0, again")]
    pd.DataFrame(rows).to_csv(table, index=False)
    shown = [line for line in reported(table).split("### rung")[0].splitlines() if line.startswith("|")][2:]
    assert shown == [
        "| emotions | EmoCo | .600, +.200 ? |  |  |",
        "| order | triplet | **.600, +.080** |  |  |",
        "|  | N-pair | .600, +.080 |  |  |",
        "|  | CLP | .600, +.060 ? |  |  |",
    ]
