"""`evaluate finetune --curve`: scores after every epoch, which change nothing of the training or its result."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.protocols.test_finetune import BUILDER, FAST

import duchenne
from duchenne.cli.main import main
from duchenne.errors import UsageError
from duchenne.evaluation.protocols import finetune
from duchenne.evaluation.report import parts


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_nets.py").write_text(BUILDER)
    (tmp_path / "other_nets.py").write_text(BUILDER.replace("manual_seed(0)", "manual_seed(1)"))
    monkeypatch.chdir(tmp_path)
    return "own_nets:build"


@pytest.mark.slow
def test_scores_of_every_epoch_beside_the_same_result(faces: Path, small: str, tmp_path: Path) -> None:
    fields = {**FAST, "data": faces, "folds": 2, "model": [small, "other_nets:build"], "epochs": 3}
    plain = duchenne.evaluate("finetune", out=tmp_path / "plain", **fields)
    curve = duchenne.evaluate("finetune", out=tmp_path / "curve", curve=True, **fields)
    pd.testing.assert_frame_equal(plain, curve)
    summary = json.loads((tmp_path / "curve" / "summary.json").read_text())
    assert "epoch_auc" not in (tmp_path / "plain" / "summary.json").read_text()
    page = (tmp_path / "curve" / "report.html").read_text()
    (data,) = re.findall(r'download="epochs\.csv" href="data:text/csv;base64,([^"]+)"', page)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    assert len(rows) == 2 * 2 * 3  # models, metrics, epochs
    for name in (small, "other_nets:build"):
        folds = summary["models"][name]["folds"]["0"]
        assert [len(fold["epoch_auc"]) for fold in folds] == [3, 3]
        own = curve[curve["model"] == name].groupby("fold")["auc"].mean()
        for number, fold in enumerate(folds):  # the last epoch is the result, but for the faces that settle BatchNorm
            assert fold["epoch_auc"][-1] == pytest.approx(own[number], abs=0.03)
        drawn = [float(row["value"]) for row in rows if (row["model"], row["metric"]) == (name, "auc")]
        expected = [sum(fold["epoch_auc"][e] for fold in folds) / 2 for e in range(3)]
        assert drawn == pytest.approx(expected, abs=2e-6)
    assert "Scores after every epoch" in page


def test_a_fold_without_a_score_is_left_out_of_the_curve(
    faces: Path, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    areas, first = finetune.roc_auc, []

    def undefined_at_first(truth: np.ndarray, score: np.ndarray) -> np.ndarray:  # as of a fold without positives
        first.append(len(first) < 2)
        return np.full(truth.shape[1], np.nan) if first[-1] else areas(truth, score)

    monkeypatch.setattr(finetune, "roc_auc", undefined_at_first)
    fields = {**FAST, "data": faces, "folds": 2, "model": small, "epochs": 2, "baselines": False}
    duchenne.evaluate("finetune", out=tmp_path / "out", curve=True, **fields)
    text = (tmp_path / "out" / "summary.json").read_text()
    folds = json.loads(text, parse_constant=pytest.fail)["models"][small]["folds"]["0"]  # NaN is no JSON
    assert folds[0]["epoch_auc"] == [None, None]
    known = folds[1]["epoch_auc"]
    titles = {"auc": "AUC", "f1": "F1"}
    for one, values in ((folds, known), (folds[:1], [None, None])):
        data = parts.epochs({"models": {"m": {"folds": {"0": one}}}}, titles, {"m": "#000000"})["epochs_csv"]
        rows = list(csv.DictReader(io.StringIO(base64.b64decode(data.split(",")[1]).decode())))
        drawn = [float(row["value"]) if row["value"] else None for row in rows if row["metric"] == "auc"]
        assert drawn == values


def test_a_curve_is_of_encoders_that_are_fine_tuned(faces: Path, small: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="curve: is for `evaluate finetune`, not for `evaluate linear`"):
        duchenne.evaluate("linear", model=small, data=faces, out=tmp_path / "no", curve=True, quiet=True)
    words = ["evaluate", "finetune", "--method", "supervised:smoke/supervised", "--curve", "--quiet"]
    assert main([*words, "--data", str(faces), "--out", str(tmp_path / "no")]) == 2
