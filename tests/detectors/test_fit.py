"""`fit` from coded faces to a detector, and the detector in `detect`."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.detection.conftest import Film
from tests.detection.made import picture
from tests.evaluation.conftest import SIDE, make

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.detectors.files import load_detector
from duchenne.detectors.opening import load_model
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import ALIGNMENT, crop_matrix, transform_points
from duchenne.faces.batch import FaceBatch
from duchenne.features.resolve import resolve
from duchenne.features.source import Context
from duchenne.plugins import BUILDERS_VARIABLE
from duchenne.training.held_out import training_rows


def levels(
    out: Path, *, subjects: int = 7, called: str | None = "S{}", aus: tuple[int, ...] = (1, 12), **info_of: Any
) -> Path:
    """Faces whose blendshapes are all one level: AU 12 is there above 0.5, AU 1 is a coin."""
    info = DatasetInfo(
        name="levels", aus=aus, label_kind="occurrence" if aus else "none", alignment=ALIGNMENT, size_px=SIDE,
        licence="CC0-1.0", **info_of,
    )  # fmt: skip

    def write(writer: PartWriter, subject: int) -> None:
        rng = np.random.default_rng(subject)
        for frame in range(40):
            level = rng.random()
            labels = {1: int(rng.random() < 0.5), 12: int(level + rng.normal(0, 0.05) > 0.5)}
            row = {
                "subject": called and called.format(subject), "clip": f"c{subject}.mp4#0.0", "frame": frame,
                "time_s": frame / 25, "blendshapes": np.full(52, level), **{f"AU{au:02d}": labels[au] for au in aus},
            }  # fmt: skip
            writer.add(row, encode_jpeg(picture(int(99 * level))[:SIDE, :SIDE]))

    assert write_prepared(out, info, list(range(subjects)), write, workers=1, quiet=True) is not None
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return levels(tmp_path_factory.mktemp("levels") / "data")


@pytest.fixture(scope="module")
def detector(data: Path) -> Path:
    out = data.parent / "detector"
    assert main(["fit", "--model", "blendshapes", "--data", str(data), "--out", str(out), "--quiet"]) == 0
    return out


@pytest.mark.usefixtures("scripted")
def test_from_codes_to_a_table(detector: Path, film: Film, tmp_path: Path) -> None:
    table = duchenne.detect(film("a.mp4", [10, 90, 0, 120, 200, 45]), model=str(detector))
    aus = [name for name in table if name.startswith("AU")]
    assert aus == ["AU01_p", "AU12_p", "AU12_c"]  # AU 1 is a coin: no decisions
    sure = table["AU12_p"].tolist()
    assert sure[0] < 0.05
    assert sure[1] > 0.95
    assert sure[3] < 0.2
    assert table["AU12_c"].tolist()[:2] == [0, 1]
    assert table[aus].iloc[[2, 4, 5]].isna().all(axis=None)  # nobody; too small; no landmarks
    assert table["AU01_p"].dropna().between(0.3, 0.7).all()


def test_the_record_says_what_was_done(detector: Path) -> None:
    record = json.loads((detector / "detector.json").read_text())
    assert list(record["aus"]) == ["AU01", "AU12"]
    au1, au12 = record["aus"].values()
    assert au12["passed"]
    assert au12["why"].startswith("passed: kappa 0.")
    assert au12["held_out"]["kappa"] >= 0.4
    assert au12["held_out"]["kappa_low"] > 0.2
    assert not au1["passed"]
    assert au1["why"].startswith("failed: kappa ")
    assert (au12["frames"], au12["subjects"], au12["showing"]) == (280, 7, 7)
    assert au12["prior"] == pytest.approx(au12["present"] / 280)
    trained = record["trained_on"][0]
    assert (trained["licence"], trained["subjects"][0], trained["frames"]) == ("CC0-1.0", "levels:S0", 280)
    card = (detector / "model_card.md").read_text()
    assert "**AU12**" in card
    assert "CC0-1.0" in card
    assert "lip corner puller" in card


def test_the_same_data_give_the_same_bytes(data: Path, detector: Path, tmp_path: Path) -> None:
    duchenne.fit(model="blendshapes", data=data, out=tmp_path / "again", quiet=True)
    for path in detector.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_few_subjects_are_not_validated(tmp_path: Path) -> None:
    for subjects, why in ((2, "too few subjects to leave any out"), (4, "4 subjects of at least 6 needed show it")):
        source = levels(tmp_path / f"data{subjects}", subjects=subjects)
        table = duchenne.fit(model="blendshapes", data=source, out=tmp_path / f"d{subjects}", quiet=True)
        assert not table["passed"].any()
        assert table["why"].eq(f"not validated: {why}").all()
        assert table["kappa"].isna().all() == (subjects == 2)
        model = load_model(str(tmp_path / f"d{subjects}"))
        assert model.columns == ("AU01_p", "AU12_p")
        assert f"Only {subjects} subjects" in (tmp_path / f"d{subjects}" / "model_card.md").read_text()


def test_unknown_subjects_are_not_validated(tmp_path: Path) -> None:
    source = levels(tmp_path / "data", called=None)
    table = duchenne.fit(model="blendshapes", data=source, out=tmp_path / "d", quiet=True)
    assert table["why"].eq("not validated: it is not known whom all frames show").all()
    assert table["auc"].iloc[1] > 0.9
    assert table["kappa_low"].isna().all()


def test_people_are_called_the_same_in_all_folders(tmp_path: Path) -> None:
    """Prepared with and without `--names`, a person was two, one of whom the detector was judged on."""
    asked: dict[str, Any] = {"subjects": 3, "settings": {"reader": "videos"}}
    named, again = levels(tmp_path / "named", **asked), levels(tmp_path / "again", **asked)
    numbered = levels(tmp_path / "numbered", called="c{}#0", **asked)
    with pytest.raises(InputError, match=r"c0\.mp4 lies in several of the folders, and there is `S0` in one and"):
        duchenne.fit(model="blendshapes", data=[named, numbered], out=tmp_path / "d", quiet=True)
    with pytest.raises(InputError, match="so nobody can be left out; prepare all with the same names"):
        training_rows(Prepared([numbered, named]), "0/3")
    with pytest.raises(InputError, match="so no fold can leave them out"):
        duchenne.evaluate("linear", model="pixels", data=[named, numbered], out=tmp_path / "e", folds="3", quiet=True)
    duchenne.fit(model="blendshapes", data=numbered, out=tmp_path / "d", quiet=True)
    assert load_detector(tmp_path / "d").record.notes[-1].startswith("3 of the people have no name, only that of a rec")
    duchenne.fit(model="blendshapes", data=[named, again], out=tmp_path / "d", quiet=True)
    assert any(note.startswith("3 recordings lie in several") for note in load_detector(tmp_path / "d").record.notes)


def stored_and_new(data: Path, model: str, detector: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of stored faces by the evaluation's own features, and of the same faces as `detect` sees them."""
    prepared, rows = Prepared([data]), np.arange(20, 40)
    loaded = load_detector(detector)
    stored = loaded.heads.probability(resolve(model).features(prepared, rows, Context(device=torch.device("cpu"))))
    points = prepared.landmarks()[rows]
    crops = prepared.images(rows, prepared.infos[0].size_px)
    batch = FaceBatch(points, prepared.blendshapes()[rows], crops)
    return stored, load_model(str(detector)).score(batch)[:, : len(loaded.record.aus)]


