"""`evaluate` from prepared data to its four files, on drawn faces."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.report.maps import MapSettings, choose_points, draw_map, map_features
from duchenne.evaluation.scoring import COLUMNS, Predictions, model_means, statistics
from duchenne.features.overlap import overlap
from duchenne.heads.linear import linear_protocol
from duchenne.heads.settings import LinearSettings
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import EncoderRecord, TrainedOn, save_encoder


@pytest.fixture(scope="module")
def done(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of two models, three folds, two seeds, made by the command."""
    out = tmp_path_factory.mktemp("evaluation") / "out"
    words = ["evaluate", "linear", "--model", "pixels", "landmarks", "--data", str(faces), "--out", str(out)]
    assert main([*words, "--seeds", "2", "--folds", "3", "--quiet"]) == 0
    return out


def test_one_row_per_model_item_fold_and_seed(done: Path) -> None:
    table = pd.read_csv(done / "scores.csv")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 3 * 3 * 2
    assert not table.duplicated(["model", "item", "fold", "seed"]).any()
    p = table["positives"] / (table["positives"] + table["negatives"])
    np.testing.assert_allclose(table["f1_always_positive"], 2 * p / (1 + p), atol=2e-6)
    assert (table.groupby(["model", "item", "seed"])[["positives", "negatives"]].sum().sum(axis=1) <= 168).all()
    assert table.loc[table["item"] == "AU25", ["positives", "negatives"]].sum().sum() == 2 * 2 * (168 - 12)
    assert table["auc"].mean() > 0.7  # the labels are flipped in 15 % of the drawings


def test_folds_are_stored_and_shared_by_all_models(done: Path) -> None:
    folds = pd.read_csv(done / "folds.csv")
    assert (
        folds.groupby("seed")["subject"].apply(lambda names: sorted(names) == [f"drawn:S{n}" for n in range(6)]).all()
    )
    table = pd.read_csv(done / "scores.csv")
    counts = table.pivot(index=["item", "fold", "seed"], columns="model", values="positives")
    assert (counts["pixels"] == counts["landmarks"]).all()


def test_scores_equal_scikit_learn_on_the_protocols_scores(faces: Path, tmp_path: Path) -> None:
    from duchenne.data.folds import from_assignment, k_fold
    from duchenne.features.resolve import resolve
    from duchenne.features.source import Context

    table = duchenne.evaluate(model="landmarks", data=faces, out=tmp_path / "out", l2=0.01, quiet=True, sample_faces=0)
    prepared = Prepared([faces])
    labels, rows = prepared.occurrence(), np.arange(168)
    values = resolve("landmarks").features(prepared, rows, Context(device="cpu"))  # type: ignore[arg-type]
    plan = from_assignment(k_fold(prepared.subject_names(), 3))
    result = linear_protocol(values, labels, plan, prepared.subject_ids(), LinearSettings(l2=(0.01,)))
    for row in table.itertuples():
        au = prepared.aus.index(int(str(row.item)[2:]))
        here = plan[int(row.fold)].test & ~np.isnan(labels[:, au])
        y, score = labels[here, au], result.score[here, au]
        assert row.f1 == pytest.approx(f1_score(y, score > 0), abs=1e-6)
        assert row.auc == pytest.approx(roc_auc_score(y, score), abs=1e-6)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    macro = summary["models"]["landmarks"]["mean_of_folds"]
    assert macro["f1"]["value"] == pytest.approx(table.groupby("fold")["f1"].mean().mean(), abs=1e-5)
    assert macro["f1"]["low"] <= macro["f1"]["value"] <= macro["f1"]["high"]
    assert summary["models"]["landmarks"]["pooled"] != macro
    assert "data:image/jpeg" not in (tmp_path / "out" / "report.html").read_text()


