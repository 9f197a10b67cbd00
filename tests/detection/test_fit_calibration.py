"""Calibration by value: the prior, the scaling, the threshold, reliability, and who may see whose labels."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from duchenne.detectors.calibrating.calibrated import (
    HeldOut,
    held_out,
    held_out_figures,
    mean_auc,
    subject_folds,
    train_calibrated,
)
from duchenne.detectors.calibrating.calibration import THRESHOLDS, best_threshold, fit_scaling, probability, reliability
from duchenne.heads.linear import train_heads


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("evidence", "prior", "slope", "offset", "wanted"),
    [
        (0.0, 0.1, 1.0, 0.0, 0.1),  # no evidence: the prior
        (math.log(9), 0.1, 1.0, 0.0, 0.5),  # Bayes: 9 * .1 / (9 * .1 + .9)
        (math.log(4), 0.2, 1.0, 0.0, 0.5),
        (7.0, 0.3, 0.0, 0.0, 0.3),  # evidence that says nothing
        (math.log(9), 0.1, 2.0, 0.0, 0.9),
        (0.0, 0.5, 1.0, math.log(3), 0.75),
    ],
)
def test_probability_is_bayes_rule(evidence: float, prior: float, slope: float, offset: float, wanted: float) -> None:
    assert float(probability(evidence, prior, slope, offset)) == pytest.approx(wanted, rel=1e-12)


def test_probability_of_extreme_evidence_is_finite() -> None:
    assert probability(np.array([-1e6, 1e6]), 0.01).tolist() == [0.0, 1.0]


def test_equally_weighted_units_give_true_probabilities_of_a_rare_action_unit() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(40_000) < 0.05).astype(np.float32)
    feature = rng.normal(np.where(truth == 1, 1.0, -1.0), 1.0).astype(np.float32)
    head = train_heads(feature[:, None], truth[:, None], [1e-6])[0]
    chance = probability(head(np.array([[-1.0], [0.0], [1.0], [2.0]], np.float32))[:, 0], truth.mean())
    wanted = [sigmoid(2 * x + math.log(0.05 / 0.95)) for x in (-1, 0, 1, 2)]  # two normal classes: log odds 2 x
    np.testing.assert_allclose(chance, wanted, atol=0.025)
    uncorrected = sigmoid(float(head(np.array([[1.0]], np.float32))[0, 0]))
    assert uncorrected > 0.85 > 2 * wanted[2]  # what the correction is for


def test_a_head_is_the_naive_weighted_logistic_regression() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(2.0, [1.0, 3.0], (300, 2))
    y = (x[:, 0] - 2 + rng.normal(0, 1, 300) > 0.8).astype(float)
    y[:20] = np.nan
    known = ~np.isnan(y)
    weight = np.where(y == 1, 0.5 / (y == 1).sum(), 0.5 / (y == 0).sum())[known]
    z = (x - x.mean(0)) / x.std(0)
    deviation = z[known].std(0)

    def loss(w: np.ndarray) -> float:
        score = z[known] @ w[:2] + w[2]
        return float(
            (weight * (np.logaddexp(0, score) - y[known] * score)).sum() + 0.05 * ((deviation * w[:2]) ** 2).sum()
        )

    wanted = minimize(loss, np.zeros(3), tol=1e-12).x
    head = train_heads(x.astype(np.float32), y[:, None], [0.1])[0]
    inside = x[np.all((x > x.min(0)) & (x < x.max(0)), axis=1)]
    expected = ((inside - x.mean(0)) / x.std(0)) @ wanted[:2] + wanted[2]
    np.testing.assert_allclose(head(inside.astype(np.float32))[:, 0], expected, atol=0.02)
    beyond, edge = x.max(0) + 100, x.max(0)
    assert head(beyond[None].astype(np.float32)) == pytest.approx(head(edge[None].astype(np.float32)))


@pytest.mark.parametrize(("people", "rows"), [(2, 200), (30, 600)])
def test_scaling_is_the_penalised_minimum(people: int, rows: int) -> None:
    rng = np.random.default_rng(people)
    truth = (rng.random(rows) < 0.3).astype(float)
    evidence = rng.normal(np.where(truth == 1, 4.0, -4.0), 6.0)
    prior = np.where(np.arange(rows) % 2, 0.3, 0.2)

    def loss(v: np.ndarray) -> float:
        score = np.log(prior / (1 - prior)) + v[0] * evidence + v[1]
        return float(people * (np.logaddexp(0, score) - truth * score).mean() + 0.5 * ((v[0] - 1) ** 2 + v[1] ** 2))

    wanted = minimize(loss, [1.0, 0.0], tol=1e-12).x
    np.testing.assert_allclose(fit_scaling(evidence, prior, truth, subjects=people), wanted, atol=1e-4)


def test_scaling_never_turns_evidence_round() -> None:
    truth = np.repeat([1.0, 0.0], 500)
    slope, offset = fit_scaling(np.repeat([-3.0, 3.0], 500), np.full(1000, 0.5), truth, subjects=50)
    assert slope == 0.0
    assert offset == pytest.approx(0.0, abs=1e-9)


def test_scaling_survives_wild_evidence() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.5).astype(float)
    evidence = np.where(truth == 1, 1e4, -1e4) * np.where(rng.random(400) < 0.1, -1, 1)
    slope, _ = fit_scaling(evidence, np.full(400, 0.5), truth, subjects=10)
    assert 1e-4 < slope < 3e-4  # log 9 / 1e4: nine of ten are right


def test_threshold_has_the_best_kappa() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random(400) < 0.2).astype(float)
    chance = np.clip(rng.normal(0.15 + 0.3 * truth, 0.15), 0, 1)
    kappas = [cohen_kappa_score(truth, chance >= t) for t in THRESHOLDS]
    chosen = best_threshold(chance, truth)
    assert kappas[round(100 * chosen) - 1] == pytest.approx(max(kappas))
    assert best_threshold(np.array([0.1, 0.1, 0.9]), np.array([0.0, 0.0, 1.0])) == 0.5  # of equals, the middle


def test_reliability_by_hand() -> None:
    error, bins = reliability(np.array([0.05, 0.15, 0.15, 1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert bins == [
        {"probability": 0.05, "present": 0.0, "frames": 1},
        {"probability": 0.15, "present": 0.5, "frames": 2},
        {"probability": 1.0, "present": 1.0, "frames": 1},
    ]
    assert error == pytest.approx((0.05 + 2 * 0.35 + 0) / 4)


def coded(subjects: int = 7, frames: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(subjects), frames)
    labels = (rng.random((len(groups), 2)) < 0.4).astype(np.float32)
    own = rng.normal(0, 0.5, (subjects, 4))[groups]
    features = (np.repeat(labels, 2, axis=1) + own + rng.normal(0, 0.7, own.shape)).astype(np.float32)
    return features, labels, groups


@pytest.mark.parametrize("subjects", [3, 7])
def test_own_labels_never_touch_held_out_figures(subjects: int) -> None:
    features, labels, groups = coded(subjects)
    before = held_out(features, labels, groups)
    for fold in subject_folds(groups):
        other = labels.copy()
        other[fold.test] = 1 - other[fold.test]
        after = held_out(features, other, groups)
        np.testing.assert_array_equal(before.probability[fold.test], after.probability[fold.test])
        np.testing.assert_array_equal(before.present[fold.test], after.present[fold.test])
        assert (before.probability[fold.train] != after.probability[fold.train]).any()


def test_folds_keep_subjects_whole() -> None:
    groups = np.repeat(np.arange(23), 3)
    folds = subject_folds(groups)
    assert len(folds) == 5
    assert sum(fold.test.sum() for fold in folds) == len(groups)
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert (fold.train ^ fold.test).all()
    assert len(subject_folds(np.array([4, 9, 9]))) == 2


def test_what_cannot_be_learned_is_not_usable() -> None:
    features, labels, groups = coded(4)
    labels = np.concatenate([labels, np.zeros_like(labels)], axis=1)
    labels[groups == 1, 3] = 1  # present in one subject only: without it, absent everywhere
    heads = train_calibrated(features, labels, groups)
    assert heads.usable.tolist() == [True, True, False, False]
    assert np.isnan(heads.probability(features)[:, 2:]).all()
    assert not held_out(features, labels, groups).present[:, 2:].any()


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    labels = (rng.random((300, 1)) < 0.3).astype(np.float32)
    labels[:30] = np.nan
    chance = np.clip(rng.normal(0.3 + 0.3 * np.nan_to_num(labels), 0.2), 0, 1)
    chance[30:60] = np.nan  # a fold in which nothing could be learned
    folds = np.repeat(np.arange(5), 60)
    result = HeldOut(chance, np.nan_to_num(chance) >= 0.45, folds, np.full_like(chance, np.nan))
    figures = held_out_figures(labels, result, np.repeat(np.arange(10), 30), bootstrap=True)[0]
    assert figures is not None
    known = slice(60, None)
    kappa = cohen_kappa_score(labels[known, 0], result.present[known, 0])
    assert figures["kappa"] == pytest.approx(kappa, abs=1e-4)
    assert figures["kappa_low"] < kappa < figures["kappa_high"]
    assert (figures["frames"], figures["subjects"]) == (240, 8)
    areas = [roc_auc_score(labels[folds == fold, 0], chance[folds == fold, 0]) for fold in range(1, 5)]
    assert figures["auc"] == pytest.approx(np.mean(areas), abs=1e-4)
    assert figures["brier"] == pytest.approx(((chance - labels)[known] ** 2).mean(), abs=1e-4)
    assert held_out_figures(
        labels[:30],
        HeldOut(chance[:30], result.present[:30], folds[:30], result.intensity[:30]),
        np.arange(30),
        bootstrap=False,
    ) == [None]


def test_auc_does_not_compare_folds_with_each_other() -> None:
    labels = np.array([[1.0], [1], [0], [0], [0], [1]])
    prior_of_others = np.array(
        [[0.3], [0.3], [0.3], [0.6], [0.6], [0.6]]
    )  # says nothing, and is lower where there is more
    fold = np.array([0, 0, 0, 1, 1, 1])
    assert mean_auc(labels, prior_of_others, fold).tolist() == [0.5]
    assert np.isnan(mean_auc(labels[:2], prior_of_others[:2], fold[:2])).all()


def test_features_that_never_vary_give_the_prior() -> None:
    labels = np.tile([[1.0], [0.0], [0.0], [0.0]], (3, 1)).astype(np.float32)
    features = np.full((12, 20), 3.0, np.float32)  # more features than rows
    heads = train_calibrated(features, labels, np.repeat(np.arange(3), 4))
    np.testing.assert_allclose(heads.probability(features), 0.25, atol=1e-6)
