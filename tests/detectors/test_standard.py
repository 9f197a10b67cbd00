"""The detector that comes with the package: geometry against plain loops, scale and evidence on real faces."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.detection.conftest import Film

import duchenne
from duchenne.cli.main import main
from duchenne.detection.detect import Detector
from duchenne.detectors.opening import load_model
from duchenne.detectors.packaged.learned import inputs_of, learned, outputs_of
from duchenne.detectors.packaged.measures import (
    COMBINATIONS,
    MEASURES,
    RIGID,
    Distance,
    Height,
    LogOdds,
    aligned,
    measured,
)
from duchenne.detectors.standard import PRESENT_FROM, StandardModel, scale
from duchenne.errors import UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.faces.decode import read_pictures
from duchenne.faces.landmarks import BLENDSHAPES
from duchenne.metrics import roc_auc

Floats = NDArray[np.float64]


def faces(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Meshes near the stored mean face, and blendshapes."""
    draw = np.random.default_rng(seed)
    mesh = draw.normal(0, 0.4, (count, 478, 3)) * [1, 1, 0.3]
    mesh[:, list(RIGID)] = scale().template + draw.normal(0, 0.02, (count, len(RIGID), 3))
    return mesh, draw.random((count, 52)) ** 4


def turned(mesh: Floats, angles: tuple[float, float, float], size: float, shift: float) -> Floats:
    x, y, z = np.deg2rad(angles)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(size * mesh @ (about_x @ about_y @ about_z) + shift)


def test_alignment_is_the_least_squares_similarity() -> None:
    """Umeyama's closed form by a singular value decomposition gives the same points."""
    mesh, _ = faces(5)
    mesh = turned(mesh, (10, -35, 20), 130, 40)
    template = scale().template
    for one, found in zip(mesh, aligned(mesh, template), strict=True):
        points = one[list(RIGID)]
        middle = points.mean(axis=0)
        left, sizes, right = np.linalg.svd((points - middle).T @ template)
        factor = sizes.sum() / ((points - middle) ** 2).sum()
        np.testing.assert_allclose(found, (one - middle) @ (left @ right) * factor, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(-40, 40), st.floats(-60, 60), st.floats(-60, 60)), st.floats(1e-2, 1e3), st.floats(-1e3, 1e3)
)
def test_head_pose_size_and_place_change_nothing(angles: tuple[float, float, float], size: float, shift: float) -> None:
    mesh, shapes = faces(3)
    model = StandardModel(all_aus=True, sides=True)

    def score(points: Floats) -> Floats:
        batch = FaceBatch(np.zeros((3, 68, 2), np.float32), shapes.astype(np.float32), None, points)  # type: ignore[arg-type]
        return model.score(batch).astype(np.float64)

    np.testing.assert_allclose(score(turned(mesh, angles, size, shift)), score(mesh), rtol=1e-3, atol=1e-3)


def test_measures_against_plain_loops() -> None:
    mesh, shapes = faces(2)
    found = measured(mesh, shapes, np)
    for face in range(2):
        for side in (0, 1):
            for place, (_, measure) in enumerate(MEASURES.items()):
                if isinstance(measure, LogOdds):
                    sided = measure.name + ("Right", "Left")[side]
                    p = shapes[face, BLENDSHAPES.index(sided if sided in BLENDSHAPES else measure.name)]
                    wanted = np.log(p + 1e-7) - np.log(1.001 - p)
                elif isinstance(measure, Height):
                    over = np.mean([mesh[face, point, 1] for point in measure.over[side]])
                    wanted = over - np.mean([mesh[face, point, 1] for point in measure.points[side]])
                else:
                    assert isinstance(measure, Distance)
                    pairs = [(measure.start, measure.end)] + ([measure.per] if measure.per else [])
                    lengths = []
                    for start, end in pairs:
                        apart = [mesh[face, p] - mesh[face, q] for p, q in zip(start[side], end[side], strict=True)]
                        lengths.append(np.mean([np.sqrt(x * x + y * y + z * z) for x, y, z in apart]))
                    wanted = lengths[0] / lengths[1] if len(lengths) == 2 else lengths[0]
                assert found[face, side, place] == pytest.approx(wanted, rel=1e-9)