def test_summary_tells_the_protocol(done: Path) -> None:
    summary = json.loads((done / "summary.json").read_text())
    protocol = summary["protocol"]
    assert (protocol["weighting"], protocol["threshold"], protocol["folds"], protocol["seeds"]) == (
        "balanced",
        0.5,
        "3",
        2,
    )
    assert protocol["interval"] == {
        "level": 0.95, "resamples": 1000, "of": "subjects", "resampled": "over all folds"
    }  # fmt: skip
    assert protocol["versions"]["duchenne"] == duchenne.__version__
    assert [fold["test_subjects"] for fold in protocol["first_seed_folds"]] == [2, 2, 2]
    assert summary["data"][0]["alignment"] == "drawn"
    assert set(summary["models"]["pixels"]["l2"]) == {"0", "1"}
    (pair,) = summary["differences"]
    first, second = (summary["models"][pair[key]]["mean_of_folds"]["auc"]["value"] for key in ("first", "second"))
    assert pair["mean_of_folds"]["auc"]["value"] == pytest.approx(first - second, abs=2e-6)
    wide = [
        e["high"] - e["low"]
        for e in (summary["models"]["pixels"]["mean_of_folds"]["auc"], pair["mean_of_folds"]["auc"])
    ]
    assert 0 < wide[1] < 2 * wide[0]


