"""Labelled pictures without a crop: left out, or counted as predicted absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.preparing.datasets.made import bp4d_codes, picture

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import UsageError
from duchenne.evaluation.missing import missing_rows
from duchenne.evaluation.scoring import Predictions
from duchenne.evaluation.tasks import make_task

FRAMES = range(1, 13)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six people whose AU12 is as bright as the picture; frames 10 to 12 are not square, so that no crop is made."""
    root = tmp_path_factory.mktemp("missing")
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        subject = f"F{number:03d}"
        present = {frame for frame in FRAMES if frame % 3 == 0}
        for frame in FRAMES:
            if number == 6 and frame < 10:
                continue  # of the last one no picture at all is usable
            level = 180 if frame in present else 80
            image = np.clip(rng.normal(level, 20, (64, 48 if frame > 9 else 64, 3)), 0, 255).astype(np.uint8)
            picture(root / "BP4D" / subject / "T1" / f"{frame}.png", image)
        bp4d_codes(root / "BP4D" / "AU_OCC" / f"{subject}_T1.csv", FRAMES, {12: present, 1: {-10}}, (1, 12))
    arguments = {"alignment": "none", "size_px": 64, "workers": 1, "quiet": True}
    for missing in ("drop", "negative"):
        duchenne.prepare("bp4d", root=root / "BP4D", out=root / missing, missing=missing, **arguments)  # type: ignore[arg-type]
    return {missing: root / missing for missing in ("drop", "negative")}


def test_counted_as_predicted_absent(folders: dict[str, Path], tmp_path: Path) -> None:
    tables, summaries = {}, {}
    for missing, folder in folders.items():
        arguments = {"model": ["pixels"], "folds": 5, "l2": 1.0, "maps": "none", "sample_faces": 0, "quiet": True}
        table = duchenne.evaluate("linear", data=folder, out=tmp_path / missing, **arguments)  # type: ignore[arg-type]
        table = table[table["model"] == "pixels"]
        tables[missing] = table[table["item"] == "AU12"].set_index("fold")
        summaries[missing] = json.loads((tmp_path / missing / "summary.json").read_text())
    drop, negative = tables["drop"], tables["negative"]
    assert set(drop["positives"]) == {3}
    assert set(negative["positives"]) == {4}  # one more of each person
    assert set(negative["negatives"] - drop["negatives"]) == {2}
    pd.testing.assert_series_equal(negative["recall"], drop["recall"] * 3 / 4, atol=1e-6)
    pd.testing.assert_series_equal(negative["precision"], drop["precision"])
    # A positive without a crop lies below every negative with one, and beside the two negatives without one.
    expected = (drop["auc"] * 3 * 6 + 3 * 2 + 0.5 * 2) / (4 * 8)
    pd.testing.assert_series_equal(negative["auc"], expected, atol=1e-5, check_names=False)
    assert summaries["drop"]["protocol"]["missing"] == {"counted_as_absent": 0, "left_out": 0}
    assert summaries["negative"]["protocol"]["missing"] == {"counted_as_absent": 15, "left_out": 3}


def test_people_stay_in_their_fold(folders: dict[str, Path]) -> None:
    data = Prepared([folders["negative"]])
    task = make_task(data, "au")
    lost = missing_rows(data, task, None)
    fold = task.group % 2
    assert (lost.folds(task, fold)[len(fold) :] == lost.group % 2).all()
    assert np.isnan(lost.labels[:, 0]).sum() == 5  # frame 10 was not codable for AU1
    score = np.tile(np.arange(len(fold), dtype=np.float32)[:, None], 2)
    score[:, 1] = np.nan  # could not be trained
    counted = lost.count(task, Predictions(score, score > 3, fold))
    for number in (0, 1):
        mine = counted.score[len(fold) :][counted.fold[len(fold) :] == number]
        assert (mine[:, 0] < score[fold == number, 0].min()).all()
        assert np.isnan(mine[:, 1]).all()
    assert not counted.predicted[len(fold) :].any()


def test_shares_of_labels_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label_share: does not count pictures without a crop"):
        duchenne.evaluate(
            "linear", model="pixels", data=folders["negative"], out=tmp_path, folds=5, label_share=[0.5], quiet=True
        )