def test_networks_against_plain_loops() -> None:
    mesh, shapes = faces(2)
    arrays, made = learned()
    found = outputs_of(inputs_of(mesh, shapes, arrays, np), arrays, np)
    for face in range(2):
        points, inputs = mesh[face].ravel(), []
        for component in range(arrays["basis"].shape[1]):
            inputs.append(sum(float(w) * x for w, x in zip(arrays["basis"][:, component], points, strict=True)))
        for value, factor in zip(shapes[face], arrays["factor"], strict=True):
            inputs.append(np.log((value + 1e-7) / (1 - value + 1e-3)) * float(factor))
        inputs = [min(4.0, max(-4.0, x - float(o))) for x, o in zip(inputs, arrays["offset"], strict=True)]
        for place in range(len(made["aus"])):
            total = 0.0
            for one in range(len(arrays["weight_0"])):
                rows = inputs
                for layer in (0, 1, 2):
                    weight, bias = arrays[f"weight_{layer}"][one], arrays[f"bias_{layer}"][one, 0]
                    sums = [float(bias[j]) + float(weight[:, j] @ np.array(rows)) for j in range(weight.shape[1])]
                    rows = [max(0.0, x) for x in sums] if layer < 2 else sums
                total += rows[place]
            assert found[face, place] == pytest.approx(total / len(arrays["weight_0"]), rel=1e-6)


def test_scores_are_combination_and_network_in_equal_parts() -> None:
    """From the stored figures, by hand: z-scores of both over neutral faces, their sum over its unit."""
    mesh, shapes = faces(4)
    own, (arrays, made) = scale(), learned()
    points = aligned(mesh, own.template)
    combinations = ((measured(points, shapes, np) - own.mean) @ own.weights).mean(axis=1)
    outputs = outputs_of(inputs_of(points, shapes, arrays, np), arrays, np)
    batch = FaceBatch(np.zeros((4, 68, 2), np.float32), shapes.astype(np.float32), None, mesh.astype(np.float32))
    scores = StandardModel(all_aus=True, decisions=False).score(batch)
    assert made["aus"] == [6, 25]
    for place, au in enumerate(COMBINATIONS):
        wanted = combinations[:, place]
        if au in made["aus"]:
            known, row = own.record["learned"][f"AU{au:02d}"], made["aus"].index(au)
            wanted = ((outputs[:, row] - known["mean"]) / known["sd"] + wanted) / known["unit"]
        np.testing.assert_allclose(scores[:, place], wanted, rtol=1e-3, atol=1e-3)


def test_columns_nulls_and_decisions() -> None:
    mesh, shapes = faces(40)
    mesh[3] = np.nan
    batch = FaceBatch(np.zeros((40, 68, 2), np.float32), shapes.astype(np.float32), None, mesh.astype(np.float32))
    usual, everything = StandardModel(), StandardModel(all_aus=True, decisions=False)
    table = pd.DataFrame(usual.score(batch), columns=list(usual.columns))
    whole = pd.DataFrame(everything.score(batch), columns=list(everything.columns))
    assert list(whole) == [f"AU{au:02d}_s" for au in COMBINATIONS]
    judged = {f"AU{au:02d}_s" for au in scale().judged}
    assert judged == {"AU06_s", "AU12_s", "AU25_s"}
    for name in whole:
        assert whole[name].isna().to_numpy().nonzero()[0].tolist() == [3]
        assert table[name].isna().all() == (name not in judged)
    for name in judged:
        decision = table[f"{name[:4]}_c"]
        assert decision.isna().tolist() == table[name].isna().tolist()
        assert ((decision == 1) == (table[name] >= PRESENT_FROM)).all()
    with pytest.raises(ValueError, match="has none"):
        usual.score(FaceBatch(batch.landmarks, batch.blendshapes, None))


@pytest.mark.parametrize("name", ["blendshapes", "somewhere"])
def test_all_aus_is_its_own(name: str) -> None:
    with pytest.raises(UsageError, match="all_aus"):
        load_model(name, all_aus=True)
    with pytest.raises(UsageError, match="processor"):
        load_model("duchenne", device="cuda")


def test_presence_counts_standard_deviations() -> None:
    """Without decisions (--baseline) a raw score of `duchenne` counts from 2, of another model from 0.3."""
    rows = {"source": "a", "frame": range(4), "time_s": [0.0, 1.0, 2.0, 3.0], "face": 0, "AU12_s": [0.0, 1.9, 2.1, 0.0]}
    assert duchenne.summarize(pd.DataFrame(rows | {"au_scale": "z"})).episodes.onset_s.tolist() == [2.0]
    assert duchenne.summarize(pd.DataFrame(rows)).episodes.onset_s.tolist() == [1.0]
    assert duchenne.summarize(pd.DataFrame(rows | {"au_scale": "z"}), threshold=1.0).episodes.onset_s.tolist() == [1.0]


