"""Scores of whole evaluations against scikit-learn, unknown labels masked; features of many faces in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from duchenne.data.prepared import Prepared
from duchenne.evaluation.scoring import Predictions, Summariser, always_positive, cells, spread, statistics
from duchenne.features.encoder import EncoderSource
from duchenne.features.source import Context

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def area(truth: np.ndarray, said: np.ndarray, score: np.ndarray) -> float:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else np.nan


MEASURES: dict[str, Measure] = {
    "f1": lambda truth, said, score: float(f1_score(truth, said, zero_division=0)),
    "precision": lambda truth, said, score: float(precision_score(truth, said, zero_division=0)),
    "recall": lambda truth, said, score: float(recall_score(truth, said, zero_division=0)),
    "auc": area,
}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_cells_and_both_aggregates_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((90, 3)) < rng.random(3)).astype(float)
    score = np.round(rng.normal(size=(90, 3)) + labels, 1).astype(np.float32)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    group = np.arange(90) // 10
    run = Predictions(score, score > 0.3, group % 3)
    rows = pd.DataFrame(cells("m", "au", "abc", labels, {0: run})).set_index(["item", "fold"])
    expected: dict[str, np.ndarray] = {name: np.empty((4, 3)) for name in MEASURES}  # three folds, then pooled
    for part in range(4):
        for item in range(3):
            here = (run.fold == part if part < 3 else run.fold >= 0) & ~np.isnan(labels[:, item])
            for name, measure in MEASURES.items():
                value = measure(labels[here, item], run.predicted[here, item], score[here, item])
                expected[name][part, item] = value
                if part < 3:
                    assert rows.loc[("abc"[item], part), name] == pytest.approx(value, abs=5.1e-7, nan_ok=True)
    found = statistics(labels, {0: run}, group, np.ones((1, 9), dtype=np.int16))
    for name in ("f1", "auc"):
        with np.errstate(invalid="ignore"):
            means = pd.DataFrame(expected[name][:3]).mean().to_numpy()
        np.testing.assert_allclose(found.values["mean_of_folds", name][0], means, atol=1e-9)
        np.testing.assert_allclose(found.values["pooled", name][0], expected[name][3], atol=1e-9)


def test_accuracy_and_mean_recall_equal_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    truth, said = rng.integers(0, 4, 120), rng.integers(0, 4, 120)
    labels, predicted = np.eye(4)[truth], np.eye(4)[said].astype(bool)
    group = np.arange(120) // 20
    run = Predictions(predicted.astype(np.float32), predicted, group % 2)
    found = statistics(labels, {0: run}, group, np.ones((1, 6), dtype=np.int16), exclusive=True)
    pooled = [accuracy_score(truth, said), recall_score(truth, said, average="macro")]
    pooled += recall_score(truth, said, average=None).tolist()
    np.testing.assert_allclose(found.exclusive["pooled"][0], pooled, atol=1e-9)
    folds = [accuracy_score(truth[run.fold == fold], said[run.fold == fold]) for fold in (0, 1)]
    assert found.exclusive["mean_of_folds"][0, 0] == pytest.approx(np.mean(folds), abs=1e-9)


def test_what_is_not_coded_in_a_fold_or_a_resample_has_no_score() -> None:
    group, truth = np.repeat(np.arange(6), 10), np.tile([0.0, 1.0], 30)
    labels = np.stack([truth, np.where(group % 3 == 0, truth, np.nan)], axis=1)  # the second in people 0 and 3 alone
    score = np.stack([truth, truth], axis=1).astype(np.float32)
    items = ("AU01", "AU02")
    for fold in (group % 3, np.zeros(60, dtype=np.int64)):
        run = Predictions(score, score > 0.5, fold)  # always right
        summariser = Summariser(labels, items, group, fold[::10], resamples=200, exclusive=False)
        found = summariser.add("m", {0: run})
        for estimate in (found["items"]["AU02"]["mean_of_folds"], found["items"]["AU02"]["pooled"], found["pooled"]):
            assert estimate["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        rows = cells("m", "au", items, labels, {0: run})
        assert always_positive(items, rows)["mean_of_folds"] == pytest.approx(2 / 3, abs=1e-6)
        for row in rows:
            coded = row["positives"] > 0
            for name, value in (("f1", 1.0), ("precision", 1.0), ("recall", 1.0), ("f1_always_positive", 2 / 3)):
                assert row[name] == pytest.approx(value if coded else np.nan, abs=1e-6, nan_ok=True)


def test_the_spread_of_one_split_is_over_its_folds() -> None:
    rows = [{"item": i, "fold": f, "seed": 0, "auc": 0.5 + f / 10, "f1": f / 10} for i in "ab" for f in range(3)]
    assert spread(rows)["over"] == "folds"
    assert spread(rows)["f1"] == {"values": [0.0, 0.1, 0.2], "sd": 0.1, "low": 0.0, "high": 0.2}
    assert spread(rows[:1])["f1"] == {"values": [0.0], "sd": None, "low": None, "high": None}


class Mean(torch.nn.Module):
    """The mean colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def test_pictures_of_many_faces_are_not_held_together(make_faces: Callable[..., Path], tmp_path: Path) -> None:
    faces = make_faces(tmp_path / "faces", subjects=2)
    frames = pd.read_parquet(faces / "frames.parquet")
    many = pd.concat([frames] * 60, ignore_index=True)  # the same pictures again and again
    many["frame"] = np.arange(len(many))
    many.drop(columns=["landmarks", "blendshapes"]).to_parquet(faces / "frames.parquet")
    data = Prepared([faces])
    source = EncoderSource("mean", lambda seed: Mean(), 128, {"kind": "module"})
    tracemalloc.start()
    values = source.features(data, np.arange(len(data)), Context(device=torch.device("cpu")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(values) == 3360
    decoded = len(data) * 128 * 128 * 3
    assert peak < 0.15 * decoded  # 24 of 165 MB
