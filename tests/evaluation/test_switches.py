"""Thresholds, repeated splits, other data to train on, shares of the labels, sweeps: each named and stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score
from torch import nn

import duchenne
from duchenne.cli.main import main
from duchenne.data.across import coded_alone, common_level, levels, occurrence_from
from duchenne.data.folds import Fold
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.comparing.sweep import sweep_values
from duchenne.evaluation.protocols import areas, linear_bn
from duchenne.evaluation.protocols.label_share import reduced
from duchenne.evaluation.thresholds import best_limits
from duchenne.heads.settings import L2_CANDIDATES

PLAIN: dict[str, Any] = {"model": "landmarks", "l2": 0.1, "baselines": False, "maps": "none", "quiet": True}


def summary_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "summary.json").read_text()))


def test_best_limits_try_every_threshold() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 3)) < 0.3).astype(float)
    score = np.round(rng.normal(size=(60, 3)) + labels, 1)  # with ties
    labels[rng.random((60, 3)) < 0.2] = np.nan
    labels[:, 2] = np.where(np.isnan(labels[:, 2]), np.nan, 0)
    found = best_limits(labels, score)
    for item in range(2):
        known = ~np.isnan(labels[:, item])
        truth, values = labels[known, item], score[known, item]
        best = max(f1_score(truth, values > limit) for limit in np.arange(-4, 5, 0.05))
        assert f1_score(truth, values > found[item]) == pytest.approx(best, abs=1e-12)
    assert found[2] == 0  # nothing to find


def test_thresholds_of_an_oracle_are_marked_everywhere(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = duchenne.evaluate(data=faces, out=tmp_path / "half", **PLAIN)
    words = ["evaluate", "linear", "--model", "landmarks", "--data", str(faces), "--out", str(tmp_path / "oracle")]
    assert main([*words, "--l2", "0.1", "--no-baselines", "--threshold", "oracle", "--quiet"]) == 0
    assert "F1 (oracle thresholds)" in capsys.readouterr().out
    oracle = pd.read_csv(tmp_path / "oracle" / "scores.csv")
    assert (oracle["threshold"] == "oracle").all()
    assert (oracle["f1"] >= half["f1"]).all()
    assert (oracle["f1"] > half["f1"] + 0.01).any()
    assert summary_of(tmp_path / "oracle")["protocol"]["threshold"] == "oracle"
    page = (tmp_path / "oracle" / "report.html").read_text()
    assert "oracle" in page.split("<h2")[1]
    assert "oracle" not in (tmp_path / "half" / "report.html").read_text()


def test_stored_thresholds_come_from_training_subjects(faces: Path, tmp_path: Path) -> None:
    table = duchenne.evaluate(data=faces, out=tmp_path / "one", threshold="stored", folds="split", **PLAIN)
    assert (table["threshold"] == "stored").all()
    found = summary_of(tmp_path / "one")["models"]["landmarks"]["thresholds"]["0"]
    assert set(found[0]) == {"AU01", "AU12", "AU25"}
    # The tested labels take no part: turning them over changes no threshold.
    turned = tmp_path / "turned"
    shutil.copytree(faces, turned)
    frames = pd.read_parquet(turned / "frames.parquet")
    test = frames["split"] == "test"
    frames.loc[test, "AU12"] = 1 - frames.loc[test, "AU12"]
    frames.to_parquet(turned / "frames.parquet")
    duchenne.evaluate(data=turned, out=tmp_path / "two", threshold="stored", folds="split", **PLAIN)
    assert summary_of(tmp_path / "two")["models"]["landmarks"]["thresholds"]["0"] == found


def test_seeds_of_one_split_say_nothing_of_other_splits(faces: Path, tmp_path: Path) -> None:
    settings = {**PLAIN, "data": faces, "sample_faces": 0}
    for folds, over in (("split", "seeds"), ("3", "splits")):
        duchenne.evaluate(out=tmp_path / folds, folds=folds, seeds=2, label_share=[0.5], **settings)
        model = summary_of(tmp_path / folds)["models"]["landmarks"]
        found = [model["spread"], *(part["spread"] for part in model["label_efficiency"])]
        assert [part["over"] for part in found] == [over] * 3
    page = (tmp_path / "split" / "report.html").read_text()
    assert "Over 2 seeds of one split" in page
    assert "<code>--folds 3 --repeats 5</code>" in page  # --repeats alone is refused there
    assert "how much the choice of tested" not in page


@pytest.mark.slow
def test_repeats_draw_folds_and_keep_weights(faces: Path, tmp_path: Path) -> None:
    settings = {**PLAIN, "model": ["random", "landmarks"], "data": faces}
    duchenne.evaluate(out=tmp_path / "out", seeds=2, repeats=2, **settings)
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    assert sorted(folds["seed"].unique()) == [0, 1, 2, 3]
    assert folds.pivot(index="subject", columns="seed", values="fold").T.drop_duplicates().shape[0] > 1
    summary = summary_of(tmp_path / "out")
    assert (summary["protocol"]["seeds"], summary["protocol"]["repeats"]) == (2, 2)
    found = summary["models"]["landmarks"]["spread"]
    assert (found["over"], found["number"]) == ("splits", 4)
    assert found["auc"]["sd"] == pytest.approx(np.std(found["auc"]["values"], ddof=1), abs=1e-5)
    assert found["auc"]["low"] == min(found["auc"]["values"])
    alone = duchenne.evaluate(out=tmp_path / "alone", seeds=1, repeats=4, **settings)
    whole = pd.read_csv(tmp_path / "out" / "scores.csv")
    both = [t[(t["model"] == "random")].set_index(["seed", "fold", "item"])["auc"] for t in (alone, whole)]
    same = (both[0] - both[1]).abs().groupby("seed").max()
    assert (same.loc[[0, 1]] < 1e-6).all()  # the first weights, other folds
    assert (same.loc[[2, 3]] > 1e-3).all()  # the same folds, the second weights


@pytest.mark.parametrize("protocol", ["linear+bn", "areas"])
def test_repeats_train_alike(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    module = {"linear+bn": linear_bn, "areas": areas}[protocol]
    began: list[tuple[tuple[int, int], float]] = []

    def train(network: nn.Module, read: Any, labels: Any, fold: Fold, *, seed: tuple[int, int], **rest: Any) -> Any:
        began.append((seed, sum(float(value.detach().double().sum()) for value in network.parameters())))
        return np.zeros((int(fold.test.sum()), labels.shape[1]), dtype=np.float32)

    monkeypatch.setattr(module, "train_and_score", train)
    settings = {key: value for key, value in PLAIN.items() if key not in ("l2", "maps")}
    duchenne.evaluate(protocol, data=faces, out=tmp_path, seeds=2, repeats=2, folds=2, **settings)
    first, repeated, other, last = (began[place : place + 2] for place in range(0, 8, 2))
    assert first == repeated
    assert other == last
    assert [seed for seed, _ in first] == [(0, 0), (0, 1)]
    assert not {start for _, start in first} & {start for _, start in other}


def test_from_one_data_set_to_another(make_faces: Callable[..., Path], faces: Path, tmp_path: Path) -> None:
    other = make_faces(tmp_path / "other", subjects=9, aus=(12, 25), name="other")
    frames = pd.read_parquet(other / "frames.parquet")
    frames[frames["subject"] > "S5"].to_parquet(other / "frames.parquet")  # the first six are drawn alike
    table = duchenne.evaluate(data=other, train_data=faces, out=tmp_path / "out", **PLAIN)
    assert set(table["item"]) == {"AU12", "AU25"}
    assert table["auc"].min() > 0.7
    summary = summary_of(tmp_path / "out")
    assert [part["role"] for part in summary["data"]] == ["train", "test"]
    assert summary["protocol"]["folds"] == "train-data"
    assert summary["protocol"]["first_seed_folds"] == [
        {"train_frames": 168, "test_frames": 84, "train_subjects": 6, "test_subjects": 3}
    ]
    tested = pd.read_csv(tmp_path / "out" / "folds.csv").dropna(subset=["fold"])["subject"]
    assert set(tested) == {"other:S6", "other:S7", "other:S8"}


def test_nobody_and_nothing_on_both_sides(make_faces: Callable[..., Path], faces: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"faces: is named twice"):
        duchenne.evaluate(data=faces, train_data=[faces], out=tmp_path / "out", **PLAIN)
    renamed = make_faces(tmp_path / "renamed", name="renamed")  # as DISFA+ shares people with DISFA
    with pytest.raises(InputError, match=r"6 names lie in the data to train on and in the .* to test on \(first: S0\)"):
        duchenne.evaluate(data=renamed, train_data=duchenne.Prepared(faces), out=tmp_path / "out", **PLAIN)
    frames = pd.read_parquet(renamed / "frames.parquet")  # the same pictures of people with other names
    frames.assign(subject="other " + frames["subject"]).to_parquet(renamed / "frames.parquet")
    with pytest.raises(InputError, match=r"168 pictures lie in the data to train on and in the data to test on"):
        duchenne.evaluate(data=renamed, train_data=[faces], out=tmp_path / "out", **PLAIN)
    with pytest.raises(UsageError, match="leave one of the two out"):
        duchenne.evaluate(data=renamed, train_data=[faces], folds=2, out=tmp_path / "out", **PLAIN)
    with pytest.raises(UsageError, match="there is only one split"):
        duchenne.evaluate(data=faces, folds="split", repeats=2, out=tmp_path / "out", **PLAIN)


def test_levels(make_faces: Callable[..., Path], tmp_path: Path) -> None:
    parts = [make_faces(tmp_path / name, subjects=2, aus=(12,), name=name) for name in ("one", "two")]
    for part, level in zip(parts, (1.0, 3.0), strict=True):
        frames = pd.read_parquet(part / "frames.parquet")
        frames["AU12_i"] = np.arange(len(frames), dtype=np.float32) % 6
        frames["AU12"] = (frames["AU12_i"] >= level).astype("int8")
        frames.to_parquet(part / "frames.parquet")
        text = (part / "dataset.yaml").read_text().replace("label_kind: occurrence", "label_kind: intensity")
        (part / "dataset.yaml").write_text(text.replace("positive_from: 2.0", f"positive_from: {level}"))
    both = Prepared(parts)
    assert common_level(both) == 3
    assert common_level(Prepared(parts[:1])) is None
    own, alike = occurrence_from(both, None)[:, 0], occurrence_from(both, common_level(both))[:, 0]
    intensity = both.frames["AU12_i"].to_numpy()
    np.testing.assert_array_equal(own, intensity >= np.where(both.frames["dataset"] == 0, 1, 3))
    np.testing.assert_array_equal(alike, intensity >= 3)
    coded = make_faces(tmp_path / "coded", subjects=2, aus=(12,), name="coded")
    assert common_level(Prepared([*parts, coded])) is None
    with pytest.raises(UsageError, match="coded codes the presence of AU12 without intensity"):
        occurrence_from(Prepared([coded]), 2.0)
    assert levels(both, None) == {"one": 1, "two": 3}
    assert levels(both, 3) == {"one": 3, "two": 3}
    assert levels(Prepared([coded]), None) == {"coded": "as coded"}


def test_presence_coded_by_itself_has_no_level(make_faces: Callable[..., Path], tmp_path: Path) -> None:
    """As BP4D beside DISFA: all presences coded, intensities of some action units only, which must not part company."""
    partly, graded = (make_faces(tmp_path / name, subjects=2, aus=(1, 12), name=name) for name in ("partly", "graded"))
    for part, aus, level in ((partly, (12,), 1.0), (graded, (1, 12), 2.0)):
        frames = pd.read_parquet(part / "frames.parquet")
        frames["AU01_i"] = np.float32(np.nan)
        for au in aus:
            strength = np.arange(len(frames), dtype=np.float32) % 6
            frames[f"AU{au:02d}_i"] = strength
            frames[f"AU{au:02d}"] = (strength >= level).astype("int8")
        if part == graded:
            frames.loc[0, ["AU12", "AU12_i"]] = [1, np.nan]  # present, at an intensity that was not noted
        frames.to_parquet(part / "frames.parquet")
        text = (part / "dataset.yaml").read_text().replace("label_kind: occurrence", "label_kind: intensity")
        (part / "dataset.yaml").write_text(text.replace("positive_from: 2.0", f"positive_from: {level}"))
    both = Prepared([partly, graded])
    assert [coded_alone(both, number) for number in (0, 1)] == [("AU01",), ()]
    assert common_level(both) is None
    assert levels(both, None) == {"partly": "as coded", "graded": 2}
    with pytest.raises(UsageError, match="partly codes the presence of AU01 without intensity"):
        occurrence_from(both, 2.0)
    found = occurrence_from(Prepared([graded]), 4.0)
    np.testing.assert_array_equal(found[1:, 1], np.arange(1, len(found)) % 6 >= 4)
    assert found[0, 1] == 1

    frames = pd.read_parquet(graded / "frames.parquet")
    frames.loc[3, "AU12"] = 0  # coded by itself, against its intensity of 3
    frames.to_parquet(graded / "frames.parquet")
    assert levels(Prepared([graded]), None) == {"graded": "as coded"}
    assert levels(Prepared([graded]), 2) == {"graded": 2}


def test_shares_are_nested_and_keep_two_subjects() -> None:
    group = np.repeat(np.arange(10), 20)
    clips = np.arange(200) // 5
    (fold,) = plan = [Fold(train=group < 8, test=group >= 8)]
    for units in (group, clips, np.arange(200)):
        kept = [reduced(plan, units, group, share, 3)[0] for share in (0.01, 0.25, 0.5, 1.0)]
        for small, large in pairwise(kept):
            assert (large.train[small.train]).all()
        assert all((part.test == fold.test).all() and not (part.train & ~fold.train).any() for part in kept)
        assert all(len(np.unique(group[part.train])) >= 2 for part in kept)
        assert len(np.unique(units[kept[1].train])) == round(0.25 * len(np.unique(units[fold.train])))
        whole = [len(np.unique(units[part.train])) * (units == units[0]).sum() for part in kept]
        assert whole == [part.train.sum() for part in kept]  # units are kept whole
        assert len(np.unique(group[reduced(plan, units, group, 0.01, 3, 3)[0].train])) == 3
    other = reduced(plan, clips, group, 0.25, 4)[0]
    assert (other.train != reduced(plan, clips, group, 0.25, 3)[0].train).any()


def test_label_efficiency(faces: Path, tmp_path: Path) -> None:
    table = duchenne.evaluate(
        data=faces, out=tmp_path, label_share=[0.02, 1], label_unit="frames", seeds=2, folds=2, **PLAIN
    )
    cells = pd.read_csv(tmp_path / "label_efficiency.csv")
    assert sorted(cells["share"].unique()) == [0.02, 1.0]
    assert len(cells) == 2 * len(table)
    assert (cells.loc[cells["share"] == 0.02, "training_frames"] <= 4).all()
    whole = cells[cells["share"] == 1].reset_index(drop=True)
    pd.testing.assert_series_equal(whole["auc"], table["auc"], check_names=False)
    model = summary_of(tmp_path)["models"]["landmarks"]
    few, all_ = model["label_efficiency"]
    assert all_["auc"] == model["mean_of_folds"]["auc"]
    assert few["auc"]["value"] < all_["auc"]["value"] - 0.05
    assert few["spread"]["number"] == 2
    probes = tmp_path / "probes.csv"
    probes.write_text("of a former evaluation\n")
    duchenne.evaluate(data=faces, out=tmp_path, folds=2, **PLAIN)
    assert not probes.exists()
    assert not (tmp_path / "label_efficiency.csv").exists()  # this one has no shares
    with pytest.raises(UsageError, match="label_unit clips: says what label_share leaves out"):
        duchenne.evaluate(data=faces, out=tmp_path, label_unit="clips", **PLAIN)
    with pytest.raises(UsageError, match="emotions have no intensity"):
        duchenne.evaluate(data=faces, out=tmp_path, target="emotion", positive_from=2, **PLAIN)
    with pytest.raises(UsageError, match="positive_from 0: must be above 0 and at most 5"):
        duchenne.evaluate(data=faces, out=tmp_path, positive_from=0, **PLAIN)
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        duchenne.evaluate(data=faces, out=tmp_path, label_share=[10], **PLAIN)


def test_a_small_share_leaves_enough_people_for_stored_thresholds(faces: Path, tmp_path: Path) -> None:
    fields = {**PLAIN, "l2": [0.01, 0.1], "folds": 3}
    duchenne.evaluate(data=faces, out=tmp_path, label_share=[0.1], threshold="stored", **fields)
    cells = pd.read_csv(tmp_path / "label_efficiency.csv")
    assert set(cells.loc[cells["share"] == 0.1, "training_units"]) == {3}  # of four: one for thresholds, one for L2


def test_sweep_values(tmp_path: Path) -> None:
    runs = []
    for value in (0.1, 0.2):
        (tmp_path / f"run{value}").mkdir()
        (tmp_path / f"run{value}" / "config.yaml").write_text(f"method: clp\ntemperature: {value}\nseed: 0\n")
        runs.append(str(tmp_path / f"run{value}"))
    swept = dict(zip(runs, (0.1, 0.2), strict=True))
    assert sweep_values(["temperature"], [*runs, "pixels"]) == (swept, {})
    assert sweep_values(["temperature", "seed"], [*runs, "pixels"]) == (swept, dict.fromkeys(runs, 0))
    with pytest.raises(UsageError, match="did you mean `temperature`"):
        sweep_values(["temperatur"], runs)
    with pytest.raises(UsageError, match="did you mean `seed`"):
        sweep_values(["temperature", "sed"], runs)
    with pytest.raises(UsageError, match="at least two runs that differ"):
        sweep_values(["seed"], runs)
    with pytest.raises(UsageError, match="takes one key, and a second"):
        sweep_values(["seed", "temperature", "method"], runs)


@pytest.mark.parametrize("protocol", ["knn", "ridge"])
def test_quick_looks(faces: Path, tmp_path: Path, protocol: str) -> None:
    settings = {key: value for key, value in PLAIN.items() if key != "l2"}
    table = duchenne.evaluate(protocol, data=faces, out=tmp_path, **settings)
    assert table.loc[table["item"] == "AU12", "auc"].mean() > 0.75
    assert summary_of(tmp_path)["protocol"]["name"] == protocol
    assert "quick look" in (tmp_path / "report.html").read_text()
    with pytest.raises(UsageError, match="`weighting` must be one of 'balanced', 'none'"):
        duchenne.evaluate(protocol, data=faces, out=tmp_path, weighting="inverse_frequency", **settings)


def test_knn_has_no_penalty(faces: Path, tmp_path: Path) -> None:
    settings = {key: value for key, value in PLAIN.items() if key != "l2"}
    for given in (0.1, L2_CANDIDATES):  # the latter is the default of protocols that have it
        with pytest.raises(UsageError, match=r"l2: is for .* not for `evaluate knn`"):
            duchenne.evaluate("knn", data=faces, out=tmp_path, l2=given, **settings)