def test_the_same_command_writes_the_same_bytes(done: Path, faces: Path, tmp_path: Path) -> None:
    duchenne.evaluate(model=["pixels", "landmarks"], data=faces, out=tmp_path, seeds=2, quiet=True)
    for path in sorted(done.iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_folds_of_another_evaluation(done: Path, faces: Path, tmp_path: Path) -> None:
    folds = str(done / "folds.csv")
    duchenne.evaluate(model=["pixels", "landmarks"], data=faces, out=tmp_path, folds=folds, seeds=2, quiet=True)
    assert (tmp_path / "scores.csv").read_bytes() == (done / "scores.csv").read_bytes()


def test_the_datas_own_split(faces: Path, tmp_path: Path) -> None:
    table = duchenne.evaluate(model="pixels", data=faces, out=tmp_path, folds="split", l2=[0.1], quiet=True)
    assert set(table["fold"]) == {0}
    assert (table["positives"] + table["negatives"]).max() == 56
    folds = pd.read_csv(tmp_path / "folds.csv")
    assert sorted(folds["subject"][folds["fold"].notna()]) == ["drawn:S4", "drawn:S5"]


def test_maps_separate_what_the_features_separate() -> None:
    generator = np.random.default_rng(0)
    kind = np.repeat([0, 1], 60)
    features = (generator.normal(size=(120, 30)) + 6 * kind[:, None]).astype(np.float32)
    for points in (map_features(features, "pca"), map_features(features, "tsne")):
        centres = np.stack([points[kind == k].mean(axis=0) for k in (0, 1)])
        assert points.shape == (120, 2)
        assert (np.linalg.norm(points - centres[:, None], axis=2).argmin(axis=0) == kind).all()
    assert map_features(features[:, :1], "pca").shape == (120, 2)
    assert choose_points(np.zeros(7, dtype=int), MapSettings()).tolist() == list(range(7))
    assert len(choose_points(np.zeros(90_000, dtype=int), MapSettings())) == 1000


def test_maps_of_some_subjects() -> None:
    group = np.repeat(np.arange(14), [40 + number for number in range(14)])
    found = choose_points(group, MapSettings(subjects=10, faces=30))
    assert np.unique(group[found], return_counts=True)[1].tolist() == [3] * 10
    assert set(group[found]) == set(range(4, 14))  # those with most faces
    assert (np.diff(found) > 0).all()
    for number in set(group[found]):
        assert np.ptp(found[group[found] == number]) == (group == number).sum() - 1  # from the first to the last


def test_maps_coloured_by_choice() -> None:
    generator = np.random.default_rng(0)
    points, labels = generator.normal(size=(60, 2)), (generator.random((60, 3)) < 0.5).astype(float)
    items = ["AU01", "AU06", "AU12"]
    emotions = pd.Series(["happiness", "anger", None] * 20)
    subjects = pd.Series([f"S{number % 3}" for number in range(60)])

    def drawn(**settings: object) -> tuple[list[str], int]:
        page = draw_map(points, labels, items, emotions, subjects, MapSettings(**settings))  # type: ignore[arg-type]
        titles = re.findall(r"<text[^>]*>([^<]+)</text>", page)
        return titles, page.count("<use ")

    titles, whole = drawn(items=("AU06",))
    assert "AU06" in titles
    assert not {"AU01", "AU12"} & set(titles)
    within, fewer = drawn(items=("AU06",), emotion="happiness")
    assert "AU06, happiness" in within
    assert whole - fewer == 40  # faces of other emotions are not among the item's
    assert sum(title in items for title in drawn()[0]) == 2
    assert {*items, "emotion", "subject"} <= set(drawn(items=items)[0])  # five maps, in two rows


def test_maps_that_cannot_be_drawn(faces: Path, tmp_path: Path) -> None:
    job: dict[str, object] = {"model": "pixels", "data": faces, "out": tmp_path / "out", "quiet": True}
    for settings, why in (
        ({"map_items": ["AU06"]}, "map_items AU06: is not among the evaluated AU01, AU12, AU25"),
        ({"map_emotion": "fear"}, "map_emotion fear: no face has it; the data have happiness, neutral"),
        ({"map_subjects": 11}, "must be at least 0 and at most 10"),
        ({"map_faces": 1}, "must be at least 2"),
        ({"map_faces": 30, "maps": "none"}, "there are no maps"),
        ({"map_faces": 30, "protocol": "areas"}, "map_faces: is for .* not for `evaluate areas`"),
    ):
        with pytest.raises(UsageError, match=why):
            duchenne.evaluate(**{**job, **settings})  # type: ignore[arg-type]


def test_maps_can_be_left_out(done: Path, faces: Path, tmp_path: Path) -> None:
    assert "Maps of the features" in (done / "report.html").read_text()
    duchenne.evaluate(model="landmarks", data=faces, out=tmp_path, l2=0.1, maps="none", quiet=True)
    assert "Maps of the features" not in (tmp_path / "report.html").read_text()


def test_emotions_take_the_highest_score(faces: Path, tmp_path: Path) -> None:
    table = duchenne.evaluate(model="landmarks", data=faces, out=tmp_path, target="emotion", l2=0.1, quiet=True)
    assert set(table["item"]) == {"neutral", "happiness"}
    model = json.loads((tmp_path / "summary.json").read_text())["models"]["landmarks"]["mean_of_folds"]
    recalls = table.groupby("fold")["recall"].mean()
    assert model["mean_recall"]["value"] == pytest.approx(recalls.mean(), abs=1e-5)
    assert 0.6 < model["accuracy"]["value"] < 1


def test_images_without_subjects_have_intervals_over_images(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = tmp_path / "faces"
    shutil.copytree(faces, nameless)
    frames = pd.read_parquet(nameless / "frames.parquet")
    frames["subject"] = pd.Series([None] * len(frames), dtype="string")
    frames.to_parquet(nameless / "frames.parquet")
    duchenne.evaluate(model="landmarks", data=nameless, out=tmp_path / "out", folds="split", quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["protocol"]["interval"]["of"] == "images"
    assert "test_subjects" not in summary["protocol"]["first_seed_folds"][0]
    frames.loc[0, "subject"] = "S0"
    frames.to_parquet(nameless / "frames.parquet")
    with pytest.raises(InputError, match=r"167 of 168 labelled frames have no subject.*folds split"):
        duchenne.evaluate(model="landmarks", data=nameless, out=tmp_path / "out", quiet=True)


def test_an_au_without_positives_is_shown_as_undefined(
    make_faces: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = make_faces(tmp_path / "faces", subjects=3)
    frames = pd.read_parquet(faces / "frames.parquet")
    frames.loc[frames["subject"] != "S1", "AU25"] = 0
    frames.to_parquet(faces / "frames.parquet")
    table = duchenne.evaluate(model="landmarks", data=faces, out=tmp_path / "out", l2=0.1, quiet=True)
    rare = table[table["item"] == "AU25"]
    assert rare["auc"].isna().all()  # two folds test without positives, the third trains without any
    assert (rare["f1"] == 0).all()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    model = summary["models"]["landmarks"]
    for name, value in model_means(table).loc["landmarks", ["auc", "f1"]].items():
        assert model["mean_of_folds"][name]["value"] == pytest.approx(value, abs=2e-6)
    assert (model["undefined"]["auc"], model["undefined"]["of"]) == (3, 9)
    assert model["items"]["AU25"]["mean_of_folds"]["auc"] == {"value": None, "low": None, "high": None}
    assert "3 of 9 cells have no AUC" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"folds": 7}, "only 6 subjects have labels, fewer than folds"),
        ({"folds": "halves"}, "folds halves: must be"),
        ({"protocol": "linaer"}, "no such protocol"),
        ({"model": ["pixels", "pixels"]}, "each only once"),
        ({"model": "runs/none"}, "neither a run folder"),
        ({"threshold": 1.5}, "threshold"),
        ({"l2": 0.0}, "l2 0: must be above 0"),
        ({"device": "cuda:9"}, "cuda:9"),
    ],
)
def test_wrong_use_is_one_sentence(faces: Path, tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    arguments = {"model": "landmarks", "data": faces, "out": tmp_path / "out", "quiet": True, **change}
    with pytest.raises(UsageError, match=re.escape(sentence)) as caught:
        duchenne.evaluate(**arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_data_without_labels_is_refused(make_faces: Callable[..., Path], tmp_path: Path) -> None:
    bare = make_faces(tmp_path / "bare", subjects=2, aus=())
    with pytest.raises(InputError, match="codes no action units"):
        duchenne.evaluate(model="landmarks", data=bare, out=tmp_path / "out", quiet=True)


def save_run(folder: Path, subjects: tuple[str, ...], *, labels: bool) -> str:
    folder.mkdir()
    spec = EncoderSpec(embedding_dim=8)
    seen = (TrainedOn(dataset="drawn", subjects=subjects, labels=labels, licence="CC0-1.0"),)
    record = EncoderRecord(
        method="temporal_ranking", spec=spec, size_px=32, alignment="drawn", weights="none", steps=1, duchenne="0",
        trained_on=seen,
    )  # fmt: skip
    save_encoder(folder, Encoder(spec), record)
    (folder / "log.jsonl").write_text('{"step": 1, "loss": 0.3}\n{"step": 2, "loss": 0.2}\n')
    return str(folder)


@pytest.mark.slow
def test_what_the_encoder_has_seen(faces: Path, tmp_path: Path) -> None:
    unlabelled = save_run(tmp_path / "unlabelled", ("drawn:S1", "drawn:S5"), labels=False)
    duchenne.evaluate(model=unlabelled, data=faces, out=tmp_path / "out", folds="split", l2=0.1, quiet=True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["models"][unlabelled]["seen"] == {"transductive": True, "test_subjects": 1, "data": ["drawn"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Transductive" in page
    assert "Training loss" in page
    labelled = save_run(tmp_path / "labelled", ("drawn:S1", "drawn:S5"), labels=True)
    with pytest.raises(UsageError, match=r"labels of 1 test subjects \(first: drawn:S5\)"):
        duchenne.evaluate(model=labelled, data=faces, out=tmp_path / "out", folds="split", quiet=True)
    apart = save_run(tmp_path / "apart", ("drawn:S1",), labels=True)
    duchenne.evaluate(model=apart, data=faces, out=tmp_path / "out", folds="split", l2=0.1, quiet=True)
    assert not json.loads((tmp_path / "out" / "summary.json").read_text())["models"][apart]["seen"]["transductive"]


@pytest.mark.slow
def test_baselines_stand_beside(faces: Path, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", ("other:S1",), labels=False)
    arguments: dict[str, object] = {"model": ["pixels", f"{run}+pixels"], "data": faces, "l2": 0.1, "quiet": True}
    table = duchenne.evaluate(out=tmp_path / "out", **arguments)  # type: ignore[arg-type]
    models = ["pixels", f"{run}+pixels", f"random:{run}", "landmarks"]
    assert table["model"].drop_duplicates().tolist() == models
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["protocol"]["baselines"] == {
        "added": sorted(models[2:]),
        "left_out": {"blendshapes": "28 of 168 faces have none"},
    }
    pairs = {(pair["first"], pair["second"]) for pair in summary["differences"]}
    assert len(pairs) == 5
    assert tuple(models[2:]) not in pairs
    page = (tmp_path / "out" / "report.html").read_text()
    assert "28 of 168 faces have none" in page
    assert page.count("Map of the features of") == 2
    alone = duchenne.evaluate(out=tmp_path / "alone", baselines=False, **arguments)  # type: ignore[arg-type]
    assert alone["model"].drop_duplicates().tolist() == models[:2]


def test_unknown_subjects_of_the_same_data_count_as_overlap(faces: Path) -> None:
    class Source:
        name = "x"
        seeded = False
        trained_on = (TrainedOn(dataset="drawn", subjects=(), labels=False, licence=""),)

    prepared = Prepared([faces])
    assert overlap(Source(), prepared, prepared.subject_names())["transductive"]  # type: ignore[arg-type]


def test_labels_of_a_namesake_in_another_data_set_are_refused(faces: Path) -> None:
    class Source:
        name = "x"
        seeded = False
        trained_on = (TrainedOn(dataset="drawn_plus", subjects=("drawn_plus:S1",), labels=True, licence=""),)

    prepared = Prepared([faces])
    with pytest.raises(UsageError, match=r"labels of 1 test subjects \(first: drawn:S1\)"):
        overlap(Source(), prepared, prepared.subject_names())  # type: ignore[arg-type]
    others = prepared.subject_names()[lambda names: names != "drawn:S1"]
    assert overlap(Source(), prepared, others)["test_subjects"] == 0  # type: ignore[arg-type]


def test_statistics_ignore_a_fold_that_no_resample_reached() -> None:
    labels = np.array([[1.0], [0.0], [1.0], [0.0]])
    run = Predictions(labels.astype(np.float32), labels == 1, np.array([0, 0, 1, 1]))
    group = np.array([0, 0, 1, 1])
    found = statistics(labels, {0: run}, group, np.array([[1, 1], [2, 0], [0, 2]]))
    assert found.values["mean_of_folds", "f1"].ravel().tolist() == [1.0, 1.0, 1.0]


def test_the_page_opens_without_errors_and_sorts(
    done: Path, browser: Path, screenshot: Callable[..., Path], tmp_path: Path
) -> None:
    picture = screenshot(done / "report.html", tmp_path / "page.png")
    assert picture.stat().st_size > 30_000
    text = (done / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|\#)""", text)  # nothing is fetched
    click = """<script>
      const table = [...document.querySelectorAll("table.sortable")].at(-1); const column = 3;
      const read = () => [...table.tBodies[0].rows].map(row => Number(row.cells[column].dataset.value));
      table.tHead.rows[0].cells[column].querySelector("button").click(); const down = read();
      table.tHead.rows[0].cells[column].querySelector("button").click(); const up = read();
      document.title = "sorted " + JSON.stringify([down, up]);
    </script>"""
    page = tmp_path / "click.html"
    page.write_text(text.replace("</body>", click + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'b'}", "--dump-dom"]
    words = [browser, *options, "--enable-logging=stderr", "--v=0", page.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in shown.stderr
    found = re.search(r"<title>sorted (.*?)</title>", shown.stdout)
    assert found
    down, up = json.loads(found[1])
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert down != up


def test_the_page_fits_a_phone_in_the_dark(done: Path, browser: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text((done / "report.html").read_text())
    page = tmp_path / "phone.html"
    page.write_text("""<iframe id="phone" src="report.html" style="width:390px;height:844px;border:0"></iframe><script>
      phone.onload = () => {
        const inner = phone.contentWindow, root = inner.document.documentElement;
        const colour = inner.getComputedStyle(inner.document.body).backgroundColor.match(/[0-9]+/g).map(Number);
        const found = [root.scrollWidth - root.clientWidth, Math.max(...colour.slice(0, 3))];
        document.title = "seen " + JSON.stringify(found);
      };
    </script>""")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'b'}", "--dump-dom"]
    options += ["--allow-file-access-from-files", "--blink-settings=preferredColorScheme=0"]  # 0 is dark
    words = [browser, *options, "--enable-logging=stderr", "--v=0", page.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in shown.stderr
    found = re.search(r"<title>seen (.*?)</title>", shown.stdout)
    assert found
    beyond, brightest = json.loads(found[1])
    assert beyond == 0
    assert brightest < 80
