"""Intensity, isotonic calibration, groups and reliability curves of `fit`: by value, and from codes to a table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score
from tests.detection.conftest import Film
from tests.detection.made import picture
from tests.evaluation.conftest import SIDE, make

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.detectors.calibrating.calibrated import held_out, subject_folds
from duchenne.detectors.calibrating.calibration import Curve, fit_curve, log_odds
from duchenne.detectors.calibrating.intensity import Intensities, Scale, fit_scale, intensity_figures
from duchenne.detectors.coded import coded_rows, levels_of_presence, trained_on
from duchenne.detectors.files import load_detector
from duchenne.detectors.opening import load_model
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT
from duchenne.faces.batch import FaceBatch
from duchenne.metrics import icc


def graded(out: Path, *, subjects: int = 8, positive_from: float = 2.0) -> Path:
    """Faces whose blendshapes are one level and whose AU 12 is coded 0 to 5 by it, with a coder's noise."""
    info = DatasetInfo(
        name="graded", aus=(12,), label_kind="intensity", alignment=ALIGNMENT, size_px=SIDE, licence="CC0-1.0",
        positive_from=positive_from,
    )  # fmt: skip

    def write(writer: PartWriter, subject: int) -> None:
        rng = np.random.default_rng(subject)
        for frame in range(60):
            level = rng.random()
            coded = float(np.clip(np.round(7 * level - 1.5 + rng.normal(0, 0.4)), 0, 5))
            writer.add(
                {
                    "subject": f"0{subject}", "clip": "c", "frame": frame, "time_s": frame / 25,
                    "blendshapes": np.full(52, level), "AU12": int(coded >= positive_from), "AU12_i": coded,
                    "emotion": "happiness" if subject % 2 else "neutral",
                },
                encode_jpeg(picture(int(99 * level))[:SIDE, :SIDE]),
            )  # fmt: skip

    assert write_prepared(out, info, list(range(subjects)), write, workers=1, quiet=True) is not None
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graded(tmp_path_factory.mktemp("graded") / "data")


@pytest.fixture(scope="module")
def detector(data: Path) -> Path:
    out = data.parent / "detector"
    words = ["fit", "--model", "blendshapes", "--data", str(data), "--out", str(out), "--by", "emotion", "--quiet"]
    assert main(words) == 0
    return out


SCALE = Scale(levels=(1.0, 2.0, 4.0), cuts=(-2.0, 0.0, 3.0), present_from=2.0)


def chance_at(total: float) -> float:
    return float(1 / (1 + np.exp(-total)))


@pytest.mark.parametrize(
    ("above", "wanted"), [(-9, 0), (-4, 0), (-3, 0.5), (-2, 1), (-1, 1.5), (0, 2), (1.5, 3), (3, 4), (9, 4)]
)
def test_intensity_by_hand(above: float, wanted: float) -> None:
    threshold = 0.3
    chance = chance_at(above + np.log(0.3 / 0.7))
    assert float(SCALE.intensity(chance, threshold)) == pytest.approx(wanted, abs=1e-3)


def test_intensity_and_decision_agree_to_the_last_bit() -> None:
    chance = np.concatenate([np.linspace(0, 1, 1001), np.nextafter(0.3, [0, 1]), [0.3, np.nan]])
    for kind in (np.float64, np.float32):
        read = SCALE.intensity(chance.astype(kind), 0.3)
        said = np.round(read, 5)  # as tables are written
        np.testing.assert_array_equal(said >= 2, chance.astype(kind) >= 0.3)
        assert np.isnan(read[-1])
        assert (np.diff(read[:1001]) >= 0).all()


def graded_scores(rows: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    total = rng.normal(-1, 2, rows)
    latent = total + rng.logistic(0, 1, rows)
    coded = np.digitize(latent, [-1.5, 0.0, 1.0, 3.0]).astype(float)  # 0 to 4; present from 2
    return chance_of(total), coded, np.arange(rows) % 10


def chance_of(total: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-total))


