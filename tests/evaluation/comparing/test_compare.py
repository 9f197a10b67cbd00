"""`compare`: numbers from the summaries, and what differs between them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import DuchenneError
from duchenne.evaluation.comparing.compare import compare
from duchenne.evaluation.comparing.published_rows import PARTS
from duchenne.evaluation.comparing.writing import _page
from duchenne.facs import AU_SETS, au_column
from duchenne.published import load


@pytest.fixture(scope="module")
def evaluations(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    first, second = folder / "first", folder / "second"
    duchenne.evaluate(model=["landmarks", "pixels"], data=faces, out=first, l2=0.1, quiet=True, sample_faces=0)
    duchenne.evaluate(
        model="landmarks", data=faces, out=second, folds=2, l2=0.1, weighting="none", quiet=True, sample_faces=0
    )
    return first, second


def changed(source: Path, folder: Path, **protocol: Any) -> Path:
    """A copy of an evaluation whose protocol says something else."""
    folder.mkdir()
    summary = json.loads((source / "summary.json").read_text())
    summary["protocol"] |= protocol
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


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


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("repeats", 5, "repeats: first has 1, other 5."),
        ("positive_from", {"drawn": 3.0}, "data 1 positive_from: first has as coded, other 3."),
        ("l2", [0.1, 1.0], "l2: first has 0.1, other 0.1 1.0."),
        ("feature", None, "feature: first has embedding, other None."),
        ("interval", {"level": 0.95}, "intervals resampled: first has over all folds, other within folds."),
    ],
)
def test_each_setting_tells_evaluations_apart(
    evaluations: tuple[Path, Path], tmp_path: Path, key: str, value: Any, sentence: str
) -> None:
    other = changed(evaluations[0], tmp_path / "other", **{key: value})
    assert compare([evaluations[0], other]).warnings == (sentence,)


def test_training_and_areas_tell_evaluations_apart(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    folders = []
    for number, epochs in enumerate((10, 3)):
        areas = {"area_boxes": ["48; 33; 54; 8"] * (number + 1), "area_groups": ["1: 1 12 25"]}
        folders.append(changed(evaluations[0], tmp_path / str(number), name="areas", areas=areas, l2=None))
        file = folders[-1] / "summary.json"
        summary = json.loads(file.read_text())
        summary["models"]["pixels"]["training"] = {"epochs": epochs, "optimiser": "adamw"}
        file.write_text(json.dumps(summary))
    assert set(compare(folders).warnings) == {
        "areas: 0 has 1 areas in 1 groups (summary.json), 1 2 areas in 1 groups (summary.json).",
        "training epochs: 0 has 10, 1 3.",
    }


def test_files_and_the_command(
    evaluations: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", *map(str, evaluations)]
    assert main([*words, "--out", str(tmp_path / "table.html")]) == 0
    shown = capsys.readouterr()
    assert "always positive" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80  # the width of this terminal; longer tables go on below
    assert "weighting" in shown.err
    assert "Not the same in all" in (tmp_path / "table.html").read_text()
    assert main([*words, "--out", str(tmp_path / "table.csv"), "--metric", "auc"]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    assert table.columns[:2].tolist() == ["evaluation", "model"]
    assert table["mean"].between(0, 1).all()


def test_one_folder_or_what_evaluate_returned(evaluations: tuple[Path, Path], faces: Path, tmp_path: Path) -> None:
    done = duchenne.evaluate(
        "ridge",
        model="pixels",
        data=faces,
        out=tmp_path / "x",
        quiet=True,
        sample_faces=0,
        maps="none",
        baselines=False,
    )
    alone = compare(done).table
    for same in (str(tmp_path / "x"), tmp_path / "x", [done]):
        pd.testing.assert_frame_equal(compare(same).table, alone)
    assert alone["model"].tolist() == ["always positive", "pixels"]
    assert alone["mean"][1] == pytest.approx(done.groupby("item")["f1"].mean().mean(), abs=1e-5)
    assert set(compare([evaluations[0], done]).table["evaluation"]) == {"first", "x"}


def test_refusals_are_one_sentence(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[]")
    for folders, out, sentence in [
        ([], None, "at least one folder"),
        ([evaluations[0]] * 2, None, "first: is named twice; name each folder once"),
        (str(tmp_path), None, "is no summary"),
        ([tmp_path / "none"], None, "holds no evaluation"),
        ([tmp_path], None, "is no summary"),
        (evaluations, "table.xlsx", "ends in .csv, .html or .md"),
    ]:
        with pytest.raises(DuchenneError, match=sentence):
            compare(folders, out=out)  # type: ignore[arg-type]


BP4D = [au_column(au) for au in AU_SETS["bp4d"]]


def as_if(
    folder: Path,
    source: Path,
    *,
    name: str,
    items: Sequence[str] = BP4D,
    parts: Sequence[Any] = PARTS["BP4D"],
    reader: str = "table",
    **changes: Any,
) -> Path:
    """A copy of an evaluation that claims to be one of another data set, with other items, folds and settings."""
    folder.mkdir()
    summary = json.loads((source / "summary.json").read_text())
    cell = summary["models"]["landmarks"]["items"]["AU12"]
    summary["models"] = {"landmarks": summary["models"]["landmarks"] | {"items": dict.fromkeys(items, cell)}}
    summary["always_positive"]["items"] = dict.fromkeys(items, summary["always_positive"]["items"]["AU12"])
    summary["protocol"] |= {"items": list(items)} | changes
    summary["data"] = [summary["data"][0] | {"name": name, "settings": {"reader": reader}}]
    (folder / "summary.json").write_text(json.dumps(summary))
    with (folder / "folds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "fold", "seed", "frames"])
        for fold, subjects in enumerate(parts):
            writer.writerows([f"{name}:{subject}", fold, 0, 10] for subject in subjects)
    return folder


def test_printed_rows_stand_once_with_all_their_sources(evaluations: tuple[Path, Path]) -> None:
    table = compare(published="bp4d").table
    assert table["mean"].is_monotonic_decreasing
    assert compare(published="bp4d").items == BP4D
    clp = table[table["model"] == "CLP"]
    assert clp[["evaluation", "protocol"]].to_numpy().tolist() == [["BP4D: CLP I", "linear+bn"]]
    assert clp["mean"].item() == 0.624
    assert clp["AU12"].item() == 0.841
    assert "BP4D: EmoCo III, TC 1, CLP I" in set(table["evaluation"])  # FAb-Net, linear, printed three times
    printed = [row for row in load() if (row.dataset, row.metric) == ("BP4D", "f1")]
    alike = {(row.method, row.protocol, row.average, *row.values.values()) for row in printed}
    assert len(table) == len(alike) < len(printed)
    srerl = table[table["model"] == "SRERL"].set_index("mean")["note"]
    assert srerl.to_dict() == {0.629: "", 0.621: "Error: the items average 62.90."}


def test_what_is_not_comparable_is_marked(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    same = as_if(tmp_path / "same", evaluations[0], name="bp4d")
    rows = compare([same], published="bp4d").table.set_index(["model", "evaluation"])
    linear = rows.loc[("temporal ranking k=1,2,4", "BP4D: TC 1, TC S1, CLP I")]
    assert linear[["comparable_with", "differs", "caution"]].tolist() == ["same", "", "alignment"]
    emoco = rows[rows["protocol"] == "linear"].loc[("EmoCo", "BP4D: EmoCo III, CLP I")]
    assert emoco[["comparable_with", "caution"]].tolist() == ["same", "weighting alignment"]
    assert rows["comparable_with"].dropna().eq("same").is_monotonic_decreasing  # what is comparable comes first
    assert set(rows[rows["protocol"] == "linear+bn"]["differs"]) == {"protocol"}
    assert set(rows[rows["protocol"] == "areas"]["differs"]) == {"protocol"}
    assert rows.loc[("landmarks", "same"), "differs"] is None or pd.isna(rows.loc[("landmarks", "same"), "differs"])

    others = {
        "other data": (as_if(tmp_path / "a", evaluations[0], name="mine"), "data"),
        "other reader": (as_if(tmp_path / "g", evaluations[0], name="BP4D", reader="bp4d_plus"), "data"),
        "drawn folds": (as_if(tmp_path / "b", evaluations[0], name="BP4D", parts=[{"F001"}, {"M002"}]), "split"),
        "AUs missing": (as_if(tmp_path / "c", evaluations[0], name="BP4D", items=BP4D[:5]), "items"),
        "weighting": (as_if(tmp_path / "d", evaluations[0], name="BP4D", weighting="none"), "weighting"),
        "threshold": (as_if(tmp_path / "e", evaluations[0], name="BP4D", threshold=0.3), "threshold"),
        "emotions": (as_if(tmp_path / "f", evaluations[0], name="BP4D", target="emotion"), "target"),
    }
    for folder, word in others.values():
        result = compare([folder], published="bp4d")
        row = result.table.query("model == 'triplet'").iloc[0]
        assert (row["comparable_with"], row["differs"]) == ("", word)
        assert any(sentence.startswith(f"{word}: {folder.name}: ") for sentence in result.explanations)

    both = compare([same, others["other data"][0]], published="bp4d").table
    triplet = both[both["model"] == "triplet"].iloc[0]
    assert (triplet["comparable_with"], triplet["differs"]) == ("same", "a: data")


def test_levels_of_intensity_differ_only_where_intensity_says_what_is_present(
    evaluations: tuple[Path, Path], tmp_path: Path
) -> None:
    """BP4D codes presence by itself, whatever stands beside it; DISFA's follows from an intensity of 2."""
    disfa = {"items": [au_column(au) for au in AU_SETS["disfa"]], "parts": PARTS["DISFA"]}
    cases: tuple[tuple[str, float, float, str], ...] = (
        ("bp4d", 1.0, 1.0, ""), ("bp4d", 1.0, 3.0, "labels"),
        ("disfa", 2.0, 2.0, ""), ("disfa", 2.0, 1.0, "labels"), ("disfa", 1.0, 1.0, "labels"),
    )  # fmt: skip
    folders = []
    for number, (name, prepared, used, word) in enumerate(cases):
        folder = as_if(
            tmp_path / str(number), evaluations[0], name=name, reader=name, positive_from={name: used},
            **(disfa if name == "disfa" else {}),
        )  # fmt: skip
        summary = json.loads((folder / "summary.json").read_text())
        summary["data"][0] |= {"label_kind": "intensity", "positive_from": prepared}
        (folder / "summary.json").write_text(json.dumps(summary))
        result = compare([folder], published=name)
        assert result.table.query("model == 'triplet'").iloc[0]["differs"] == word
        assert any("an intensity counts as present from" in text for text in result.explanations) == bool(word)
        folders.append(folder)
    assert "data 1 positive_from: 2 has 2, 3 1." in compare(folders[2:4]).warnings


