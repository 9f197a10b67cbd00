"""Expressions as a target, under each protocol that learns them: accuracy per class, their mean."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score
from tests.evaluation.conftest import make

import duchenne
from duchenne.cli.main import main
from duchenne.evaluation.scoring import Predictions, Summariser

NAMES = ("neutral", "happiness", "fear")


def test_accuracies_are_those_of_scikit_learn_and_absent_classes_do_not_count() -> None:
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(120) < 0.3, 1, 0)
    truth[60:] = np.where(rng.random(60) < 0.2, 2, truth[60:])  # nobody is afraid in the first fold
    said = np.where(rng.random(120) < 0.6, truth, rng.integers(0, 3, 120))
    fold, group = np.repeat([0, 1], 60), np.repeat(np.arange(8), 15)
    labels = np.eye(3, dtype=np.float32)[truth]
    run = Predictions(np.eye(3, dtype=np.float32)[said], np.eye(3)[said].astype(bool), fold)
    summariser = Summariser(labels, NAMES, group, fold[::15], resamples=20, exclusive=True)
    found = summariser.add("model", {0: run})
    parts = [(truth[fold == one], said[fold == one]) for one in (0, 1)]
    accuracy = np.mean([accuracy_score(*part) for part in parts])
    assert found["mean_of_folds"]["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-5)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = np.mean([balanced_accuracy_score(*part) for part in parts])
    assert found["mean_of_folds"]["mean_recall"]["value"] == pytest.approx(balanced, abs=1e-5)
    assert found["pooled"]["mean_recall"]["value"] == pytest.approx(balanced_accuracy_score(truth, said), abs=1e-5)
    each = recall_score(truth, said, average=None)
    for name, value in zip(NAMES, each, strict=True):
        assert found["items"][name]["pooled"]["recall"]["value"] == pytest.approx(value, abs=1e-5)
    second = recall_score(*parts[1], average=None)[2]
    assert found["items"]["fear"]["mean_of_folds"]["recall"]["value"] == pytest.approx(second, abs=1e-5)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("emotions") / "faces", subjects=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "more"),
    [("linear", ["--l2", "0.1"]), ("linear+bn", ["--maps", "none"]), ("finetune", ["--epochs", "1"])],
)
def test_every_protocol_learns_expressions(
    protocol: str, more: list[str], faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", protocol, "--model", "random", "--data", str(faces), "--out", str(tmp_path)]
    assert main([*words, "--target", "emotion", "--folds", "2", "--quiet", *more]) == 0
    said = capsys.readouterr().out
    assert "mean of classes" in said
    found = json.loads((tmp_path / "summary.json").read_text())["models"]["random"]
    assert 0 <= found["mean_of_folds"]["accuracy"]["low"] <= found["mean_of_folds"]["accuracy"]["high"] <= 1
    recalls = [found["items"][name]["mean_of_folds"]["recall"]["value"] for name in ("neutral", "happiness")]
    assert found["mean_of_folds"]["mean_recall"]["value"] == pytest.approx(np.mean(recalls), abs=1e-5)
    assert "accuracy</th>" in (tmp_path / "report.html").read_text()


def test_methods_that_learn_action_units_are_refused(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(duchenne.errors.UsageError, match="learns action units; use target au"):
        duchenne.evaluate(
            "finetune", method="supervised:smoke/supervised", data=faces, out=tmp_path, target="emotion", quiet=True
        )
