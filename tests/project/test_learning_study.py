"""The learning study in miniature, as it would run on a GPU: a ResNet, its control, and nothing made twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    report = [sys.executable, str(REPOSITORY / "benchmarks" / "learning" / "study_report.py"), str(table)]
    shown = subprocess.run(report, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Heads fixed: ResNet-18, 112 px, 96 passes" in shown