@pytest.mark.parametrize("model", ["pixels", "random", "pixels+landmarks"])
def test_new_faces_are_seen_as_the_stored_ones(model: str, tmp_path: Path) -> None:
    source = make(tmp_path / "drawn", subjects=3)
    duchenne.fit(model=model, data=source, out=tmp_path / "d", quiet=True)
    record = load_detector(tmp_path / "d").record
    assert record.crop_px == load_model(str(tmp_path / "d")).crop_px == SIDE
    assert record.notes[-1].startswith("Trained on crops aligned otherwise (drawn)")
    if "landmarks" not in model:  # those of the drawn faces are no faces, so no alignment gives them back
        stored, new = stored_and_new(source, model, tmp_path / "d")
        assert np.abs(stored - new).max() < 0.1  # the crops went through JPEG a second time
        assert np.abs(stored - new).mean() < 0.01


def test_landmarks_are_those_of_the_aligned_crop() -> None:
    from duchenne.features.columns import ColumnSource

    rng = np.random.default_rng(0)
    points = rng.normal(0, 30, (2, 68, 2)).astype(np.float32) + 200
    batch = FaceBatch(points, np.zeros((2, 52), np.float32), None)
    for face, features in zip(points, ColumnSource("landmarks").read(batch), strict=True):
        wanted = transform_points(face, crop_matrix(face, 128)) / 128
        np.testing.assert_allclose(features.reshape(68, 2), wanted, rtol=1e-4, atol=1e-5)


