"""`fit --tune all`: the encoder is trained along, and nobody's labels touch the figures about them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.evaluation.conftest import make
from torch import nn

import duchenne
from duchenne.data.folds import check_apart
from duchenne.data.prepared import Prepared
from duchenne.detectors import fit
from duchenne.detectors.calibrating.calibrated import held_out, subject_folds
from duchenne.detectors.coded import coded_rows
from duchenne.detectors.trained import open_detector
from duchenne.detectors.tuned import train_tuned, tuned_trainings
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.encoder import EncoderSource
from duchenne.heads.settings import TuneSettings


class Small(nn.Module):
    size_px = 48

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 7, stride=5), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9 * 9, 12)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x - 0.5)


def build() -> Small:
    torch.manual_seed(0)
    return Small()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make(tmp_path_factory.mktemp("drawn") / "faces", subjects=7)


def source():
    return EncoderSource("small", lambda seed: build(), 48, {"kind": "builder"})


def tuned(drawn, labels=None, subjects=7, **settings):
    data = Prepared([drawn])
    groups = data.subject_ids()
    rows = np.flatnonzero(groups < subjects)
    labels = data.occurrence() if labels is None else labels
    calls = []
    found = train_tuned(
        source(), data, rows, labels[rows], groups[rows], settings=TuneSettings(**{"epochs": 1, **settings}),
        device=torch.device("cpu"), advance=lambda: calls.append(1),
    )  # fmt: skip
    assert len(calls) == tuned_trainings(groups[rows])
    return found, rows, groups[rows]


def test_nobodys_labels_touch_the_figures_about_them(drawn):
    data = Prepared([drawn])
    first, _, groups = tuned(drawn)
    flipped = data.occurrence()
    flipped[groups == 3] = 1 - flipped[groups == 3]
    second, _, _ = tuned(drawn, flipped)
    own = groups == 3
    assert np.array_equal(first.result.probability[own], second.result.probability[own], equal_nan=True)
    assert np.array_equal(first.result.present[own], second.result.present[own])
    assert not np.array_equal(first.result.probability[~own], second.result.probability[~own], equal_nan=True)


def test_the_head_says_what_the_network_says(drawn, monkeypatch):
    from duchenne.detectors import tuned as module

    kept = {}
    original = module.tune_encoder

    def tune(*rest, **more):
        kept["network"], facts = original(*rest, **more)
        return kept["network"], facts

    monkeypatch.setattr(module, "tune_encoder", tune)
    found, rows, _ = tuned(drawn, subjects=3)
    data = Prepared([drawn])
    x = torch.from_numpy(data.images(rows[:20], 48)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        expected = kept["network"](x).numpy()
        features = found.encoder(x).numpy()
    assert np.allclose(found.heads.head(features), expected, atol=1e-4)


@pytest.mark.parametrize(("subjects", "trainings", "judged"), [(2, 3, False), (3, 7, True), (7, 7, True)])
def test_how_many_subjects(drawn, subjects, trainings, judged):
    found, _, groups = tuned(drawn, subjects=subjects)
    assert tuned_trainings(groups) == trainings
    assert (found.result is not None) == judged


@pytest.mark.slow
def test_a_detector_end_to_end(drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("DUCHENNE_BUILDERS", "tests.detectors.test_fit_tuned:build")
    out, plain = tmp_path / "detector", tmp_path / "plain"
    job = {"model": "tests.detectors.test_fit_tuned:build", "data": drawn, "quiet": True}
    table = duchenne.fit(out=out, tune="all", **job)
    duchenne.fit(out=plain, **job)
    assert set(table["au"]) == {"AU01", "AU12", "AU25"}
    assert table["auc"].notna().all()
    record = json.loads((out / "detector.json").read_text())
    assert record["parts"][0]["tuned"] is True
    assert record["validation"]["folds"] == 3
    before, after = (load_file(folder / "detector.safetensors") for folder in (plain, out))
    name = "parts.0.layers.0.weight"
    assert not torch.equal(before[name], after[name])
    assert "trained along" in (out / "model_card.md").read_text()
    crops = Prepared([drawn]).images(np.arange(4), 48)
    batch = FaceBatch(np.zeros((4, 68, 2), np.float32), np.zeros((4, 52), np.float32), crops)
    scores = open_detector(out).score(batch)
    assert np.isfinite(scores[:, :3]).all()


def test_only_encoders_can_be_trained(drawn, tmp_path):
    with pytest.raises(UsageError, match="is no single encoder"):
        duchenne.fit(model="landmarks", data=drawn, out=tmp_path / "out", tune="all", quiet=True)


def test_namesakes_of_other_data_sets_are_left_out_together(tmp_path):
    """Whether two of one name are the same person cannot be told, so figures about one do not rest on the other."""
    parts = [make(tmp_path / name, subjects=3, name=name) for name in ("one", "two")]
    coded = coded_rows(Prepared(parts))
    assert coded.subjects.nunique() == 6
    assert len(np.unique(coded.groups)) == 3
    check_apart(subject_folds(coded.groups), coded.subjects)
    duchenne.fit(model="landmarks", data=parts, out=tmp_path / "detector", quiet=True)
    assert json.loads((tmp_path / "detector" / "detector.json").read_text())["validation"]["subjects"] == 3


def test_figures_are_never_of_people_on_both_sides(drawn, tmp_path, monkeypatch):
    def apart(features, labels, groups, **how):
        return held_out(features, labels, groups, **how)._replace(fold=np.arange(len(groups)) % 2)

    monkeypatch.setattr(fit, "held_out", apart)
    with pytest.raises(InputError, match="7 names lie on both sides"):
        duchenne.fit(model="landmarks", data=drawn, out=tmp_path / "detector", quiet=True)
    assert not (tmp_path / "detector").exists()