@pytest.mark.slow
@pytest.mark.shared
def test_gate_on_the_development_faces(shared: Path) -> None:
    """People of whom the scale knows the neutral faces only; figures as the model card states them."""
    folder = shared / "data" / "london"
    codes = pd.read_csv(folder / "codes.csv")
    with Detector(StandardModel(all_aus=True, decisions=False)) as detector:
        rows = [
            next(iter(detector.frames(read_pictures(folder / path)))).faces[0].scores for path in codes["path"]
        ]  # fmt: skip
    scores = pd.DataFrame(np.stack(rows), columns=list(detector.model.columns))
    neutral = (codes["expression"] == "neutral").to_numpy()
    np.testing.assert_allclose(scores[neutral].mean(), 0, atol=0.05)
    spread = pd.Series(1.0, index=scores.columns)
    spread["AU06_s"] = 1 / 1.4  # its unit is 1.4 standard deviations of these faces: the model card says why
    np.testing.assert_allclose(scores[neutral].std(ddof=1), spread, atol=0.05)

    def area(au: int, among: NDArray[np.bool_]) -> float:
        present = codes["au_present"].fillna("").astype(str).str.split().map(lambda own: str(au) in own).to_numpy()
        absent = codes["au_absent"].fillna("").astype(str).str.split().map(lambda own: str(au) in own).to_numpy()
        chosen = (present | absent) & (among | present)
        return float(roc_auc(present[chosen, None].astype(float), scores[f"AU{au:02d}_s"].to_numpy()[chosen, None])[0])

    everyone = np.ones(len(codes), dtype=bool)
    assert area(12, everyone) >= 0.95
    assert area(25, everyone) >= 0.99
    assert area(6, ~neutral) >= 0.77
    assert area(6, neutral) >= 0.81
    card = (Path(duchenne.__file__).parent / "weights" / "model_card.md").read_text("utf-8")
    for au, among in ((6, everyone), (12, everyone), (25, everyone)):
        stated = re.search(rf"\| {au} \| present, against all others \| (\d?\.\d+)", card)
        assert stated
        assert area(au, among) == pytest.approx(float(stated[1]), abs=0.003)


@pytest.mark.slow
@pytest.mark.shared
def test_a_smile_in_a_recording_and_a_turning_head_without_one(shared: Path, tmp_path: Path) -> None:
    videos = shared / "data" / "intel-sample-videos"
    smile = duchenne.detect(videos / "head-pose-face-detection-male.mp4")
    assert (smile.loc[5:55, ["AU06_c", "AU12_c", "AU25_c"]] == 1).all(axis=None)
    assert smile["AU10_s"].isna().all()
    assert set(smile["au_scale"]) == {"z"}
    turning = duchenne.detect(videos / "head-pose-face-detection-female.mp4", all_aus=True)
    assert turning.yaw.max() - turning.yaw.min() > 60
    assert (turning.AU12_c == 0).all()
    assert turning.AU06_c.mean() < 0.3  # false alarms: the model card has them
    assert turning["AU10_s"].notna().all()
    path = tmp_path / "rest.csv"
    words = ["--baseline", "0-1", "-o", str(path), "--quiet", "--sides"]
    assert main(["detect", str(videos / "head-pose-face-detection-male.mp4"), *words]) == 0
    relative = pd.read_csv(path)
    assert "AU12_c" not in relative
    assert abs(relative.AU12_s[:12].median()) < 0.2
    np.testing.assert_allclose(relative[["AU12_left", "AU12_right"]].mean(axis=1), relative.AU12_s, atol=0.3)


@pytest.mark.shared
@pytest.mark.parametrize("form", ["openface", "fex"])
def test_other_formats_are_filled(shared: Path, form: str) -> None:
    table = duchenne.detect(shared / "data" / "scikit-image" / "astronaut.png", format=form)  # type: ignore[arg-type]
    if form == "openface":
        assert table.AU12_c.tolist() == [1]
        assert table.AU12_s.item() > PRESENT_FROM
        assert table.AU12_r.isna().all()
        assert table.AU01_c.isna().all()
    else:
        assert table.AU12.item() > PRESENT_FROM
        assert table.AU04.isna().all()
        assert table.au_measure.tolist() == ["score"]


@pytest.mark.slow
def test_the_exported_graph_computes_the_same(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "d.onnx"
    assert main(["export", "--model", "duchenne", "--out", str(out)]) == 0
    session = onnxruntime.InferenceSession(str(out))
    mesh, shapes = (one.astype(np.float32) for one in faces(7))
    (found,) = session.run(["scores"], {"mesh": 100 * mesh + 30, "blendshapes": shapes})
    model = StandardModel(all_aus=True, decisions=False)
    wanted = model.score(FaceBatch(np.zeros((7, 68, 2), np.float32), shapes, None, mesh))
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    about = json.loads(session.get_modelmeta().custom_metadata_map["duchenne_standard"])
    assert tuple(about["columns"]) == model.columns
    assert main(["detect", str(tmp_path), "--model", str(out)]) == 1


@pytest.mark.usefixtures("scripted")
def test_faces_without_a_mesh_are_null(film: Film) -> None:
    table = duchenne.detect(film("a.mov", [20, 0, 90]))
    assert table.face.notna().tolist() == [True, False, True]
    assert table.filter(regex="AU.*_[sc]$").isna().all(axis=None)
