"""Figures of the report: correlations against numpy, attention where the signal is, every part with its numbers."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import duchenne
from duchenne import plots
from duchenne.evaluation.report.correlations import distance, label_correlations, score_correlations
from duchenne.evaluation.report.gradcam import attention_maps, choose_faces
from duchenne.evaluation.scoring import Predictions
from duchenne.heads.linear import LinearHead
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import EncoderRecord, save_encoder


def test_correlations_equal_numpy_over_rows_that_know_both() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 4)) < 0.4).astype(float)
    labels[:, 1] = np.where(rng.random(80) < 0.7, labels[:, 0], labels[:, 1])
    labels[rng.random((80, 4)) < 0.2] = np.nan
    labels[:, 3] = 0
    found = label_correlations(labels)
    for i in range(3):
        for j in range(3):
            both = ~np.isnan(labels[:, i]) & ~np.isnan(labels[:, j])
            assert found[i, j] == pytest.approx(np.corrcoef(labels[both, i], labels[both, j])[0, 1], abs=1e-9)
    assert np.isnan(found[3]).all()
    assert distance(found, found) == 0
    assert distance(found, np.where(np.eye(4) == 1, found, found + 0.25)) == pytest.approx(0.25)


def test_scores_correlate_within_folds() -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(size=(40, 2)).astype(np.float32)
    fold = np.repeat([0, 1], 20)
    apart = score + 10 * fold[:, None]  # folds are on other scales
    runs = {0: Predictions(apart.astype(np.float32), apart > 0, fold)}
    expected = np.mean([np.corrcoef(score[fold == f].T)[0, 1] for f in (0, 1)])
    assert score_correlations(runs)[0, 1] == pytest.approx(expected, abs=1e-5)


def test_attention_lies_where_the_signal_is() -> None:
    torch.manual_seed(0)
    blank = torch.nn.Conv2d(3, 2, 8, stride=8, bias=False)
    with torch.no_grad():
        blank.weight[0], blank.weight[1] = 1 / 192, -1 / 192

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = blank
            self.requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).mean(dim=(2, 3))

    net = Net()
    ones = np.ones(2, dtype=np.float32)
    weight = np.array([[1, 0], [0, 1]], dtype=np.float32)
    head = LinearHead(-99 * ones, 99 * ones, 0 * ones, ones, weight, 0 * ones, np.array([True, True]))
    pictures = np.zeros((2, 32, 32, 3), np.uint8)
    pictures[:, 8:16, 16:24] = 255  # cell (1, 2) of 4 x 4
    found = attention_maps(net, net, head, pictures, [0, 1], torch.device("cpu"))
    assert found is not None
    assert found.shape == (2, 4, 4)
    assert np.argwhere(found[0] > 0).tolist() == [[1, 2]]
    assert found[0, 1, 2] == 1
    assert (found[1] == 0).all()  # that unit goes down there
    small = attention_maps(net, net, head, pictures[:, :16, :16], [0, 1], torch.device("cpu"))
    assert small is None  # a map of 2 x 2


def test_faces_are_hits_misses_and_false_alarms_of_different_people() -> None:
    labels = np.array([[1], [1], [1], [0], [0], [1], [np.nan]], dtype=float)
    said = np.array([[1], [1], [0], [1], [0], [1], [1]], dtype=bool)
    tested = Predictions(said.astype(np.float32), said, np.array([0, 0, 0, 0, 0, 1, 0]))
    chosen = choose_faces(labels, tested, np.arange(7), 0, 0)
    assert sorted(chosen) == [(0, "hit"), (1, "hit"), (2, "missed"), (3, "extra")]
    alone = choose_faces(labels, tested, np.zeros(7, dtype=int), 0, 0)
    assert [verdict for _, verdict in alone] == ["hit"]


def test_names_in_legends_keep_their_kind_and_end() -> None:
    long = "random:/some/where/deep/in/folders/run_of_today"
    assert plots.short("pixels") == "pixels"
    assert plots.short(long).startswith("random:…")
    assert plots.short(long).endswith("run_of_today")
    assert len(plots.short(long)) == len(plots.short(long.replace(":", "_"))) == 28


def save_run(folder: Path, margin: float) -> str:
    folder.mkdir()
    record = EncoderRecord(
        method="temporal_ranking", spec=EncoderSpec(embedding_dim=8), size_px=48, alignment="drawn", weights="none",
        steps=1, duchenne="0",
    )  # fmt: skip
    torch.manual_seed(int(margin * 1000))
    save_encoder(folder, Encoder(record.spec), record)
    (folder / "config.yaml").write_text(f"method: temporal_ranking\nmargin: {margin}\ninterval: 2\n")
    return str(folder)


@pytest.mark.slow
def test_every_part_of_the_report_has_its_numbers(
    faces: Path, browser: Path, screenshot: object, tmp_path: Path
) -> None:
    runs = [save_run(tmp_path / f"run{margin}", margin) for margin in (0.03, 0.3)]
    duchenne.evaluate(
        model=[*runs, "pixels"], data=faces, out=tmp_path / "out", l2=0.1, sweep=["margin", "interval"],
        label_share=[0.3], label_unit="clips", maps="none", quiet=True,
    )  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["sweep"] == dict(zip(runs, (0.03, 0.3), strict=True))
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(f"<h3>{run}</h3>" in page for run in runs)  # every encoder's attention, not the first one's alone
    tables = {}
    for name, data in re.findall(r'download="(\w+)\.csv" href="data:text/csv;base64,([^"]+)"', page):
        tables[name] = list(csv.DictReader(io.StringIO(base64.b64decode(data).decode())))
    assert summary["sweep_by"] == dict.fromkeys(runs, 2)
    assert {float(row["margin"]) for row in tables["sweep"]} == {0.03, 0.3}
    assert {row["interval"] for row in tables["sweep"]} == {"2"}
    assert {row["of"] for row in tables["correlations"]} == {"labels", *runs, "pixels"}
    assert {row["share"] for row in tables["label_efficiency_means"]} == {"0.3", "1.0"}
    assert {row["verdict"] for row in tables["attention"]} <= {"hit", "missed", "extra"}
    assert {row["model"] for row in tables["attention"]} == set(runs)
    assert len(tables["attention"]) == page.count("attention for AU") * 36
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'b'}", "--dump-dom"]
    words = [browser, *options, "--enable-logging=stderr", "--v=0", (tmp_path / "out" / "report.html").as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in shown.stderr


def test_a_sweep_has_a_line_for_each_group() -> None:
    value = {"value": 0.5, "low": None, "high": None}
    runs = [(x, {**value, "value": 0.1 * n}, group) for n, group in enumerate(("a", "b")) for x in (0, 0.01, 1)]
    page = plots.sweeps({"F1": runs}, {"F1": {"pixels": value}}, label="weight")
    for number in range(3):
        assert plots.colour(number).lower() in page
    assert {"a", "b", "pixels"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", page))
    one = plots.sweeps({"F1": [(x, v, "") for x, v, _ in runs[:3]]}, {"F1": {}}, label="weight")
    assert plots.colour(1).lower() not in one


def test_runs_keep_their_colours_and_a_single_value_is_seen() -> None:
    colours = {"pixels": plots.colour(0), "run": plots.colour(1)}
    page = plots.curves({"run": ([3], [2.9])}, label="loss", colours=colours)
    assert plots.colour(1).lower() in page
    assert plots.colour(0).lower() not in page
    empty = plots.curves({"run": ([], [])}, label="loss", colours=colours)
    assert page.count("<use ") > empty.count("<use ")
