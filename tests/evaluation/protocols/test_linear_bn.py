"""`linear+bn`: only BatchNorm layers move, tested faces take no part, and every output carries the protocol's name."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import duchenne
from duchenne.data.folds import Fold
from duchenne.errors import UsageError
from duchenne.evaluation.protocols import linear_bn
from duchenne.evaluation.protocols.linear_bn import Classifier, head_of, train_and_score
from duchenne.features.encoder import BATCH
from duchenne.metrics import roc_auc

BUILDER = """
import torch
from torch import nn

class Small(nn.Module):
    size_px = 24
    def __init__(self, norm):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), norm(6), nn.ReLU(), nn.Dropout(0.5))
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(self.layers(x), 4).flatten(1)

def normalised():
    return Small(nn.BatchNorm2d)

def plain():
    return Small(nn.Identity)
"""


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=0.5), nn.Dropout(0.9)

    def forward(self, x):
        return self.drop(self.norm(self.first(x)).relu())


def inputs(rows=90):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 6, generator=generator)
    labels = (x[:, :2] + 0.3 * torch.randn(rows, 2, generator=generator) > 0.4).double().numpy()
    train = np.arange(rows) % 3 > 0
    return x, labels, Fold(train=train, test=~train)


def fit(x, labels, fold):
    torch.manual_seed(0)
    encoder = Encoder()
    network = Classifier(encoder, encoder, 5, labels.shape[1])

    def read(places):
        for start in range(0, len(places), BATCH):
            yield start, x[torch.from_numpy(places[start : start + BATCH])]

    score = train_and_score(
        network, read, labels, fold, weighting="balanced", seed=(0, 0), device=torch.device("cpu"),
        advance=lambda faces: None,
    )  # fmt: skip
    return network, score


def test_only_batchnorm_layers_move(monkeypatch):
    monkeypatch.setattr("duchenne.evaluation.protocols.linear_bn.LEARNING_RATE", 0.02)  # so few faces are few steps
    x, labels, fold = inputs(1500)
    torch.manual_seed(0)
    before = Encoder().state_dict()
    network, score = fit(x, labels, fold)
    after = network.encoder.state_dict()
    assert {key for key, value in after.items() if not torch.equal(value, before[key])} == {
        "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    }  # fmt: skip
    assert score.shape == (500, 2)
    assert (roc_auc(labels[fold.test], score) > 0.85).all()


def test_dropout_stays_off_while_training():
    network = fit(*inputs())[0].train()
    assert network.layers[0].training
    assert network.head[0].training
    assert not network.encoder.drop.training


def test_tested_rows_take_no_part():
    x, labels, fold = inputs()
    expected = fit(x, labels, fold)[1]
    other, moved = labels.copy(), x.clone()
    other[fold.test] = 1 - other[fold.test]
    first = int(np.flatnonzero(fold.test)[0])
    moved[first] += 100
    assert np.array_equal(fit(x, other, fold)[1], expected)
    found = fit(moved, labels, fold)[1]
    assert np.allclose(found[1:], expected[1:], atol=1e-6)
    assert not np.allclose(found[0], expected[0])


def test_statistics_are_those_of_the_training_faces():
    """Few faces are few steps, after which running means would still be on their way from 0."""
    x, labels, fold = inputs()
    network, _ = fit(x, labels, fold)
    rows = x[torch.from_numpy(fold.train)]
    with torch.no_grad():
        first, features = network.encoder.first(rows), network.features(rows)
    norm, head = network.encoder.norm, network.head[0]
    assert torch.allclose(norm.running_mean, first.mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, first.var(0), atol=1e-6)
    assert torch.allclose(head.running_mean, features.mean(0), atol=0.01)
    assert (norm.momentum, head.momentum, network.training) == (0.5, 0.1, False)


def test_items_that_cannot_be_trained_and_a_last_batch_of_one():
    x, labels, fold = inputs(98)
    labels[fold.train, 1] = 0
    labels[0:6, 0] = np.nan
    assert int(fold.train.sum()) % BATCH == 1
    score = fit(x, labels, fold)[1]
    assert np.isnan(score[:, 1]).all()
    assert np.isfinite(score[:, 0]).all()


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "normed.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_evaluation(faces, here):
    def run(protocol, out, *models):
        return duchenne.evaluate(
            protocol, model=models, data=faces, out=here / out, folds=2, sample_faces=0, quiet=True, baselines=False
        )

    table = run("linear+bn", "bn", "normed:normalised", "landmarks")
    assert not table["auc"].equals(run("linear", "frozen", "normed:normalised", "landmarks")["auc"])
    alone = run("linear+bn", "alone", "normed:normalised")
    assert alone["auc"].equals(table["auc"][: len(alone)])
    summary = json.loads((here / "bn" / "summary.json").read_text())
    assert summary["protocol"]["name"] == "linear+bn"
    layers = {name: model["batchnorm_layers"] for name, model in summary["models"].items()}
    assert layers == {"normed:normalised": 1, "landmarks": 0}
    page = (here / "bn" / "report.html").read_text()
    assert "linear+bn protocol" in page
    assert "BatchNorm layers" in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model": "normed:plain"}, "has no BatchNorm layers"),
        ({"model": "normed:normalised+landmarks"}, "are several; evaluate them one by one"),
        ({"model": "landmarks", "l2": 0.1}, "l2: is for `evaluate linear`, .* not for `evaluate linear.bn`"),
    ],
)
def test_what_has_no_meaning_is_refused(fields, sentence, faces, here):
    with pytest.raises(UsageError, match=sentence):
        duchenne.evaluate("linear+bn", data=faces, out=here / "out", folds=2, quiet=True, baselines=False, **fields)


def test_units_of_a_trained_classifier_are_those_that_attention_is_drawn_of():
    x, labels, fold = inputs()
    network, _ = fit(x, labels, fold)
    with torch.no_grad():
        features, expected = network.features(x), network(x)
    assert np.allclose(head_of(network)(features.numpy()), expected.numpy(), atol=1e-5)


@pytest.mark.slow
def test_figures_of_every_encoder_as_the_first_fold_trained_it(faces, here, monkeypatch):
    """Maps and attention under the protocol, of the very network whose scores they are beside, for all models."""
    seen = {}
    original = linear_bn.restored

    def watched(source, job, frozen, state):
        network, read = original(source, job, frozen, state)
        fold = job.plans[0][0]
        with torch.no_grad():
            parts = [network(x) for _, x in read(np.flatnonzero(fold.test))]
        seen.setdefault(source.name, []).append(torch.cat(parts).numpy())
        return network, read

    monkeypatch.setattr(linear_bn, "restored", watched)
    (here / "other.py").write_text(BUILDER.replace("manual_seed(0)", "manual_seed(1)"))
    models = ["normed:normalised", "other:normalised"]
    duchenne.evaluate(
        "linear+bn", model=models, data=faces, out=here / "out", folds=2, quiet=True, baselines=False, maps="pca",
        map_items=["AU12"],
    )  # fmt: skip
    page = (here / "out" / "report.html").read_text()
    assert all(f"<h3>{name}</h3>" in page for name in models)
    assert "by the encoder as it was trained there" in page
    assert set(seen) == set(models)
    for name in models:
        assert len(seen[name]) == 2  # for the map and for the attention
        assert np.array_equal(*seen[name])
    assert not np.allclose(seen[models[0]][0], seen[models[1]][0])
    tables = re.findall(r'download="(\w+)\.csv"', page)
    assert "attention" in tables
    assert any("map" in name for name in tables)


def test_the_network_that_is_shown_is_the_one_that_scored(faces, here, monkeypatch):
    kept = {}
    original = linear_bn.train_and_score

    def watched(network, read, labels, fold, **rest):
        score = original(network, read, labels, fold, **rest)
        kept.setdefault("score", score)
        return score

    shown = {}
    restored = linear_bn.restored

    def look(source, job, frozen, state):
        network, read = restored(source, job, frozen, state)
        with torch.no_grad():
            parts = [network(x) for _, x in read(np.flatnonzero(job.plans[0][0].test))]
        shown["score"] = torch.cat(parts).numpy()
        return network, read

    monkeypatch.setattr(linear_bn, "train_and_score", watched)
    monkeypatch.setattr(linear_bn, "restored", look)
    duchenne.evaluate(
        "linear+bn", model="normed:normalised", data=faces, out=here / "out", folds=2, quiet=True, baselines=False,
        sample_faces=0,
    )  # fmt: skip
    assert np.allclose(shown["score"], kept["score"], atol=1e-5)