def test_fine_tuning_stands_beside_supervised_models(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    tuned = as_if(tmp_path / "tuned", evaluations[0], name="BP4D")
    summary = json.loads((tuned / "summary.json").read_text())
    summary["protocol"]["name"] = "finetune"
    (tuned / "summary.json").write_text(json.dumps(summary))
    table = compare([tuned], published="bp4d").table
    rows = table.set_index("protocol")
    assert set(rows.loc["finetune"].dropna(subset="differs")["differs"]) == {""}
    assert set(rows.loc["supervised", "caution"]) == {"weighting start alignment"}
    assert set(rows.loc["linear", "differs"]) == {"protocol"}


def test_recall_of_emotions(make_faces: Any, tmp_path: Path) -> None:
    data = make_faces(tmp_path / "faces")
    settings: dict[str, Any] = {"target": "emotion", "l2": 0.1, "quiet": True, "sample_faces": 0, "maps": "none"}
    duchenne.evaluate(model="landmarks", data=data, out=tmp_path / "scores", **settings)
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())["models"]["landmarks"]
    for aggregate in ("mean_of_folds", "pooled"):
        row = compare([tmp_path / "scores"], metric="recall", aggregate=aggregate, published="raf-db").table.iloc[0]  # type: ignore[arg-type]
        expected = summary[aggregate]["mean_recall"]
        assert [row["mean"], row["low"], row["high"]] == [expected[key] for key in ("value", "low", "high")]
        assert row[["neutral", "happiness"]].mean() == pytest.approx(expected["value"], abs=1e-6)


