"""The linear protocol against scipy in float64 and scikit-learn, one regression at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from duchenne.data.folds import Fold, from_assignment
from duchenne.errors import UsageError
from duchenne.heads import logistic
from duchenne.heads.linear import linear_protocol
from duchenne.heads.settings import LinearSettings
from duchenne.metrics import roc_auc


def data(rows: int = 600, width: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[Fold], np.ndarray]:
    """Features with far from zero means and very different spreads, three AUs with unknown labels, 12 subjects."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(width, width))
    features = (generator.normal(size=(rows, width)) @ mixing * np.logspace(-2, 2, width) + 50).astype(np.float32)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    logits = scaled @ generator.normal(size=(width, 3)) + np.array([0.0, -1.5, -3.0])
    labels = (logits + generator.logistic(size=logits.shape) > 0).astype(np.float64)
    labels[generator.random(labels.shape) < 0.15] = np.nan
    groups = np.repeat(np.arange(12), rows // 12)
    order = generator.permutation(rows)
    return features[order], labels[order], from_assignment((groups % 3)[order]), groups[order]


def reference(features: np.ndarray, labels: np.ndarray, fold: Fold, l2: float, weighting: str) -> np.ndarray:
    """Standardise with the training rows, then one float64 problem per AU, straight from the equation."""
    x = features.astype(np.float64)
    x = (x - x[fold.train].mean(axis=0)) / x[fold.train].std(axis=0)
    rates = [np.nanmean(labels[fold.train, au]) for au in range(labels.shape[1])]
    out = []
    for au, p in enumerate(rates):
        rows = fold.train & ~np.isnan(labels[:, au])
        y, z = labels[rows, au], x[rows]
        if weighting == "balanced":
            w = np.where(y == 1, 1 / (2 * p), 1 / (2 * (1 - p)))
        else:
            w = np.ones_like(y) * ((1 / p) / np.mean([1 / r for r in rates]) if weighting == "inverse_frequency" else 1)

        def loss(u: np.ndarray, z: np.ndarray = z, y: np.ndarray = y, w: np.ndarray = w) -> float:
            score = z @ u[:-1] + u[-1]
            return float(np.mean(w * (np.logaddexp(0, score) - y * score)) + l2 / 2 * (u[:-1] ** 2).sum())

        u = minimize(loss, np.zeros(x.shape[1] + 1), method="L-BFGS-B", options={"maxiter": 3000, "ftol": 1e-15}).x
        out.append(x[fold.test] @ u[:-1] + u[-1])
    return np.stack(out, axis=1)


@pytest.mark.parametrize("weighting", ["balanced", "inverse_frequency", "none"])
@pytest.mark.parametrize("l2", [1e-3, 0.3])
def test_scores_equal_standardising_per_fold_in_float64(weighting: str, l2: float) -> None:
    features, labels, folds, groups = data()
    settings = LinearSettings(l2=(l2,), weighting=weighting, tolerance=1e-9)  # type: ignore[arg-type]
    result = linear_protocol(features, labels, folds, groups, settings)
    assert result.validation_auc.shape == (3, 0)
    for fold in folds:
        expected = reference(features, labels, fold, l2, weighting)
        np.testing.assert_allclose(result.score[fold.test], expected, atol=5e-3 * np.abs(expected).max())


def test_scores_equal_scikit_learn() -> None:
    features, labels, folds, groups = data(seed=2)
    result = linear_protocol(features, labels, folds, groups, LinearSettings(l2=(0.01,)))
    for fold in folds:
        x = features.astype(np.float64)
        x = (x - x[fold.train].mean(axis=0)) / x[fold.train].std(axis=0)
        for au in range(3):
            rows = fold.train & ~np.isnan(labels[:, au])
            model = LogisticRegression(C=1 / (0.01 * rows.sum()), class_weight="balanced", max_iter=5000, tol=1e-8)
            score = model.fit(x[rows], labels[rows, au]).decision_function(x[fold.test])
            np.testing.assert_allclose(result.score[fold.test, au], score, atol=2e-2)


@pytest.mark.parametrize(("eigen", "width"), [(4096, 20), (1, 20), (4096, 800)])
def test_all_heads_reach_their_optimum(eigen: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "LARGEST_EIGEN", eigen)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(500, 20, generator=generator) @ torch.randn(20, width, generator=generator)
    labels = (features[:, :4] + torch.randn(500, 4, generator=generator) > 0.5).float()
    l2 = torch.tensor([1e-4, 1e-2, 1.0]).repeat_interleave(4)
    columns = torch.arange(4).repeat(3)
    problems = logistic.Problems(labels / 500, (1 - labels) / 500, columns, l2, torch.ones(width, 1))
    fitted = logistic.fit_heads(features, problems, tolerance=1e-8)
    assert bool(fitted.converged.all())
    weight = fitted.weight.double().requires_grad_()
    bias = fitted.bias.double().requires_grad_()
    score = features.double() @ weight + bias
    y = labels.double().repeat(1, 3)
    loss = (torch.nn.functional.softplus(score) - y * score).mean(dim=0) + problems.l2 / 2 * weight.square().sum(dim=0)
    loss.sum().backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().max()) < 2e-3
    np.testing.assert_allclose(loss.detach(), fitted.loss, rtol=1e-4)


def test_l2_is_chosen_on_training_subjects_only() -> None:
    features, labels, folds, groups = data()
    settings = LinearSettings(l2=(1e-4, 1e-2, 1.0))
    result = linear_protocol(features, labels, folds, groups, settings, seed=1)
    for number, fold in enumerate(folds):
        assert result.l2[number] == settings.l2[int(np.argmax(result.validation_auc[number]))]
        changed = labels.copy()
        changed[fold.test] = 1 - changed[fold.test]  # what is tested must not reach training or the choice
        again = linear_protocol(features, changed, [fold], groups, settings, seed=1)
        np.testing.assert_allclose(again.score[fold.test], result.score[fold.test], rtol=1e-2, atol=2e-2)
        assert again.l2[0] == result.l2[number]


def test_an_au_that_cannot_be_trained_has_no_score() -> None:
    features, labels, folds, groups = data()
    labels[folds[0].train, 1] = 0.0
    result = linear_protocol(features, labels, folds, groups, LinearSettings(l2=(0.01,)))
    assert result.trained.tolist() == [[True, False, True], [True, True, True], [True, True, True]]
    assert np.isnan(result.score[folds[0].test, 1]).all()
    assert not np.isnan(result.score[:, [0, 2]]).any()


def test_constant_features_and_huge_offsets_do_no_harm() -> None:
    features, labels, folds, groups = data()
    settings = LinearSettings(l2=(0.01,))
    plain = linear_protocol(features, labels, folds, groups, settings)
    wider = np.concatenate([features, np.full((len(features), 2), 7e5, dtype=np.float32)], axis=1)
    wider[folds[0].test, -1] = 0  # constant where fold 0 trains, not where it tests
    result = linear_protocol(wider, labels, folds[:1], groups, settings)
    assert roc_auc(labels[folds[0].test], result.score[folds[0].test]) == pytest.approx(
        roc_auc(labels[folds[0].test], plain.score[folds[0].test]), abs=2e-3
    )


def test_refusals() -> None:
    features, labels, folds, groups = data()
    with pytest.raises(UsageError, match="must be above 0"):
        LinearSettings(l2=(0.0,))
    with pytest.raises(UsageError, match="l2"):
        linear_protocol(features, labels, folds, np.zeros(len(groups), dtype=int))
    features[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        linear_protocol(features, labels, folds, groups)
