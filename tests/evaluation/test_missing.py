"""Labelled pictures without a crop: left out, or counted as predicted absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.preparing.datasets.made import bp4d_codes, picture

import duchenne
from duchenne.data.folds import from_assignment
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
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
    fold = task.group % 2
    lost = missing_rows(data, task, None, {0: from_assignment(fold)}, "2", trained=0)
    assert (lost.fold[0] == lost.group % 2).all()
    assert np.isnan(lost.labels[:, 0]).sum() == 5  # frame 10 was not codable for AU1
    score = np.tile(np.arange(len(fold), dtype=np.float32)[:, None], 2)
    score[:, 1] = np.nan  # could not be trained
    counted = lost.count(Predictions(score, score > 3, fold), 0)
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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Prepared pictures of nobody known, 12 with a crop and 6 without; every third shows AU12.

    Those of `parts` are in two parts, the first half in the first; of the others every second is of the test split. In
    `named` those with a crop are of four people.
    """
    root = tmp_path_factory.mktemp("pictures")

    def make(name: str) -> Path:
        out, rng = root / f"{name}_prepared", np.random.default_rng(len(name))
        if out.exists():
            return out
        rows = []
        for number in range(18):
            there = number % 3 == 0
            image = rng.normal(180 if there else 80, 20, (64, 48 if number % 9 > 5 else 64, 3))
            source = picture(root / name / f"{number}.png", np.clip(image, 0, 255).astype(np.uint8)).name
            rows.append([source, int(there), "test" if number % 2 else "train", "one" if number < 9 else "two"])
        table = pd.DataFrame(rows, columns=["path", "AU12", "split", "part"])
        common: dict[str, Any] = {"missing": "negative", "alignment": "none", "size_px": 64, "workers": 1}
        if name == "parts":
            table.rename(columns={"path": "URL", "AU12": "AU 12"})[["URL", "AU 12"]].to_csv(root / name / "codes.csv")
            table.rename(columns={"path": "source"})[["source", "part"]].to_csv(root / "parts.csv")
            duchenne.prepare("emotionet", root=root / name, out=out, parts=root / "parts.csv", quiet=True, **common)
        else:
            if name == "named":
                table["subject"] = [f"p{number // 3}" if number % 9 < 6 else "" for number in range(18)]
            table.drop(columns="part").to_csv(root / "table.csv", index=False)
            duchenne.prepare(
                "table", root=root / name, out=out, table=root / "table.csv", name=name, quiet=True, **common
            )
        return out

    return make


def scored(out: Path, **arguments: Any) -> tuple[list[list[int]], dict[str, int]]:
    """Positives and negatives of each fold, and what the summary says of pictures without a crop."""
    table = duchenne.evaluate(
        "linear", model="pixels", out=out, l2=1.0, maps="none", sample_faces=0, baselines=False, quiet=True, **arguments
    )
    return table[["positives", "negatives"]].to_numpy().tolist(), table.summary["protocol"]["missing"]


def test_pictures_of_nobody_known_are_dealt(pictures: Callable[[str], Path], tmp_path: Path) -> None:
    found, said = scored(tmp_path / "dealt", data=pictures("web"), folds="3")
    assert said == {"counted_as_absent": 6, "left_out": 0}
    assert [sum(fold) for fold in found] == [6, 6, 6]
    assert np.sum(found, axis=0).tolist() == [6, 12]
    folds = pd.read_csv(tmp_path / "dealt" / "folds.csv")
    assert folds["frames"].value_counts().to_dict() == {1: 12, 0: 6}
    again, _ = scored(tmp_path / "again", data=pictures("web"), folds=str(tmp_path / "dealt" / "folds.csv"))
    assert again == found
    folds[folds["frames"] > 0].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match=r"short.csv: lacks some of the \d+ labelled pictures .* such as web:"):
        scored(tmp_path / "short", data=pictures("web"), folds=str(tmp_path / "short.csv"))


def test_pictures_of_nobody_known_follow_the_plan(pictures: Callable[[str], Path], tmp_path: Path) -> None:
    for number, (arguments, positives, negatives, counted) in enumerate((
        ({"data": pictures("web"), "folds": "split"}, [3], [6], 3),
        ({"data": pictures("web"), "train_data": pictures("other")}, [6], [12], 6),
        ({"data": pictures("parts"), "folds": "parts"}, [3, 3], [6, 6], 6),
        ({"data": pictures("named"), "folds": "4"}, [1, 1, 1, 1], [2, 2, 2, 2], 0),
    )):  # fmt: skip
        found, said = scored(tmp_path / str(number), **arguments)
        assert np.transpose(found).tolist() == [positives, negatives]
        assert said == {"counted_as_absent": counted, "left_out": 0 if counted else 6}
