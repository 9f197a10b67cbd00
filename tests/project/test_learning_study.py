"""The learning study in miniature, as it would run on a GPU: a ResNet, its control, and nothing made twice."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def program(name: str) -> Any:
    """A program of the study, which finds the others beside itself, as a module."""
    folder = str(REPOSITORY / "benchmarks" / "learning")
    sys.path.insert(0, folder)
    try:
        return import_module(name)
    finally:
        sys.path.remove(folder)


REPORT = program("study_report")


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
    assert "| gpu | 6 | 1 | 96 | ResNet-18, 112 px | fixed | 0 | temporal ranking |" in reported(table)


def reported(table: Path) -> str:
    """What the report prints."""
    return str(REPORT.report(REPORT.read(table)))


def test_the_tables_of_the_page_are_those_of_the_study(tmp_path, monkeypatch):
    page, picture = REPOSITORY / "docs" / "learning.md", tmp_path / "ladder.png"
    copy = tmp_path / "learning.md"
    copy.write_text(re.sub(r"(<!-- table: [^>]+ -->).*?(<!-- end -->)", r"\1 \2", page.read_text(), flags=re.DOTALL))
    assert len(copy.read_text()) < len(page.read_text()) - 5_000
    table = REPOSITORY / "benchmarks" / "learning" / "results" / "learning.csv"
    monkeypatch.setattr(sys, "argv", ["study_report.py", str(table), "--into", str(copy), "--plot", str(picture)])
    REPORT.main()
    assert copy.read_text() == page.read_text()
    assert cv2.imread(str(picture)) is not None
    copy.write_text("No place for a table.")
    with pytest.raises(SystemExit, match="no place for a table"):
        REPORT.main()


SIZES = {"people": "513", "clips": "4", "passes": "300000", "tested": "64"}
PLACE = {"scale": "cpu", "network": "compact", "learned_from": "fixed", "tested_on": "fixed"}


def row(model: str, figure: str, value: float, low: float = 0.5, **key: str) -> dict[str, object]:
    """A line of the study's table."""
    start = {**SIZES, **PLACE, "seed": "0", "model": model, "aus": "on", **key}
    return {**start, "figure": figure, "value": value, "low": low, "high": 1}


def shown(table: Path, name: str) -> list[str]:
    """The rows of a table of the report."""
    part = f"{reported(table)}\n### ".split(f"### {name}\n")[1].split("\n### ")[0]
    return [line for line in part.splitlines() if line.startswith("|")][2:]


def test_the_overview_calls_learned_what_leads_by_more_than_two_trainings_differ(tmp_path):
    """Two pairs of trainings, .03 and .04 apart: twice their root mean square is .0707."""
    table, rows = tmp_path / "learning.csv", []
    for model, lead, low in (("triplet", 0.08, 0.07), ("CLP", 0.06, 0.05), ("N-pair", 0.08, -0.01)):
        rows += [row(model, "auc", 0.6), row(model, "auc over AUs off", lead, low)]
        rows += [row(model, "auc over untrained", 0.1, 0.05)]
    for model, over in (("EmoCo", (0.1, -0.05)), ("supervised", (0.07, 0.05))):  # over untrained weights: too little
        rows += [row(model, "auc", 0.6), row(model, "auc over AUs off", 0.2, 0.1)]
        rows += [row(model, "auc over untrained", *over)]
    rows += [row("SimCLR", "auc", 0.6), row("HOG", "auc", 0.8, aus="")]
    rows += [row("CLP", "auc", 0.7, passes="60000"), row("CLP", "auc", 0.7, people="16", learned_from="still")]
    again = [row("triplet", "auc", 0.57, seed="0, again"), row("CLP", "auc", 0.64, seed="0, again")]
    pd.DataFrame([*rows, *again]).to_csv(table, index=False)
    found = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line) for line in shown(table, "overview")]
    assert found == [
        "| action units | supervised | .600, +.200 ? |  |  |",
        "| emotions | EmoCo | .600, +.200 ? |  |  |",
        "| order | triplet | **.600, +.080** |  |  |",
        "|  | N-pair | .600, +.080 |  |  |",
        "|  | CLP | .600, +.060 ? |  |  |",
        "| nothing | SimCLR | .600, control not run |  |  |",
        "| not trained | HOG | .800 |  |  |",
    ]
    assert [line.split(" | ")[3:5] for line in shown(table, "other networks and scales")] == [["60000", "compact"]]
    pd.DataFrame(rows).to_csv(table, index=False)
    assert "**" not in "".join(shown(table, "overview"))
    assert "No training was repeated, so nothing says which of the leads is more than chance." in reported(table)


def test_what_was_trained_for_a_comparison_alone_is_no_row_of_its_rung(tmp_path):
    table, rows = tmp_path / "learning.csv", [row("triplet", "auc", 0.6)]
    for seed, first, second in (("1", 0.62, 0.61), ("0", 0.64, 0.61)):
        rows += [
            row("triplet", "auc beside N-pair", first, seed=seed),
            row("triplet", "auc of N-pair", second, seed=seed),
        ]
        rows += [row("triplet", "auc over N-pair", first - second, -0.1, seed=seed)]
    pd.DataFrame([*rows, row("CLP", "auc over CLP without cross-identity", 0.1)]).to_csv(table, index=False)
    assert [line.split(" | ")[1:4] for line in shown(table, "rung fixed")] == [["triplet", "0", ".600 (.500 to 1.000)"]]
    pairs = [line.split(" | ") for line in shown(table, "comparisons")]
    assert [(pair[0], pair[2], pair[-1][:5]) for pair in pairs] == [
        ("| triplet over N-pair", "0", "+.030"),
        ("| triplet over N-pair", "1", "+.010"),
        ("| CLP over CLP without cross-identity", "0", "+.100"),
    ]


def test_few_labels_say_of_which_heads_and_seed(tmp_path):
    """A fiftieth of 66 people, the two thirds that are learned from: one, but two at least are taken."""
    table = tmp_path / "learning.csv"
    pd.DataFrame(
        [
            row("EmoCo", f"auc, share {share}", value, tested="99", seed=seed, tested_on="fixed, finetune")
            for seed, value in (("0", 0.6), ("1", 0.7))
            for share in ("0.02", "1")
        ]
    ).to_csv(table, index=False)
    text = reported(table)
    assert "| heads | seed | people labelled | 2 | 66 |" in text
    assert shown(table, "few") == [
        f"| fixed | {seed} | EmoCo, fine-tuned | {value} | {value} |" for seed, value in (("0", ".600"), ("1", ".700"))
    ]