def test_a_face_without_blendshapes_has_no_values(detector: Path) -> None:
    shapes = np.full((2, 52), 0.9, np.float32)
    shapes[0] = np.nan
    values = load_model(str(detector)).score(FaceBatch(np.zeros((2, 68, 2), np.float32), shapes, None))
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[1]).all()


def test_a_detector_can_go_to_another_process(detector: Path) -> None:
    model = load_model(str(detector))
    batch = FaceBatch(np.zeros((1, 68, 2), np.float32), np.full((1, 52), 0.7, np.float32), None)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).score(batch), model.score(batch))
    assert json.loads(json.dumps(model.describe())) == model.describe()


BUILDER = """
import torch

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.factor * torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)

def build():
    return Mean()
"""


def test_code_runs_only_where_the_user_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "drawn", subjects=3)
    (tmp_path / "my_encoder.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    duchenne.fit(model="my_encoder:build", data=source, out="d", quiet=True)
    with pytest.raises(UsageError, match=f"{BUILDERS_VARIABLE}=my_encoder:build"):
        load_model("d")
    monkeypatch.setenv(BUILDERS_VARIABLE, "other:thing,my_encoder:build")
    stored, new = stored_and_new(source, "my_encoder:build", Path("d"))
    np.testing.assert_allclose(stored, new, atol=0.05)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


BAD: list[tuple[dict[str, Any], list[str], int, str]] = [
    ({"aus": ()}, ["blendshapes"], 1, "codes no action units"),
    ({"subjects": 1}, ["blendshapes"], 1, "only one subject has labels"),
    ({"subjects": 1, "called": None}, ["blendshapes"], 1, "only one clip, of an unknown subject,"),
    ({}, ["blendshape"], 2, "--model blendshape: is neither"),
    ({}, ["landmarks"], 1, "have no landmarks"),
]


@pytest.mark.parametrize(("made", "model", "status", "message"), BAD)
def test_bad_input_is_one_sentence(
    made: dict[str, Any],
    model: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = levels(tmp_path / "data", **{"subjects": 3, **made})
    words = ["fit", "--model", *model, "--data", str(source), "--out", str(tmp_path / "d"), "--quiet"]
    assert main(words) == status
    assert message in one_line(capsys)
    assert not (tmp_path / "d").exists()


def test_what_cannot_look_at_new_faces_is_refused(data: Path, tmp_path: Path) -> None:
    duchenne.embed(model="blendshapes", data=data, out=tmp_path / "f.parquet", quiet=True)
    with pytest.raises(UsageError, match="cannot look at new ones; name the encoder that made them"):
        duchenne.fit(model=f"features:{tmp_path / 'f.parquet'}", data=data, out=tmp_path / "d", quiet=True)


def test_crops_of_several_sizes_are_refused_where_pixels_count(tmp_path: Path, data: Path) -> None:
    other = levels(tmp_path / "other", subjects=2)
    text = (other / "dataset.yaml").read_text()
    (other / "dataset.yaml").write_text(text.replace(f"size_px: {SIDE}", "size_px: 64"))
    frames = pd.read_parquet(other / "frames.parquet")
    frames.to_parquet(other / "frames.parquet")  # which forgets what it was written for
    with pytest.raises(UsageError, match="the crops differ in size"):
        duchenne.fit(model="pixels", data=[data, other], out=tmp_path / "d", quiet=True)
    table = duchenne.fit(model="blendshapes", data=[data, other], out=tmp_path / "d", quiet=True)
    assert table["frames"].tolist() == [360, 360]


def test_an_action_unit_of_one_subject_is_left_out(tmp_path: Path, data: Path) -> None:
    def rare(writer: PartWriter, subject: int) -> None:
        row = {
            "subject": f"R{subject}",
            "clip": "c",
            "frame": 0,
            "blendshapes": np.zeros(52),
            "AU45": int(subject == 0),
        }
        writer.add(row, encode_jpeg(picture(0)[:SIDE, :SIDE]))

    info = DatasetInfo(name="rare", aus=(45,), label_kind="occurrence", alignment=ALIGNMENT, size_px=SIDE, licence="-")
    write_prepared(tmp_path / "rare", info, [0, 1, 2], rare, workers=1, quiet=True)
    table = duchenne.fit(model="blendshapes", data=[data, tmp_path / "rare"], out=tmp_path / "d", quiet=True)
    assert table.set_index("au")["why"]["AU45"] == "left out: is present in only one subject, two are needed"
    assert load_model(str(tmp_path / "d")).columns == ("AU01_p", "AU12_p", "AU12_c")
    assert pd.isna(table.set_index("au")["threshold"]["AU45"])
    with pytest.raises(InputError, match="AU45 is present in only one subject"):
        duchenne.fit(model="blendshapes", data=tmp_path / "rare", out=tmp_path / "e", quiet=True)


CODES = """source,au,onset_s,offset_s,face
female-and-male.mp4,45,0.60,0.84,0
female-and-male.mp4,45,1.48,1.68,0
female-and-male.mp4,45,2.20,2.36,0
female-and-male.mp4,45,2.88,3.12,0
female-and-male.mp4,45,3.88,4.08,0
female-and-male.mp4,45,3.32,3.84,1
"""


@pytest.mark.slow
def test_recordings_to_a_table(shared: Path, tmp_path: Path, film: Callable[..., Path]) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    name = "female-and-male.mp4"
    (recordings / name).symlink_to(shared / "data" / "intel-sample-videos" / f"head-pose-face-detection-{name}")
    (tmp_path / "codes.csv").write_text(CODES)
    duchenne.prepare("videos", root=recordings, out=tmp_path / "coded", labels=tmp_path / "codes.csv", quiet=True)
    model = "blendshapes+landmarks+pixels"
    duchenne.fit(model=model, data=tmp_path / "coded", out=tmp_path / "d", quiet=True)
    table = duchenne.detect(recordings / name, model=str(tmp_path / "d"))

    from duchenne.data.prepared import Prepared

    prepared = Prepared([tmp_path / "coded"])
    features = resolve(model).features(prepared, np.arange(len(prepared)), Context(device=torch.device("cpu")))
    stored = prepared.frames.assign(stored=load_detector(tmp_path / "d").heads.probability(features)[:, 0])
    stored["face"] = stored["clip"].str.extract(r"#(\d+)")[0].astype(int)
    both = stored.merge(table[["frame", "face", "AU45_p"]], on=["frame", "face"])
    assert len(both) == len(stored) == 112
    np.testing.assert_allclose(both["AU45_p"], both["stored"], atol=2e-5)  # the same crops to the last pixel


@pytest.mark.usefixtures("scripted")
def test_smoothed_decisions_are_still_decisions(detector: Path, film: Film) -> None:
    video = film("a.mp4", [10, 90, 10, 90, 90, 90])
    table = duchenne.detect(video, model=str(detector), smooth_s=0.1)  # three frames at 25 a second
    assert table["AU12_c"].tolist() == [1, 0, 1, 1, 1, 1]  # of two frames a tie, which counts as present
    plain = duchenne.detect(video, model=str(detector))
    assert table["AU12_p"].iloc[1] == pytest.approx(plain["AU12_p"].iloc[:3].mean(), abs=1e-4)
