"""People of one name in different data sets may be the same: what is chosen on one is not learned from the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import duchenne
from duchenne.data import folds
from duchenne.evaluation import thresholds
from duchenne.evaluation.protocols import label_share, probe_measures
from duchenne.heads import linear, quick


@pytest.fixture(scope="module")
def parts(make_faces: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two data sets of six people each, with the same names."""
    folder = tmp_path_factory.mktemp("namesakes")
    return [make_faces(folder / name, name=name) for name in ("one", "two")]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """How many rows each person has, whenever people are held out of training, or kept as the fewest to train on."""
    found: list[tuple[int, ...]] = []
    reduced = label_share.reduced

    def note(groups: np.ndarray) -> None:
        found.append(tuple(np.bincount(np.unique(groups, return_inverse=True)[1]).tolist()))

    def hold_out(groups: np.ndarray, rows: np.ndarray, **rest: Any) -> np.ndarray:
        note(groups)
        return folds.hold_out(groups, rows, **rest)

    def share(plan: Any, units: np.ndarray, group: np.ndarray, *rest: Any) -> Any:
        note(group)
        return reduced(plan, units, group, *rest)

    for module in (linear, quick, thresholds, probe_measures):
        monkeypatch.setattr(module, "hold_out", hold_out)
    monkeypatch.setattr(label_share, "reduced", share)
    return found


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        ("linear", {"l2": [0.01, 1.0]}),
        ("ridge", {"l2": [0.01, 1.0]}),
        ("ridge", {"l2": 0.1, "threshold": "stored"}),
        ("ridge", {"l2": 0.1, "label_share": [0.5]}),
        ("probes", {"l2": [0.01, 1.0]}),
    ],
)
def test_namesakes_are_one_person(
    protocol: str, fields: dict[str, Any], parts: list[Path], sizes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    plain: dict[str, Any] = {} if protocol == "probes" else {"maps": "none"}
    duchenne.evaluate(
        protocol, model="landmarks", data=parts, out=tmp_path, folds=2, baselines=False, quiet=True, **plain, **fields
    )
    assert sizes
    assert set(sizes) == {(2 * 2 * 14,) * 6}  # 2 clips of 14 frames in either data set
