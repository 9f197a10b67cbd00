"""Metrics against scikit-learn and against scikit-learn in a bootstrap loop."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score as sk_f1
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from duchenne import metrics
from duchenne.metrics import GroupTable


def example(seed: int, rows: int = 300, aus: int = 4, levels: int = 12) -> tuple[np.ndarray, ...]:
    """Labels with unknown ones, coarse scores (so ties are common) and subjects of unequal size."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((rows, aus)) < generator.random(aus)).astype(float)
    score = np.round(truth + generator.normal(0, 1.5, truth.shape) * levels / 4) / levels
    truth[generator.random(truth.shape) < 0.1] = np.nan
    group = np.sort(generator.integers(0, 9, rows))
    return truth, score, score > 0.3, group


@given(st.integers(0, 10_000))
def test_metrics_equal_scikit_learn(seed: int) -> None:
    truth, score, predicted, _ = example(seed)
    cells = metrics.confusion(truth, predicted)
    f1, auc = metrics.f1_score(truth, predicted), metrics.roc_auc(truth, score)
    for au in range(truth.shape[1]):
        known = ~np.isnan(truth[:, au])
        y, p, s = truth[known, au], predicted[known, au], score[known, au]
        assert f1[au] == pytest.approx(sk_f1(y, p, zero_division=0), abs=1e-12)
        tp, fp, fn, tn = (int(cell[au]) for cell in cells)
        assert tp + fp + fn + tn == known.sum()
        assert metrics.ratio(tp, tp + fp) == pytest.approx(precision_score(y, p, zero_division=0), abs=1e-12)
        assert metrics.ratio(tp, tp + fn) == pytest.approx(recall_score(y, p, zero_division=0), abs=1e-12)
        if 0 < y.sum() < len(y):
            assert auc[au] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        else:
            assert np.isnan(auc[au])


def test_rules_where_there_is_nothing_to_divide() -> None:
    truth = np.array([[0, 1, np.nan], [0, 1, np.nan], [0, np.nan, np.nan]])
    nothing, everything = np.zeros_like(truth), np.ones_like(truth)
    np.testing.assert_array_equal(metrics.f1_score(truth, nothing), [0.0, 0.0, np.nan])
    np.testing.assert_array_equal(metrics.f1_score(truth, everything), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(metrics.f1_always_positive([0, 2, 0], [3, 0, 0]), [0.0, 1.0, np.nan])
    assert np.isnan(metrics.roc_auc(truth, everything)).all()


def test_always_positive_is_two_p_over_one_plus_p() -> None:
    for positives, negatives in ((1, 3), (50, 50), (0, 9)):
        p = positives / (positives + negatives)
        assert metrics.f1_always_positive(positives, negatives) == pytest.approx(2 * p / (1 + p))
    truth = example(3)[0]
    direct = metrics.f1_score(truth, np.ones_like(truth))
    known = [(truth == label).sum(axis=0) for label in (1, 0)]
    np.testing.assert_allclose(metrics.f1_always_positive(*known), direct)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 1\)"):
        metrics.confusion(np.zeros((3, 2)), np.zeros((3, 1)))


def test_wins_table_counts_every_pair() -> None:
    truth, score, _, group = example(11, rows=80)
    table = metrics.wins_table(truth[:, 0], score[:, 0], group, 9)
    expected = np.zeros((9, 9))
    for i in np.flatnonzero(truth[:, 0] == 1):
        for j in np.flatnonzero(truth[:, 0] == 0):
            gap = score[i, 0] - score[j, 0]
            expected[group[i], group[j]] += 1.0 if gap > 0 else 0.5 if gap == 0 else 0.0
    assert table.tolist() == expected.tolist()


@pytest.mark.parametrize("by_table", [True, False])
def test_resampled_scores_equal_scikit_learn_in_a_loop(by_table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_table:
        monkeypatch.setattr(metrics, "LARGEST_TABLE", 1)
    truth, score, predicted, group = example(5)
    fold_of = np.arange(9) % 2
    table = GroupTable.build(truth, score, predicted, group, 9)
    members = fold_of == 1
    weights = metrics.resample(members, resamples=12, seed=4)
    f1, auc = table.f1(weights, members), table.areas(weights, members)
    for number, weight in enumerate(weights):
        rows = np.concatenate([np.tile(np.flatnonzero(group == g), weight[g]) for g in np.flatnonzero(members)])
        for au in range(truth.shape[1]):
            drawn = rows[~np.isnan(truth[rows, au])]
            y = truth[drawn, au]
            assert f1[number, au] == pytest.approx(sk_f1(y, predicted[drawn, au], zero_division=0), abs=1e-9)
            if 0 < y.sum() < len(y):
                assert auc[number, au] == pytest.approx(roc_auc_score(y, score[drawn, au]), abs=1e-9)
            else:
                assert np.isnan(auc[number, au])


def test_resampling_draws_as_many_members_as_there_are_and_nobody_else() -> None:
    members = np.array([True] * 5 + [False] * 3 + [True])
    weights = metrics.resample(members, resamples=4000, seed=1)
    assert (weights.sum(axis=1) == 6).all()
    assert not weights[:, ~members].any()
    # Of 6 drawn from 6 with replacement each is drawn once on average, with variance 5/6.
    np.testing.assert_allclose(weights[:, members].mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights[:, members].var(axis=0), 5 / 6, atol=0.08)
    assert (weights == metrics.resample(members, resamples=4000, seed=1)).all()
    assert (weights != metrics.resample(members, resamples=4000, seed=2)).any()


def test_interval_is_the_percentiles_without_undefined_samples() -> None:
    samples = np.random.default_rng(0).normal(size=(1000, 2))
    samples[::3, 0] = np.nan
    low, high = metrics.interval(samples)
    assert low[1] == pytest.approx(np.percentile(samples[:, 1], 2.5))
    assert high[0] == pytest.approx(np.nanpercentile(samples[:, 0], 97.5))
    assert np.isnan(metrics.interval(np.full((9, 1), np.nan))[0]).all()


def test_the_bootstrap_of_a_large_study_takes_seconds() -> None:
    generator = np.random.default_rng(0)
    truth = (generator.random((150_000, 12)) < 0.3).astype(np.float32)
    score = (truth + generator.normal(0, 2, truth.shape)).astype(np.float32)
    group = np.sort(generator.integers(0, 41, len(truth)))
    start = time.perf_counter()
    table = GroupTable.build(truth, score, score > 0.5, group, 41)
    weights = metrics.resample(np.ones(41, dtype=bool))
    for fold in range(3):
        table.f1(weights, np.arange(41) % 3 == fold)
        table.areas(weights, np.arange(41) % 3 == fold)
    # About 2 s on two free cores; scikit-learn in a loop needs some 20 minutes.
    assert time.perf_counter() - start < 30
