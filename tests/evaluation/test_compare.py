"""`compare`: numbers from the summaries, and what differs between them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import DuchenneError
from duchenne.evaluation.compare import compare


@pytest.fixture(scope="module")
def evaluations(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    first, second = folder / "first", folder / "second"
    duchenne.evaluate(model=["landmarks", "pixels"], data=faces, out=first, l2=0.1, quiet=True, sample_faces=0)
    duchenne.evaluate(
        model="landmarks", data=faces, out=second, folds=2, l2=0.1, weighting="none", quiet=True, sample_faces=0
    )
    return first, second


@pytest.mark.parametrize("metric", ["f1", "auc"])
@pytest.mark.parametrize("aggregate", ["mean_of_folds", "pooled"])
def test_numbers_are_those_of_the_summaries(evaluations: tuple[Path, Path], metric: str, aggregate: str) -> None:
    result = compare(evaluations, metric=metric, aggregate=aggregate)  # type: ignore[arg-type]
    rows = result.table.set_index(["evaluation", "model"])
    models = [("first", "landmarks"), ("first", "pixels"), ("second", "landmarks")]
    for place, model in models:
        summary = json.loads((evaluations[place == "second"] / "summary.json").read_text())["models"][model]
        found = rows.loc[(place, model)]
        assert found["AU12"] == summary["items"]["AU12"][aggregate][metric]["value"]
        assert [found[key] for key in ("mean", "low", "high")] == [
            summary[aggregate][metric][key] for key in ("value", "low", "high")
        ]
    always = [("first", "always positive"), ("second", "always positive")]
    assert sorted(rows.index) == sorted(models + (always if metric == "f1" else []))


def test_what_differs_is_said(evaluations: tuple[Path, Path]) -> None:
    warnings = compare(evaluations).warnings
    assert "weighting: first has balanced, second none." in warnings
    assert "folds: first has 3, second 2." in warnings
    assert len(warnings) == 2
    assert not compare(evaluations[:1]).warnings


def test_files_and_the_command(
    evaluations: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", *map(str, evaluations)]
    assert main([*words, "--out", str(tmp_path / "table.html")]) == 0
    shown = capsys.readouterr()
    assert "always positive" in shown.out
    assert "weighting" in shown.err
    assert "Not the same in all" in (tmp_path / "table.html").read_text()
    assert main([*words, "--out", str(tmp_path / "table.csv"), "--metric", "auc"]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    assert table.columns[:2].tolist() == ["evaluation", "model"]
    assert table["mean"].between(0, 1).all()


def test_refusals_are_one_sentence(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[]")
    for folders, out, sentence in [
        ([], None, "at least one folder"),
        ([evaluations[0]] * 2, None, "only once"),
        ([tmp_path / "none"], None, "holds no evaluation"),
        ([tmp_path], None, "is no summary"),
        (evaluations, "table.xlsx", "ends in .csv or .html"),
    ]:
        with pytest.raises(DuchenneError, match=sentence):
            compare(folders, out=out)  # type: ignore[arg-type]
