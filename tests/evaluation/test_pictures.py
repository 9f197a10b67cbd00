"""Sets of pictures of unknown people: folds, parts and intervals by picture, and beside the papers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.conftest import SIDE, draw

import duchenne
from duchenne.data.folds import deal, k_fold
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.comparing.compare import compare
from duchenne.facs import AU_SETS, au_column
from duchenne.training.held_out import training_rows

AUS = AU_SETS["emotionet"]


def web_pictures(out: Path, *, split: bool = True, settings: dict[str, object] | None = None) -> Path:
    """120 pictures of nobody known, with the action units of EmotioNet; a third of them is the test split."""
    info = DatasetInfo(
        name="emotionet", aus=AUS, label_kind="occurrence", alignment="eyes", size_px=SIDE, licence="",
        positive_from=1.0, settings={"reader": "emotionet", **(settings or {})},
    )  # fmt: skip

    def produce(writer: PartWriter, number: int) -> None:
        rng = np.random.default_rng(number)
        on = (rng.random(len(AUS)) < 0.5).astype(int)
        part = ("test", "train", "validation")[number % 3] if split else (("a", "b")[number % 2] if settings else None)
        row = {
            "subject": None, "clip": f"images/{number}.jpg", "frame": 0, "time_s": None, "split": part,
            "source": f"images/{number}.jpg", "landmarks": np.resize(on, 136) + rng.normal(0, 1, 136),
            **{au_column(au): int(value) for au, value in zip(AUS, on, strict=True)},
        }  # fmt: skip
        writer.add(row, encode_jpeg(draw(rng, (150, 150, 150), on[:3])))

    assert isinstance(write_prepared(out, info, list(range(120)), produce, workers=1, quiet=True), Prepared)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web_pictures(tmp_path_factory.mktemp("web") / "emotionet")


def evaluated(data: Path, out: Path, folds: str) -> dict:
    duchenne.evaluate(model="landmarks", data=data, out=out, folds=folds, l2=0.1, quiet=True, sample_faces=0,
                      baselines=False, maps="none")  # fmt: skip
    return json.loads((out / "summary.json").read_text())


def test_pictures_are_dealt_where_nobody_is_known() -> None:
    names: list[str | None] = [None] * 10
    clips = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    fold = k_fold(names, 3, pictures=clips)
    assert fold[0] == fold[1]  # frames of one clip stay together
    assert sorted(np.bincount(fold[1:])) == [3, 3, 3]
    assert (fold == k_fold(names, 3, pictures=clips)).all()
    assert (fold != deal(clips, 3, seed=1)).any()
    with pytest.raises(InputError, match="1 of 10 labelled frames have no subject"):
        k_fold(["a"] * 9 + [None], 3, pictures=clips)
    with pytest.raises(UsageError, match="at most as many as the 9 pictures"):
        k_fold(names, 10, pictures=clips)


def test_folds_and_intervals_are_over_pictures(pictures: Path, tmp_path: Path) -> None:
    summary = evaluated(pictures, tmp_path / "out", "4")
    assert summary["protocol"]["interval"]["of"] == "images"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "4 folds of pictures" in page
    assert "without shared subjects" not in page
    table = pd.read_csv(tmp_path / "out" / "folds.csv")
    assert len(table) == table["subject"].nunique() == 120
    assert table["subject"].iloc[0].startswith("emotionet:images/")
    assert (table.groupby("fold")["frames"].sum() == 30).all()
    again = evaluated(pictures, tmp_path / "again", str(tmp_path / "out" / "folds.csv"))
    assert again["models"]["landmarks"]["pooled"] == summary["models"]["landmarks"]["pooled"]
    area = summary["models"]["landmarks"]["pooled"]["auc"]
    assert area["low"] < area["high"]
    assert "images" in (tmp_path / "out" / "report.html").read_text()


def test_the_split_is_comparable_with_temporal_ranking(pictures: Path, tmp_path: Path) -> None:
    evaluated(pictures, tmp_path / "split", "split")
    evaluated(pictures, tmp_path / "dealt", "3")
    (tmp_path / "own").mkdir()
    summary = json.loads((tmp_path / "split" / "summary.json").read_text())
    summary["data"][0]["settings"] |= {"parts_file": "parts.csv"}  # of `prepare --parts`
    (tmp_path / "own" / "summary.json").write_text(json.dumps(summary))
    compared = compare([tmp_path / name for name in ("split", "dealt", "own")], published="emotionet", metric="auc")
    table = compared.table
    whole = table["evaluation"].str.contains("TC 3") & (table["model"] == "temporal ranking k=1,2,4")
    (row,) = table[whole].to_dict("records")
    assert row["comparable_with"] == "split"
    assert "dealt: split" in row["differs"]
    assert "own: split" in row["differs"]
    assert any("own: its folds (split of parts.csv) do not test whom" in line for line in compared.explanations)


def test_parts_of_pictures(tmp_path: Path) -> None:
    data = web_pictures(tmp_path / "data", split=False, settings={"parts_of": "pictures"})
    summary = evaluated(data, tmp_path / "out", "parts")
    assert [fold["test_frames"] for fold in summary["protocol"]["first_seed_folds"]] == [60, 60]
    prepared = Prepared([data])
    kept = training_rows(prepared, "1/parts")
    assert set(prepared.frames["split"].iloc[kept]) == {"a"}


def test_a_fold_of_pictures_can_be_excluded_from_pretraining(pictures: Path) -> None:
    prepared = Prepared([pictures])
    fold = k_fold(prepared.subject_names(), 3, pictures=prepared.clip_ids())
    kept = training_rows(prepared, "0/3")
    test = (prepared.frames["split"] == "test").to_numpy()
    assert set(kept) == set(np.flatnonzero((fold != 0) & ~test))


def test_labels_of_pictures_that_may_be_tested_are_refused_for_what_is_not_known(
    pictures: Path, tmp_path: Path
) -> None:
    """The record of a run names people, not pictures; that its labels were the test images' would be a guess."""
    run = tmp_path / "run"
    duchenne.pretrain(
        "supervised", data=pictures, out=run, recipe="smoke/supervised", max_steps=1, validation_share=0.0,
        schedule="constant", quiet=True,
    )  # fmt: skip
    with pytest.raises(UsageError, match="does not say whether test images are among them; test on other data, or"):
        duchenne.evaluate(model=run, data=pictures, out=tmp_path / "out", folds="split", quiet=True)
