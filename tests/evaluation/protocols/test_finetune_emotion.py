"""Expressions by fine-tuning: what can be learned is learned in few steps, and nothing where labels mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from duchenne.data.prepared import DatasetInfo, Prepared
from duchenne.data.shards import PartWriter, encode_jpeg
from duchenne.data.writing import write_prepared
from duchenne.evaluation.evaluate import evaluate
from duchenne.evaluation.tasks import make_task
from duchenne.heads.settings import TuneSettings
from duchenne.heads.tuning import Tuned, score_faces, settle, tune_encoder
from duchenne.modules.encoder import Encoder, EncoderSpec

NAMES = ("neutral", "happiness", "surprise", "sadness")
MOUTHS = ([(10, 23), (16, 23), (22, 23)], [(9, 19), (16, 26), (23, 19)], None, [(9, 27), (16, 20), (23, 27)])
SIDE, SUBJECTS, FRAMES = 32, 6, 24
CPU = torch.device("cpu")
BUILDER = """
import torch
from torch import nn

class Small(nn.Module):
    size_px = 32

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(16 * 14 * 14, 32), nn.BatchNorm1d(32), nn.ReLU())

    def forward(self, x):
        return self.last(self.first(x - 0.5))

def build():
    torch.manual_seed(0)
    return Small()
"""


def draw(rng: np.random.Generator, skin: tuple[int, ...], emotion: int) -> np.ndarray:
    face = np.full((SIDE, SIDE, 3), skin, np.uint8)
    for x in (10, 22):
        cv2.circle(face, (x, 11), 2, (30, 30, 60), -1)
    mouth = MOUTHS[emotion]
    if mouth is None:
        cv2.circle(face, (16, 23), 5, (60, 10, 10), -1)
    else:
        cv2.polylines(face, [np.array(mouth)], False, (60, 10, 10), 2)
    return np.clip(face + rng.normal(0, 6, face.shape), 0, 255).astype(np.uint8)


def make(out: Path, *, shuffled: bool) -> Path:
    """Everybody shows every expression equally often; `shuffled` draws the labels anew, without a look at the faces."""

    def write(writer: PartWriter, subject: int) -> None:
        rng = np.random.default_rng(subject)
        skin = tuple(int(value) for value in rng.integers(120, 230, 3))
        shown = rng.permutation(np.arange(FRAMES) % len(NAMES))
        said = rng.permutation(shown) if shuffled else shown
        for frame in range(FRAMES):
            row = {
                "subject": f"S{subject}", "clip": f"S{subject}", "frame": frame, "time_s": frame / 25,
                "split": "train", "score": 0.9, "source": f"{subject}.mp4", "emotion": NAMES[said[frame]],
            }  # fmt: skip
            writer.add(row, encode_jpeg(draw(rng, skin, shown[frame])))

    info = DatasetInfo(
        name="mouths", aus=(), label_kind="none", alignment="drawn", size_px=SIDE, licence="CC0-1.0"
    )  # fmt: skip
    assert isinstance(write_prepared(out, info, list(range(SUBJECTS)), write, workers=1, quiet=True), Prepared)
    return out


@pytest.fixture(scope="module")
def mouths(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """Folders of drawn faces, by whether their labels are shuffled."""
    folder = tmp_path_factory.mktemp("mouths")
    made = {shuffled: make(folder / str(shuffled), shuffled=shuffled) for shuffled in (False, True)}
    return made.__getitem__


@pytest.fixture
def accuracy(
    mouths: Callable[[bool], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], float]:
    """Share of right calls about people left out, by whether the labels are shuffled."""
    (tmp_path / "mouth_nets.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)

    def of(shuffled: bool) -> float:
        model = "mouth_nets:build"
        table = evaluate(
            "finetune", model=model, data=mouths(shuffled), out=tmp_path / "out", target="emotion", folds=2, epochs=4,
            batch_size=16, lr=1e-3, head_lr=1e-2, sample_faces=0, baselines=False, quiet=True,
        )  # fmt: skip
        assert set(table["item"]) == set(NAMES)
        found = json.loads((tmp_path / "out" / "summary.json").read_text())["models"][model]
        return float(found["mean_of_folds"]["accuracy"]["value"])

    return of


def test_expressions_that_can_be_told_apart_are_learned(accuracy: Callable[[bool], float]) -> None:
    assert accuracy(False) > 0.85


def test_shuffled_labels_teach_nothing(accuracy: Callable[[bool], float]) -> None:
    assert 0.1 < accuracy(True) < 0.45  # chance: 0.25


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["head", "bn", "all"])
def test_few_steps_do_not_leave_scores_shifted(tune: str, mouths: Callable[[bool], Path]) -> None:
    """The mean score of every item over the training faces is near 0, as the loss made it: not one item for all."""
    data = Prepared([mouths(False)])
    task = make_task(data, "emotion")
    torch.manual_seed(0)
    network, _ = tune_encoder(
        Encoder(EncoderSpec()), lambda module: module, data, task.rows, task.labels,
        TuneSettings(tune=tune, epochs=1, batch_size=16), size_px=SIDE, seed=(0, 0), device=CPU,
    )  # fmt: skip
    score = score_faces(network, data, task.rows, SIDE, CPU)
    assert np.abs(score.mean(0)).max() < 0.25 * score.std()
    assert len(set(score.argmax(1))) == len(NAMES)


def test_statistics_are_those_of_the_faces(mouths: Callable[[bool], Path]) -> None:
    data = Prepared([mouths(False)])
    torch.manual_seed(0)
    network = Tuned(nn.Conv2d(3, 4, 5), lambda x: encoder(x).mean((2, 3)), 4, 2, "all")
    encoder = network.encoder
    rows = np.random.default_rng(0).permutation(81)  # the last face is alone in its batch and left out
    settle(network, data, rows, 16, SIDE, CPU)
    features = score_faces(network.features, data, rows[:80], SIDE, CPU).astype(np.float64)
    within = features.reshape(5, 16, 4).var(axis=1, ddof=1).mean(axis=0)
    norm = network.standardise
    assert np.allclose(norm.running_mean, features.mean(0), atol=1e-5)
    assert np.allclose(norm.running_var, within, rtol=1e-3)
    assert (norm.momentum, network.training) == (0.1, False)
