"""Probes find what was put into features, and nothing where nothing is; the page opens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import duchenne
from duchenne.cli.main import main
from duchenne.data.folds import from_assignment
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.evaluation.protocols import known, probe_measures, probes
from duchenne.evaluation.protocols.probe_measures import Sums, identity, order, regression, standardised, triplets

GROUP = np.repeat(np.arange(9), 24)
CLIPS = np.arange(216) // 8


def test_identity_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(216, 20)).astype(np.float32)
    of_subject = rng.normal(size=(9, 20)).astype(np.float32)[GROUP]
    of_clip = rng.normal(size=(27, 20)).astype(np.float32)[CLIPS]
    full, none = (identity(standardised(values), CLIPS, GROUP) for values in (of_subject + 0.1 * noise, of_clip))
    assert full is not None
    assert none is not None
    assert full.estimate()["value"] == 1
    assert none.estimate()["chance"] == pytest.approx(2 / 26)
    assert none.estimate()["value"] < 0.3  # a clip is not found by itself
    low, value, high = (none.estimate()[key] for key in ("low", "value", "high"))
    assert low <= value <= high
    assert identity(noise, GROUP, GROUP) is None  # one clip each


def test_regression_is_ridge_on_unseen_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_measures, "PENALTIES", (0.5,))
    rng = np.random.default_rng(1)
    features = standardised(rng.normal(size=(216, 6)).astype(np.float32))
    targets = np.stack([features @ rng.normal(size=6) + rng.normal(size=216), rng.normal(size=216) * 40 + 7], axis=1)
    plan = from_assignment(GROUP % 3)
    found = [sums.estimate() for sums in regression(features, targets, plan, GROUP, GROUP)]
    expected = np.zeros_like(targets)
    for fold in plan:
        model = Ridge(alpha=0.5 * fold.train.sum()).fit(features[fold.train], targets[fold.train])
        expected[fold.test] = model.predict(features[fold.test])
    for estimate, truth, predicted in zip(found, targets.T, expected.T, strict=True):
        assert estimate["value"] == pytest.approx(r2_score(truth, predicted), abs=1e-6)
    assert found[0]["low"] > 0.3
    assert found[1]["value"] < 0.05


@pytest.mark.parametrize("value", [0.0, 0.3, 1e9 / 3])
def test_a_target_that_does_not_vary_is_not_measured(value: float) -> None:
    features = standardised(np.random.default_rng(1).normal(size=(216, 6)).astype(np.float32))
    targets = np.stack([np.full(216, value), features[:, 0] * 2], axis=1)
    still, varied = (s.estimate() for s in regression(features, targets, from_assignment(GROUP % 3), GROUP, GROUP))
    assert (still["value"], still["low"], still["high"]) == (None, None, None)
    assert varied["value"] > 0.9
    mean, *_ = probes._with_mean("model", "light", {"brightness": still, "from_left": varied})
    assert mean["value"] == varied["value"]


def test_order_counts_ties_as_wrong() -> None:
    rows = np.arange(24).reshape(2, 12)
    group = np.repeat([0, 1], 12)
    rising = np.r_[np.arange(12.0), np.zeros(12)][:, None]
    found = order(rising, rows, group)
    assert found.top.tolist() == [10, 0]
    assert found.estimate()["value"] == 0.5


def test_intervals_resample_subjects() -> None:
    sums = Sums(np.array([1.0, 2.0, 0.0]), np.array([2.0, 2.0, 0.0]), 4, 0.5)
    estimate = sums.estimate()
    assert (estimate["low"], estimate["value"], estimate["high"]) == (0.5, 0.75, 1.0)
    one = Sums(np.array([1.0]), np.array([2.0]), 2, None).estimate()
    assert (one["value"], one["low"], one["chance"]) == (0.5, None, None)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered faces, whose pose and light are known."""
    out = tmp_path_factory.mktemp("probes") / "faces"
    duchenne.synth(out, subjects=6, clips=2, frames=14, size_px=48, seed=5, quiet=True)
    return out


@pytest.mark.slow
def test_probes_of_rendered_faces(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "probes", "--model", "pixels", "--data", str(rendered), "--out", str(tmp_path), "--quiet"]
    assert main(words) == 0
    assert "identity" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "probes.csv").set_index(["model", "probe", "item"])["value"]
    assert table["landmarks", "pose", "yaw"] > 0.9
    assert table["landmarks", "au", "mean"] > table["pixels", "au", "mean"]
    assert table["known: head pose", "order", "k1"] > 0.9
    assert table["pixels", "light", "mean"] > -0.5  # too few people to learn it
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["protocol"]["pose_and_light"] == "as rendered"
    assert summary["protocol"]["left_out"] == dict.fromkeys(("order k2", "order k4"), "no clip is long enough")
    assert set(summary["models"]) == {"pixels", "landmarks"}
    again = tmp_path / "again"
    duchenne.evaluate("probes", model=["pixels"], data=rendered, out=again, quiet=True)
    for name in ("probes.csv", "summary.json", "report.html"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_probes_without_a_renderer(faces: Path, tmp_path: Path) -> None:
    table = duchenne.evaluate("probes", model="pixels", data=faces, out=tmp_path, l2=0.1, baselines=False, quiet=True)
    assert set(table.loc[table["probe"] == "light", "item"]) == {"mean", "brightness", "from_left", "from_above"}
    bright = table.set_index(["probe", "item"]).loc[("light", "brightness")]
    assert bright["value"] > 0.8
    assert set(table["model"]) == {"pixels", "known: head pose"}


def test_light_is_measured(make_faces: Callable[..., Path], tmp_path: Path) -> None:
    faces = make_faces(tmp_path / "faces", subjects=2)
    frames = pd.read_parquet(faces / "frames.parquet")
    points = np.stack(frames["landmarks"].to_numpy()).reshape(-1, 68, 2)
    points[:] = 24
    points[:, 36], points[:, 45], points[:, 8] = (14, 20), (34, 20), (24, 44)
    points[1, 30] = (29, 26)
    frames["landmarks"] = list(points.reshape(-1, 136).astype(np.float32))
    frames.to_parquet(faces / "frames.parquet")
    data = Prepared([faces])
    turn, nod = known.pose(data).values()
    assert turn[:2].tolist() == pytest.approx([0, 0.25], abs=1e-6)
    assert nod[1] == pytest.approx(0.25, abs=1e-6)
    measured = known.light(data)
    grey = data.image(3).mean() / 255
    assert measured["brightness"][3] == pytest.approx(grey, abs=0.02)
    assert np.abs(measured["from_left"]).max() < 0.2
    assert triplets(data, 4) is None


def test_settings_without_meaning_are_refused(faces: Path, make_faces: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"target: is for .* not for `evaluate probes`"):
        duchenne.evaluate("probes", model="pixels", data=faces, out=tmp_path, target="emotion")
    with pytest.raises(UsageError, match="probes need a number of folds"):
        duchenne.evaluate("probes", model="pixels", data=faces, out=tmp_path, folds="split")
    few = make_faces(tmp_path / "few", subjects=2)
    with pytest.raises(UsageError, match="a fold would train on one subject"):
        duchenne.evaluate("probes", model="pixels", data=few, out=tmp_path, folds=2)


@pytest.mark.slow
def test_the_page_opens(rendered: Path, browser: Path, screenshot: Callable[..., Path], tmp_path: Path) -> None:
    assert shutil.which(str(browser))
    duchenne.evaluate("probes", model="landmarks", data=rendered, out=tmp_path, baselines=False, quiet=True)
    assert screenshot(tmp_path / "report.html", tmp_path / "page.png").stat().st_size > 20_000