def test_a_folder_gets_all_three_files(
    evaluations: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(evaluations[0]), "--published", "bp4d", "disfa", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "BP4D: KSRL 3" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 130  # what is said of a printed row is not broken
    assert "data: first: its data are drawn" in shown.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.csv",
        "comparison.html",
        "comparison.md",
    }
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    markdown = (tmp_path / "out" / "comparison.md").read_text()
    body = [line for line in markdown.splitlines() if line.startswith("| ")][2:]
    assert len(body) == len(table)
    assert len({line.count(" | ") for line in body}) == 1
    assert "SRERL" in markdown
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("<tr class=") == len(table)
    assert "Li &amp; Shan" in page


def test_data_sets_that_are_not_printed_so_are_refused() -> None:
    for name, metric, sentence in [
        ("ck+", "f1", "no such data set; choose bp4d"),
        ("raf-db", "f1", "printed as recall; use metric recall"),
        ("disfa", "auc", "printed as f1; use metric f1"),
    ]:
        with pytest.raises(DuchenneError, match=sentence):
            compare(published=name, metric=metric)  # type: ignore[arg-type]


def test_rows_of_the_same_method_are_named(evaluations: tuple[Path, Path], tmp_path: Path) -> None:
    folder = as_if(tmp_path / "same", evaluations[0], name="bp4d")
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["models"].pop("landmarks")
    summary["models"] = {"runs/tc": {**found, "method": "twin_cycle"}, "runs/fab": {**found, "method": "fab_net"}}
    (folder / "summary.json").write_text(json.dumps(summary))
    table = compare([folder], published="bp4d", out=tmp_path / "out").table
    same = table[table["same_method"].fillna("") != ""].groupby("same_method")["model"].agg(set).to_dict()
    assert same == {
        "same: runs/tc": {"TCAE", "TAE", "TCAE, retrained"},
        "same: runs/fab": {"FAb-Net", "FAb-Net, retrained"},
    }
    assert table[table["model"] == "TAE"]["note"].str.contains("changes are not public").all()
    assert "same method" in (tmp_path / "out" / "comparison.html").read_text()


def test_nothing_is_the_best_where_all_are_alike() -> None:
    table = pd.DataFrame(
        {"evaluation": "one", "model": ["a", "b"], "protocol": "linear", "AU01": [0.0, 0.0], "AU12": [0.5, 0.25],
         "mean": [0.25, 0.125], "low": float("nan"), "high": float("nan")}
    )  # fmt: skip
    page = _page(table, ["AU01", "AU12"], "F1", [], [])
    assert "<b>0.0</b>" not in page
    assert page.count("<b>") == 2  # AU12 and the mean of `a`
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", page)
    assert heads[:2] == ["model", "mean"]  # what a narrow screen shows first
