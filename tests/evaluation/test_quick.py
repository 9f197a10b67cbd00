"""Nearest neighbours and least squares against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from duchenne.data.folds import Fold, from_assignment
from duchenne.errors import UsageError
from duchenne.heads import quick
from duchenne.heads.quick import nearest_neighbours, ridge

N, D = 240, 7


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Fold]]:
    """Features of unlike scales (one constant), two items with unknown labels in the second, 12 subjects, 3 folds."""
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(N, D)) * np.logspace(-1, 2, D) + 5).astype(np.float32)
    features[:, 3] = 2.5
    signal = (features - 5) / np.logspace(-1, 2, D) @ rng.normal(size=(D, 2))
    labels = (signal + rng.normal(size=(N, 2)) > (0, 1)).astype(np.float64)
    labels[rng.random(N) < 0.3, 1] = np.nan
    groups = np.arange(N) * 12 // N
    return features, labels, groups, from_assignment(groups % 3)


def test_ridge_points_where_scikit_learns_does(problem: tuple) -> None:
    features, labels, groups, folds = problem
    found = ridge(features, labels, folds, groups, [0.3])
    assert found.l2 == (0.3, 0.3, 0.3)
    for fold in folds:
        scaler = StandardScaler().fit(features[fold.train])
        train, test = scaler.transform(features[fold.train]), scaler.transform(features[fold.test])
        theirs = Ridge(alpha=0.3 * len(train)).fit(train, labels[fold.train, 0]).predict(test)
        ours = found.score[fold.test, 0]
        assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1, abs=1e-9)
        assert roc_auc_score(labels[fold.test, 0], ours) == roc_auc_score(labels[fold.test, 0], theirs)


@pytest.mark.parametrize("balanced", [True, False])
def test_ridge_without_penalty_is_linear_discriminant_analysis(problem: tuple, balanced: bool) -> None:
    features, labels, groups, folds = problem
    features = np.delete(features, 3, axis=1)
    found = ridge(features, labels, folds, groups, [1e-12], balanced=balanced)
    for fold in folds:
        theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(features[fold.train], labels[fold.train, 0])
        expected = theirs.decision_function(features[fold.test])
        if balanced:  # the prior taken out
            share = labels[fold.train, 0].mean()
            expected = expected - np.log(share / (1 - share))
        np.testing.assert_allclose(found.score[fold.test, 0], expected, rtol=1e-4, atol=1e-4)


def test_ridge_chooses_its_strength_on_held_out_subjects(problem: tuple) -> None:
    features, labels, groups, folds = problem
    found = ridge(features, labels, folds, groups, [1e-3, 1e6], seed=1)
    alone = ridge(features, labels, folds, groups, [found.l2[0]])
    np.testing.assert_array_equal(found.score[folds[0].test], alone.score[folds[0].test])
    assert np.isfinite(found.score[:, 1]).all()  # rows without a label are scored too


def test_neighbours_vote(problem: tuple) -> None:
    features, labels, _, folds = problem
    score = nearest_neighbours(features, labels, folds, neighbours=5)
    for fold in folds:
        scaler = StandardScaler().fit(features[fold.train].astype(np.float64))
        train, test = (scaler.transform(features[mask].astype(np.float64)) for mask in (fold.train, fold.test))
        near = NearestNeighbors(n_neighbors=5, metric="cosine").fit(train).kneighbors(test, return_distance=False)
        votes, known = labels[fold.train][near], ~np.isnan(labels[fold.train][near])
        share = np.nanmean(labels[fold.train], axis=0)
        chance = (np.nansum(votes, axis=1) + share) / (known.sum(axis=1) + 1)
        expected = np.log(chance / (1 - chance)) - np.log(share / (1 - share))
        np.testing.assert_allclose(score[fold.test], expected, atol=1e-5)


def test_items_without_both_classes_have_no_score(problem: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, groups, folds = problem
    labels[:, 1] = 0
    monkeypatch.setattr(quick, "LARGEST_REFERENCE", 50)
    for score in (nearest_neighbours(features, labels, folds), ridge(features, labels, folds, groups, [0.1]).score):
        assert np.isnan(score[:, 1]).all()
        assert np.isfinite(score[:, 0]).all()
        assert roc_auc_score(labels[:, 0], score[:, 0]) > 0.7


def test_ridge_chooses_nothing_where_held_out_subjects_show_nothing(problem: tuple) -> None:
    features, labels, groups, folds = problem
    labels[:] = 0
    with pytest.raises(UsageError, match="fold 0: no item is both present and absent"):
        ridge(features, labels, folds, groups, [1e-3, 1.0])
