"""What the page of an evaluation says in sentences, from summaries made by hand."""

from __future__ import annotations

from typing import Any

from duchenne.evaluation.report.page import findings


def summary(**auc: tuple[float, float | None, float | None]) -> dict[str, Any]:
    """Models with an AUC and its interval, and an F1 over that of `always positive`."""
    models = {
        name: {
            "mean_of_folds": {"auc": {"value": value, "low": low, "high": high}, "f1": {"value": 0.9}},
            "seen": {"transductive": False}, "undefined": {"auc": 0, "of": 4},
        }
        for name, (value, low, high) in auc.items()
    }  # fmt: skip
    return {
        "models": models, "differences": [],
        "always_positive": {"mean_of_folds": 0.5, "items": {"AU12": {"pooled": 0.4}, "AU45": {"pooled": 0.0}}},
        "protocol": {"threshold": 0.5},
    }  # fmt: skip


def test_an_interval_wholly_below_chance_is_said() -> None:
    said = findings(summary(good=(0.8, 0.7, 0.9), wrong=(0.3, 0.2, 0.45), unsure=(0.45, 0.3, 0.6)))
    (worse,) = [sentence for sentence in said if "Worse than chance" in sentence]
    assert ": wrong. " in worse
    assert "below .500" in worse


def test_nothing_is_said_of_intervals_that_hold_chance_or_are_unknown() -> None:
    said = findings(summary(good=(0.8, 0.7, 0.9), unsure=(0.45, 0.3, 0.5), alone=(0.4, None, None)))
    assert not any("chance" in sentence for sentence in said)


def test_an_item_that_nobody_shows_is_named() -> None:
    (absent,) = [sentence for sentence in findings(summary(good=(0.8, 0.7, 0.9))) if "no tested face" in sentence]
    assert absent.startswith("Present in no tested face: AU45. F1 is 0 there")