def test_the_cuts_are_those_of_the_world_they_come_from() -> None:
    chance, coded, groups = graded_scores()
    scale = fit_scale(chance, coded, groups, present_from=2.0)
    assert scale is not None
    assert scale.levels == (1.0, 2.0, 3.0, 4.0)
    assert scale.cuts[1] == 0.0
    np.testing.assert_allclose(scale.cuts, [-1.5, 0, 1, 3], atol=0.25)

    def off(cut: float, level: float) -> float:
        return float(chance_of(log_odds(chance) - cut).mean() - (coded >= level).mean())

    naive = [brentq(off, -20, 20, args=(level,)) for level in scale.levels]
    np.testing.assert_allclose(scale.cuts, np.array(naive) - naive[1], atol=0.05)


def test_levels_without_people_are_not_learned() -> None:
    chance, coded, groups = graded_scores(600)
    coded[(coded == 4) & (groups != 3)] = 3  # one subject alone reaches 4
    coded[coded == 2] = 3  # nobody is coded 2: from 2 on and from 3 on are the same frames
    scale = fit_scale(chance, coded, groups, present_from=2.0)
    assert scale is not None
    assert scale.levels == (1.0, 2.0)
    assert fit_scale(chance, np.where(coded >= 2, 2.0, 0.0), groups, present_from=2.0) is None
    assert fit_scale(chance, np.full(600, np.nan), groups, present_from=2.0) is None


def test_figures_of_intensity() -> None:
    rng = np.random.default_rng(0)
    coded = rng.integers(0, 6, 200).astype(float)
    read = np.clip(coded + rng.normal(0, 1, 200), 0, 5)
    coded[:5], read[5:9] = np.nan, np.nan
    figures = intensity_figures(coded, read, np.arange(200) % 8, bootstrap=True)
    pair = np.stack([coded[9:], read[9:]], axis=1)
    assert figures["icc"] == pytest.approx(icc(pair).consistency)
    assert figures["mae"] == pytest.approx(np.abs(pair[:, 0] - pair[:, 1]).mean())
    assert figures["mae_of_zero"] == pytest.approx(pair[:, 0].mean())
    assert figures["icc_low"] < figures["icc"] < figures["icc_high"]
    once = intensity_figures(coded, read, np.zeros(200, int), bootstrap=True)  # one subject: every draw is the whole
    assert once["icc_low"] == pytest.approx(figures["icc"])


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
def test_own_intensities_never_touch_held_out_figures(calibration: str) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(7), 30)
    coded = rng.integers(0, 5, (210, 1)).astype(np.float32)
    features = (coded + rng.normal(0, 1, (210, 3))).astype(np.float32)
    labels = (coded >= 2).astype(np.float32)

    def read(values: np.ndarray) -> np.ndarray:
        intensity = Intensities(values, np.full(values.shape[1], 2.0))
        return held_out(features, labels, groups, intensity=intensity, calibration=calibration).intensity

    before, fold = read(coded), subject_folds(groups)[0]
    other = coded.copy()
    other[fold.test] = np.where(other[fold.test] >= 2, 4, 0)  # another intensity of the same occurrence
    after = read(other)
    np.testing.assert_array_equal(before[fold.test], after[fold.test])
    assert (before[fold.train] != after[fold.train]).any()
    assert np.isfinite(before).all()


def test_the_curve_is_isotonic_regression_with_its_steps_drawn_together() -> None:
    rng = np.random.default_rng(1)
    evidence = rng.normal(0, 2, 300)
    truth = (rng.random(300) < chance_of(np.where(evidence > 0, 3.0, -3.0))).astype(float)  # no slope straightens this
    prior = np.full(300, 0.4)
    curve = fit_curve(evidence, prior, truth, subjects=9)
    total = log_odds(prior) + evidence
    plain = IsotonicRegression().fit(total, truth)
    for middle, held in zip(curve.log_odds, curve.probability, strict=True):
        assert held == pytest.approx((9 * plain.predict([middle])[0] + truth.mean()) / 10)
    assert 0 < curve(-100.0) < 0.2 < 0.7 < curve(100.0) < 1
    backwards = fit_curve(-evidence, prior, truth, subjects=9)
    assert np.ptp(backwards.probability) < 0.25  # evidence is never turned round


