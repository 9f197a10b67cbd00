"""`compare --ablations`: the papers' ablations beside an evaluation, each with the recipe that trains it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from duchenne.cli.main import main
from duchenne.data.partitions import BP4D_PARTS
from duchenne.evaluation.comparing.compare import compare
from duchenne.facs import AU_SETS, au_column
from duchenne.published import load_ablations


def evaluation(folder: Path, protocol: str) -> Path:
    """A summary of an evaluation of BP4D in its three parts, with the settings that CLP states."""
    folder.mkdir()
    items = [au_column(au) for au in AU_SETS["bp4d"]]
    both = {"f1": {"value": 0.5}, "auc": {"value": 0.5}}
    cell = {"mean_of_folds": both, "pooled": both}
    summary = {
        "protocol": {"name": protocol, "target": "au", "items": items, "folds": "bp4d:jaa", "weighting": "balanced",
                     "threshold": 0.5, "positive_from": None},
        "data": [{"name": "bp4d", "settings": {"reader": "bp4d"}, "label_kind": "occurrence", "alignment": "eyes",
                  "positive_from": 2.0, "size_px": 224, "crops": ""}],
        "models": {"ours": {**cell, "items": dict.fromkeys(items, cell), "seen": {"transductive": False}}},
        "always_positive": {"items": {i: {"mean_of_folds": 0.4, "pooled": 0.4} for i in items}, "mean_of_folds": 0.4,
                            "pooled": 0.4},
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [f"0,{fold},bp4d:{subject}" for fold, part in enumerate(BP4D_PARTS) for subject in part]
    (folder / "folds.csv").write_text("\n".join(["seed,fold,subject", *lines]) + "\n")
    return folder


def test_rows_of_ablations_are_comparable_with_our_own(tmp_path: Path) -> None:
    ours = evaluation(tmp_path / "ours", "linear+bn")
    without = compare([ours], published="bp4d").table
    table = compare([ours], published="bp4d", ablations=True).table
    added = [row for row in load_ablations() if row.dataset == "BP4D"]
    assert len(table) == len(without) + len(added)
    found = table.set_index("model")
    row = found.loc["CLP, reconstruction alone"]
    assert (row["mean"], row["comparable_with"], row["differs"]) == (0.593, "ours", "")
    assert row["note"] == "Recipe: clp/ablation_cir."
    words = found.loc["CLP, 11 frames"]
    assert math.isnan(words["mean"])
    assert words["note"].startswith("Remark: printed as similar to 9 frames.")
    assert found.loc["CL-ILE A1, label contrast"]["differs"] == "protocol"


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.md"
    assert main(["compare", "--published", "gft", "--ablations", "--out", str(out)]) == 0
    assert "EmoCo, one queue" in capsys.readouterr().out
    assert "| GFT: EmoCo IV | EmoCo, contrastive loss alone | finetune |" in out.read_text()
    assert main(["compare", "--published", "gft"]) == 0
    assert "EmoCo, one queue" not in capsys.readouterr().out
