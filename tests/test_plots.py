"""Figures of pages that show what lies below zero."""

from __future__ import annotations

import re

import pytest

from duchenne import plots


def ticks(svg: str) -> list[float]:
    return [float(text.replace("\N{MINUS SIGN}", "-")) for text in re.findall(r">(\N{MINUS SIGN}?\d\.\d+)</text>", svg)]


@pytest.mark.parametrize(("value", "low", "reaches"), [(0.4, 0.2, 0.0), (-0.35, None, -0.2), (0.1, -0.25, -0.2)])
def test_bars_below_zero_are_drawn(value: float, low: float | None, reaches: float) -> None:
    estimates = {"kappa": [{"value": value, "low": low, "high": 0.5}, {"value": None, "low": None, "high": None}]}
    svg = plots.bars(["AU04", "AU12"], estimates, label="agreement", baseline=0.4)
    assert min(ticks(svg)) == reaches