def test_from_graded_codes_to_a_table(detector: Path, data: Path, film: Film, scripted: None) -> None:
    video = film("a.mp4", [5, 20, 35, 45, 60, 75, 95, 0])
    table = duchenne.detect(video, model=str(detector))
    assert [name for name in table if name.startswith("AU")] == ["AU12_p", "AU12_c", "AU12_r"]
    read = table["AU12_r"].to_numpy()
    assert read[0] < 0.5
    assert read[6] > 4
    assert (np.diff(read[:7]) >= 0).all()
    assert table["AU12_r"].isna().tolist() == [False] * 7 + [True]
    np.testing.assert_array_equal(table["AU12_c"][:7] == 1, read[:7] >= 2)
    openface = duchenne.detect(video, model=str(detector), format="openface")
    np.testing.assert_allclose(openface["AU12_r"][:7], read[:7], atol=1e-5)


def test_record_and_card_tell_of_intensity_and_groups(detector: Path) -> None:
    record = json.loads((detector / "detector.json").read_text())
    au12 = record["aus"]["AU12"]
    assert au12["intensity"]["levels"] == [1, 2, 3, 4, 5]
    held = au12["held_out"]
    assert held["icc"] > 0.85
    assert held["icc_low"] <= held["icc"] <= held["icc_high"]
    assert held["mae"] < 0.6 < held["mae_of_zero"]
    scores = {item["group"]: item for item in record["groups"]["scores"]}
    assert record["groups"]["by"] == "emotion"
    assert {name: (item["subjects"], item["frames"]) for name, item in scores.items()} == {
        "happiness": (4, 240), "neutral": (4, 240),
    }  # fmt: skip
    assert scores["neutral"]["kappa_low"] is None  # four people
    card = (detector / "model_card.md").read_text()
    assert "ICC(3,1)" in card
    assert "## By emotion" in card
    assert "](reliability.png)" in card
    assert (detector / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_groups_from_a_file(data: Path, tmp_path: Path) -> None:
    people = pd.DataFrame({"subject": [f"0{n}" for n in range(7)], "group": ["young"] * 6 + ["old"]})
    people.to_csv(tmp_path / "people.csv", index=False)
    out = tmp_path / "d"
    duchenne.fit(model="blendshapes", data=data, out=out, by=str(tmp_path / "people.csv"), quiet=True)
    groups = load_detector(out).record.groups
    assert groups is not None
    assert groups["unknown"] == 60
    old, young = groups["scores"]
    assert (old["group"], old["subjects"], young["subjects"]) == ("old", 1, 6)
    assert young["auc_low"] <= young["auc"] <= young["auc_high"]
    assert young["kappa_low"] is not None
    one = pd.DataFrame({"subject": ["graded:00"] * 2, "group": ["a", "b"]})
    one.to_csv(tmp_path / "clash.csv", index=False)
    for by, error, message in (
        ("clash.csv", InputError, "two groups"),
        ("none.csv", InputError, "cannot be read"),
        ("colour", UsageError, "by colour: is no column"),
        ("clip", UsageError, "makes 1 groups"),
    ):
        name = str(tmp_path / by) if by.endswith("csv") else by
        with pytest.raises(error, match=message):
            duchenne.fit(model="blendshapes", data=data, out=tmp_path / "e", by=name, quiet=True)


def test_figures_of_a_group_are_those_of_its_rows(data: Path, tmp_path: Path) -> None:
    from duchenne.data.prepared import Prepared
    from duchenne.detectors.calibrating.by_group import group_rows, group_scores
    from duchenne.detectors.calibrating.calibrated import HeldOut
    from duchenne.detectors.coded import coded_rows

    prepared = Prepared([data])
    coded, rng = coded_rows(prepared), np.random.default_rng(0)
    chance = np.clip(0.5 * coded.labels + rng.random(coded.labels.shape) * 0.6, 0, 1).astype(np.float64)
    result = HeldOut(chance, chance >= 0.5, coded.groups % 2, np.full_like(chance, np.nan))
    scores = group_scores(coded, result, group_rows("emotion", prepared, coded))["scores"]
    own = coded.groups % 2 == 1  # subjects 01, 03, ... are `happiness`, and one fold
    assert scores[0]["auc"] == pytest.approx(roc_auc_score(coded.labels[own, 0], chance[own, 0]), abs=1e-4)


@pytest.mark.slow
def test_isotonic_end_to_end(data: Path, tmp_path: Path) -> None:
    table = duchenne.fit(model="blendshapes", data=data, out=tmp_path / "d", calibration="isotonic", quiet=True)
    assert table["passed"].all()
    loaded = load_detector(tmp_path / "d")
    assert loaded.record.calibration == "isotonic"
    curve = loaded.record.aus["AU12"].own_curve()
    assert isinstance(curve, Curve)
    model = load_model(str(tmp_path / "d"))
    shapes = np.repeat(np.linspace(0, 1, 9, dtype=np.float32)[:, None], 52, axis=1)
    batch = FaceBatch(np.zeros((9, 68, 2), np.float32), shapes, None)
    said = model.score(batch)
    total = log_odds(loaded.heads.prior) + loaded.heads.head(shapes)
    np.testing.assert_allclose(said[:, 0], curve(total[:, 0]), atol=1e-6)
    assert "isotonic" in (tmp_path / "d" / "model_card.md").read_text()
    duchenne.export(model=tmp_path / "d", out=tmp_path / "d.onnx")
    np.testing.assert_allclose(load_model(str(tmp_path / "d.onnx")).score(batch), said, atol=2e-3)


def test_data_that_disagree_on_presence_give_no_intensity(data: Path, tmp_path: Path) -> None:
    other = graded(tmp_path / "other", subjects=2, positive_from=1.0)
    text = (other / "dataset.yaml").read_text()
    (other / "dataset.yaml").write_text(text.replace("name: graded", "name: other"))
    duchenne.fit(model="blendshapes", data=[data, other], out=tmp_path / "d", quiet=True)
    record = load_detector(tmp_path / "d").record
    assert record.aus["AU12"].intensity is None
    assert "count as present from 1 and 2" in record.notes[0]


def test_presence_coded_by_itself_has_no_level(tmp_path: Path) -> None:
    """As BP4D beside DISFA: all presences coded and the intensities of some alone, so the others' level is DISFA's."""
    parts = [make(tmp_path / name, subjects=2, aus=(1, 12, 25), name=name) for name in ("partly", "graded")]
    for part, aus, level in zip(parts, ((12,), (1, 12, 25)), (1.0, 2.0), strict=True):
        frames = pd.read_parquet(part / "frames.parquet")
        strength = np.arange(len(frames), dtype=np.float32) % 6
        for au in aus:
            frames[f"AU{au:02d}_i"] = strength
            frames[f"AU{au:02d}"] = (strength >= level).astype("int8")
        frames.to_parquet(part / "frames.parquet")
        text = (part / "dataset.yaml").read_text().replace("label_kind: occurrence", "label_kind: intensity")
        (part / "dataset.yaml").write_text(text.replace("positive_from: 2.0", f"positive_from: {level}"))
    both, alone = Prepared(parts), Prepared(parts[:1])
    assert levels_of_presence(both) == {"AU01": (2.0,), "AU12": (1.0, 2.0), "AU25": (2.0,)}
    coded = coded_rows(both)
    assert coded.intensity is not None
    np.testing.assert_array_equal(coded.intensity.present_from, [2, np.nan, 2])
    assert np.isnan(coded.intensity.values).all(axis=0).tolist() == [False, True, False]
    assert [item["positive_from"] for item in trained_on(both, coded)] == [None, 2]
    own = coded_rows(alone)
    assert own.intensity is not None
    np.testing.assert_array_equal(own.intensity.present_from, [np.nan, 1, np.nan])


@pytest.mark.parametrize("wrong", [{"levels": [1, 2]}, {"cuts": [0, 0]}, {"present_from": 4.0}, {"levels": [2, 6]}])
def test_a_damaged_scale_is_refused(detector: Path, tmp_path: Path, wrong: dict[str, object]) -> None:
    record = json.loads((detector / "detector.json").read_text())
    good = {"levels": [2, 3], "cuts": [0.0, 1.0], "present_from": 2.0}
    record["aus"]["AU12"]["intensity"] = good | wrong | ({"cuts": [0.0]} if wrong == {"levels": [1, 2]} else {})
    (tmp_path / "detector.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="`intensity`"):
        load_detector(tmp_path)
