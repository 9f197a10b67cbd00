"""Intervals are of the people tested, however many of them lie in a fold, and hold what they say that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from duchenne.evaluation.scoring import Predictions, Summariser


@pytest.mark.parametrize("folds", [1, 2, 3, 6, 12])
def test_the_interval_of_a_mean_over_people_does_not_depend_on_their_folds(folds: int) -> None:
    right_of = np.arange(12) % 6 + 4  # of ten faces each: accuracies .4 to .9
    group = np.repeat(np.arange(12), 10)
    right = np.concatenate([np.arange(10) < number for number in right_of])
    labels = np.eye(2)[np.arange(120) % 2]
    predicted = np.where(right[:, None], labels, 1 - labels)
    run = Predictions(predicted.astype(np.float32), predicted == 1, group % folds)
    summariser = Summariser(labels, "ab", group, np.arange(12) % folds, resamples=4000, exclusive=True)
    found = summariser.add("model", {0: run})
    half = 1.96 * np.std(right_of / 10) / np.sqrt(12)  # what the formula for a mean gives
    for aggregate in ("mean_of_folds", "pooled"):
        accuracy = found[aggregate]["accuracy"]
        assert accuracy["value"] == pytest.approx(0.65)
        assert accuracy["low"] == pytest.approx(0.65 - half, abs=0.1 * half)
        assert accuracy["high"] == pytest.approx(0.65 + half, abs=0.1 * half)


def test_one_person_left_out_at_a_time() -> None:
    hits = np.tile([2, 4, 6, 8], 3)  # of ten positives, no false alarm
    group, place = np.repeat(np.arange(12), 20), np.tile(np.arange(20), 12)
    labels = (place < 10).astype(float)[:, None]
    predicted = (place < hits[group])[:, None]
    better = (place < hits[group] + 1)[:, None]
    summariser = Summariser(labels, ["AU12"], group, np.arange(12), resamples=4000, exclusive=False)
    found = summariser.add("one", {0: Predictions(predicted.astype(np.float32), predicted, group)})["mean_of_folds"]
    summariser.add("other", {0: Predictions(better.astype(np.float32), better, group)})
    own = 2 * hits / (hits + 10)
    half = 1.96 * own.std() / np.sqrt(12)
    assert found["f1"]["value"] == pytest.approx(own.mean(), abs=1e-6)
    assert found["f1"]["low"] == pytest.approx(own.mean() - half, abs=0.1 * half)
    assert found["f1"]["high"] == pytest.approx(own.mean() + half, abs=0.1 * half)
    leads = own - 2 * (hits + 1) / (hits + 11)
    (pair,) = summariser.differences()
    low, high = (pair["mean_of_folds"]["f1"][key] for key in ("low", "high"))
    assert high - low == pytest.approx(2 * 1.96 * leads.std() / np.sqrt(12), rel=0.1)


def test_a_fold_weighs_the_same_however_large_it_is() -> None:
    group = np.repeat(np.arange(12), 2)
    labels = np.tile([[1.0], [0.0]], (12, 1))
    fold = np.where(group < 9, 0, 1)  # nine people who are all right, three of whom nothing is found
    predicted = (labels == 1) & (fold == 0)[:, None]
    summariser = Summariser(labels, ["AU12"], group, fold[::2], resamples=2000, exclusive=False)
    run = Predictions(predicted.astype(np.float32), predicted, fold)
    f1 = summariser.add("model", {0: run})["mean_of_folds"]["f1"]
    # Of 12 draws with a chance of 1 / 4 for the second fold, 2.5 % and 97.5 % lie at 0 and 6 (binomial distribution).
    assert (f1["value"], f1["high"]) == (0.5, 1.0)
    assert f1["low"] == pytest.approx((6 / 9) / (6 / 9 + 6 / 3))


def test_there_is_no_interval_of_one_person() -> None:
    group = np.repeat([0, 1], 4)
    labels = np.array([[1, 1], [0, 0], [1, 0], [0, 1], [1, np.nan], [0, np.nan], [1, np.nan], [0, np.nan]])
    score = np.tile(np.arange(8, dtype=np.float32)[:, None], 2)

    def of(tested: list[int]) -> dict[str, Any]:
        fold = np.array(tested)
        summariser = Summariser(labels, ["AU01", "AU02"], group, fold, resamples=50, exclusive=False)
        return summariser.add("model", {0: Predictions(score, score > 1, fold[group])})

    both, first = of([0, 0]), of([0, -1])
    assert both["items"]["AU01"]["pooled"]["f1"]["low"] is not None
    assert both["mean_of_folds"]["auc"]["low"] is not None
    for estimate in (both["items"]["AU02"]["pooled"]["f1"], first["pooled"]["f1"], first["mean_of_folds"]["auc"]):
        assert estimate["value"] is not None
        assert estimate["low"] is None
        assert estimate["high"] is None


def drawn(rng: np.random.Generator, people: int) -> tuple[np.ndarray, ...]:
    """Labels, scores of two models, and the people of 20 faces each, who differ in how often and how well they show."""
    group = np.repeat(np.arange(people), 20)
    truth = rng.random(len(group)) < rng.beta(3, 5, people)[group]
    skill, offset = rng.normal(1, 0.6, people), rng.normal(0, 0.5, people)
    own = skill + rng.normal(0, 0.25, (2, people))
    scores = truth * own[:, group] + offset[group] + rng.normal(size=(2, len(group))) - 0.5
    return truth.astype(float), scores, group


def mean_of_folds(truth: np.ndarray, score: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """AUC and F1 as means of folds."""
    areas, f1 = [], []
    for one in np.unique(fold):
        y, s = truth[fold == one], score[fold == one]
        f1.append(f1_score(y, s > 0, zero_division=0))
        if 0 < y.sum() < len(y):
            areas.append(roc_auc_score(y, s))
    return float(np.mean(areas)), float(np.mean(f1))


@pytest.mark.slow
@pytest.mark.parametrize("folds", [3, 6, 12])
@pytest.mark.parametrize("people", [12, 24, 60])
def test_intervals_hold_the_true_value_about_as_often_as_they_say(people: int, folds: int) -> None:
    rng = np.random.default_rng([people, folds])
    each = people // folds
    truth, scores, group = drawn(rng, 600 * each)
    expected = np.array([mean_of_folds(truth, score, group // each) for score in scores])
    true = [*expected[0], 0.0]  # the models are equally good
    held = np.zeros(3)
    repetitions = 200
    for _ in range(repetitions):
        truth, scores, group = drawn(rng, people)
        summariser = Summariser(
            truth[:, None], ["AU12"], group, np.arange(people) % folds, resamples=300, exclusive=False
        )
        first, _ = (
            summariser.add(name, {0: Predictions(score[:, None].astype(np.float32), score[:, None] > 0, group % folds)})
            for name, score in zip("ab", scores)
        )
        found = first["mean_of_folds"]
        spans = [found["auc"], found["f1"], summariser.differences()[0]["mean_of_folds"]["auc"]]
        held += [span["low"] <= value <= span["high"] for span, value in zip(spans, true)]
    print(people, folds, (held / repetitions).tolist())
    assert (held / repetitions > 0.85).all()
