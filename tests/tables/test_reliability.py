"""Fleiss' kappa and Krippendorff's alpha against the examples of their authors, worked out by hand there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.tables.reliability import alpha_of, fleiss_kappa, krippendorff_alpha, unit_sums

N = np.nan


def test_fleiss_kappa_of_fourteen_raters() -> None:
    # Ten subjects, five categories, fourteen raters: P = .378, Pe = .213, kappa = .210 (a textbook example).
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1
    assert np.isnan(fleiss_kappa([[3, 0], [3, 0]]))
    assert np.isnan(fleiss_kappa(np.zeros((0, 2))))
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([[3, 0], [1, 1]])


def test_alpha_of_krippendorffs_examples() -> None:
    # Krippendorff 2011, A: two observers, binary, alpha = .095; C: four observers, missing values, alpha = .743
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha([first, second]) == pytest.approx(0.095, abs=5e-4)
    four = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]  # fmt: skip
    assert krippendorff_alpha(four) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(four, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_where_it_is_undefined() -> None:
    assert np.isnan(krippendorff_alpha([[1, 1], [1, 1]]))
    assert np.isnan(krippendorff_alpha([[1, N], [N, 1]]))
    assert krippendorff_alpha([[0, 1], [0, 1]]) == 1


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, N]), min_size=3, max_size=3), min_size=1, max_size=12),
       st.sampled_from(["nominal", "interval"]))  # fmt: skip
def test_alpha_is_what_loops_over_pairs_say(units: list[list[float]], level: str) -> None:
    def apart(a: float, b: float) -> float:
        return float(a != b) if level == "nominal" else (a - b) ** 2

    known = [[value for value in unit if value == value] for unit in units]
    known = [unit for unit in known if len(unit) > 1]
    flat = [value for unit in known for value in unit]
    inside = sum(sum(apart(a, b) for a in unit for b in unit) / (len(unit) - 1) for unit in known)
    over_all = sum(apart(a, b) for a in flat for b in flat)
    found = krippendorff_alpha(np.array(units).T, level)  # type: ignore[arg-type]
    if over_all == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(1 - (len(flat) - 1) * inside / over_all, abs=1e-9)


def test_sums_of_groups_add_up() -> None:
    values = np.random.default_rng(0).integers(0, 2, (3, 50)).astype(float)
    parts = unit_sums(values[:, :20]) + unit_sums(values[:, 20:])
    assert alpha_of(parts) == pytest.approx(krippendorff_alpha(values))
