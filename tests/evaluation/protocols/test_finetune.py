"""The fine-tuning protocol: what is trained, what is kept when it stops, and that nobody lies on both sides."""

import json
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import duchenne
from duchenne.cli.main import main
from duchenne.data.folds import Fold, check_apart, from_assignment, k_fold, people_of
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.evaluate import evaluate
from duchenne.evaluation.job import Job
from duchenne.evaluation.protocols import finetune
from duchenne.evaluation.protocols.registry import FinetuneArguments
from duchenne.evaluation.state import State
from duchenne.evaluation.tasks import make_plans, make_task
from duchenne.features.resolve import resolve
from duchenne.heads import tuning
from duchenne.heads.settings import TuneSettings
from duchenne.heads.tuning import layer_depths, score_faces, tune_encoder
from duchenne.modules.encoder import Encoder, EncoderSpec

BUILDER = '''
import torch
from torch import nn

class Small(nn.Module):
    size_px = 48

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 5, stride=3), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(8 * 15 * 15, 16))

    def forward(self, x):
        return self.last(self.first(x - 0.5))

def build():
    torch.manual_seed(0)
    return Small()
'''  # fmt: skip
FAST = {"epochs": 2, "batch_size": 16, "lr": 1e-3, "sample_faces": 0, "baselines": False, "quiet": True}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The name of a small network of one's own, in the working folder."""
    (tmp_path / "own_nets.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    return "own_nets:build"


def network():
    namespace = {}
    exec(BUILDER, namespace)
    return namespace["build"]()


def tuned(faces, **settings):
    data = Prepared([faces])
    labels = data.occurrence()
    rows = np.arange(len(data))
    start = network()
    found, facts = tune_encoder(
        start, lambda module: module, data, rows[:112], labels[:112], TuneSettings(**{"epochs": 2, **settings}),
        held=(rows[112:], labels[112:]), size_px=48, seed=(0, 0), device=torch.device("cpu"),
    )  # fmt: skip
    return start, found, facts


def changed(start, found):
    before, after = start.state_dict(), found.encoder.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize(
    ("tune", "moved"),
    [
        ("head", set()),
        ("bn", {"first.1.weight", "first.1.bias", "first.1.running_mean", "first.1.running_var",
                "first.1.num_batches_tracked"}),
        ("all", set(dict(network().state_dict()))),
    ],
)  # fmt: skip
def test_what_is_trained(faces, tune, moved):
    start, found, facts = tuned(faces, tune=tune)
    assert changed(start, found) == moved
    assert facts == {"epochs": 2, "auc": []}
    assert not found.training


def test_equal_seeds_train_equally(faces):
    first, second = (tuned(faces, epochs=1)[1].state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_it_learns_what_is_there(faces):
    from duchenne.metrics import roc_auc

    _, found, _ = tuned(faces, epochs=12, lr=2e-3, head_lr=1e-2)
    data = Prepared([faces])
    rows = np.arange(112, len(data))
    areas = roc_auc(data.occurrence()[rows], score_faces(found, data, rows, 48, torch.device("cpu")))
    assert np.nanmean(areas) > 0.7


def test_patience_keeps_the_best_epoch(faces, monkeypatch):
    areas = iter([0.5, 0.8, 0.7, 0.6, 0.9])
    states = []

    def score(network, *rest):
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return np.zeros((1, 3), dtype=np.float32)

    monkeypatch.setattr(tuning, "score_faces", score)
    monkeypatch.setattr(tuning, "roc_auc", lambda *rest: np.array([next(areas)]))
    _, found, facts = tuned(faces, epochs=9, patience=2)
    assert facts == {"epochs": 4, "auc": [0.5, 0.8, 0.7, 0.6]}
    assert all(torch.equal(value, states[1][name]) for name, value in found.state_dict().items())


def test_layers_by_their_depth():
    depths = layer_depths(Encoder(EncoderSpec(backbone="resnet18", embedding_dim=8)))
    assert depths["embedding.weight"] == 0
    assert depths["backbone.layer4.0.conv1.weight"] == 1
    assert depths["backbone.layer1.0.conv1.weight"] == 4
    assert depths["backbone.conv1.weight"] == depths["backbone.bn1.weight"] == 5
    groups = tuning._groups(
        tuning.Tuned(network(), lambda x: x, 16, 3, "all"), TuneSettings(lr=0.1, head_lr=0.5, layer_decay=0.5)
    )
    assert [group["lr"] for group in groups] == [0.05, 0.1, 0.5]
    assert sum(p.numel() for group in groups for p in group["params"]) == sum(
        p.numel() for p in (*network().parameters(), *nn.Linear(16, 3).parameters())
    )


def test_nothing_to_train_is_said(faces):
    with pytest.raises(UsageError, match="has no BatchNorm layers to train"):
        tune_encoder(
            nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 4)), lambda module: module, Prepared([faces]),
            np.arange(8), np.zeros((8, 3)), TuneSettings(tune="bn"), size_px=48, seed=(0,), device=torch.device("cpu"),
        )  # fmt: skip


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch_size": 1}, {"lr": 0.0}, {"layer_decay": 1.5}, {"patience": -1}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(UsageError, match=r"must be at least|must be above|above 0"):
        TuneSettings(**settings)


def test_the_protocol_end_to_end(faces, small, tmp_path):
    table = evaluate("finetune", model=small, data=faces, out=tmp_path / "out", folds=2, seeds=2, **FAST)
    assert len(table) == 2 * 2 * 3
    assert table["auc"].notna().all()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["protocol"]["name"] == "finetune"
    facts = summary["models"][small]
    assert facts["training"]["lr"] == 1e-3
    assert facts["features"] == 16
    assert [len(folds) for folds in facts["folds"].values()] == [2, 2]
    assert not (tmp_path / "out" / "unfinished").exists()
    assert "trained together with the encoder" in (tmp_path / "out" / "report.html").read_text()


def test_finished_folds_are_kept(faces, small, tmp_path, monkeypatch):
    job = {"model": small, "data": faces, "folds": 3, **FAST}
    whole = evaluate("finetune", out=tmp_path / "whole", **job)
    original, calls = finetune.tune_encoder, []

    def broken(*arguments, seed, **more):
        calls.append(seed[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, seed=seed, **more)

    monkeypatch.setattr(finetune, "tune_encoder", broken)
    with pytest.raises(KeyboardInterrupt):
        evaluate("finetune", out=tmp_path / "part", **job)
    again = evaluate("finetune", out=tmp_path / "part", **job)
    assert calls == [0, 1, 2, 2]
    pd.testing.assert_frame_equal(again, whole)
    assert (tmp_path / "part" / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


@pytest.mark.slow
def test_folds_in_processes_of_their_own_give_the_same(faces, small, tmp_path):
    job = {"model": small, "data": faces, "folds": 2, **FAST, "epochs": 1}
    one = evaluate("finetune", out=tmp_path / "one", **job)
    two = evaluate("finetune", out=tmp_path / "two", workers=2, **job)
    pd.testing.assert_frame_equal(one, two)


def test_a_lost_worker_is_one_sentence(faces, small, tmp_path, monkeypatch):
    def lost(**settings):
        def run(calls):
            raise BrokenProcessPool
            yield

        return run

    monkeypatch.setattr(joblib, "Parallel", lost)
    with pytest.raises(InputError, match="with fewer workers, it goes on where it stopped"):
        evaluate("finetune", model=small, data=faces, out=tmp_path / "out", folds=2, workers=2, **FAST)


@pytest.mark.slow
def test_methods_are_trained_in_every_fold(faces, tmp_path, monkeypatch):
    tested: list[tuple[set[int], set[int]]] = []
    original = finetune.train_on

    def train_on(method, config, prepared, rows, out, **rest):
        tested.append((method, set(prepared.subject_names().iloc[rows])))
        return original(method, config, prepared, rows, out, **rest)

    monkeypatch.setattr(finetune, "train_on", train_on)
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "method: supervised\nsize_px: 32\nbatch_size: 8\nmax_steps: 2\nschedule: constant\nvalidation_share: 0\n"
    )
    names = [f"supervised:{recipe}", "cl_ile:smoke/cl_ile"]
    job = {"data": faces, "folds": 2, "sample_faces": 0, "quiet": True}
    table = evaluate("finetune", method=names, out=tmp_path / "out", **job)
    assert list(table["model"].unique()) == names
    assert table["auc"].notna().all()
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    for number, (_, seen) in enumerate(tested[:2]):
        assert not seen & set(folds["subject"][folds["fold"] == number])
    assert [method for method, _ in tested] == ["supervised"] * 2 + ["cl_ile"] * 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    facts, protocol = summary["models"][names[1]], summary["protocol"]
    assert [protocol[key] for key in ("feature", "weighting", "l2", "held_out")] == [None, "selective", None, None]
    assert {model["settings"]["weighting"] for model in summary["models"].values()} == {"selective"}
    assert facts["kind"] == "method"
    assert facts["settings"]["hidden"] == 32
    assert not (tmp_path / "out" / "unfinished").exists()


def test_weightings_of_methods(tmp_path):
    recipe = tmp_path / "own.yaml"
    recipe.write_text("method: supervised\nweighting: balanced\n")
    own, usual = (finetune.resolve_method(name) for name in (f"supervised:{recipe}", "supervised:smoke/supervised"))
    assert [finetune.weighting_of(some) for some in ([own], [usual], [own, usual], [])] == [
        "balanced", "selective", None, None,
    ]  # fmt: skip


def test_repeats_train_alike(faces, small, tmp_path, monkeypatch):
    began = []

    class Begun(Exception):
        pass

    def train_on(method, config, *rest, **more):
        began.append(config.seed)
        raise Begun

    def tune(*rest, seed, **more):
        began.append(seed)
        raise Begun

    monkeypatch.setattr(finetune, "train_on", train_on)
    monkeypatch.setattr(finetune, "tune_encoder", tune)
    data = Prepared([faces])
    task = make_task(data, "au")
    plans = make_plans(data, task, "2", 2, 2, trained=0)
    job = Job(
        data=data, task=task, plans=plans, device=torch.device("cpu"), feature="embedding", maps="none",
        state=State(tmp_path / "out", {}), quiet=True, repeats=2,
    )  # fmt: skip
    for source in (finetune.resolve_method("supervised:smoke/supervised"), resolve(small)):
        for seed in plans:
            with pytest.raises(Begun):
                finetune.Finetune(FinetuneArguments()).run(source, replace(job, plans={seed: plans[seed]}))
    assert began == [0, 0, 1, 1, (0, 0), (0, 0), (1, 0), (1, 0)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"protocol": "linear", "model": "pixels", "tune": "bn"}, "tune: is for `evaluate finetune`, not"),
        ({"protocol": "linear", "model": (), "method": "supervised"}, "method: is for `evaluate finetune`, not"),
        ({"method": "supervised:smoke/supervised", "tune": "bn"}, "is trained as its recipe says"),
        ({"method": "supervised:smoke/supervised", "tune": "all"}, "tune: for encoders .model. alone"),
        ({"method": "supervised:smoke/supervised", "weighting": "none"}, "is trained as its recipe says"),
        ({"model": "random", "maps": "tsne"}, "maps: is for .* not for `evaluate finetune`"),
        ({"model": "landmarks"}, "is no single encoder"),
        ({"model": "random", "l2": 0.1}, "l2: is for .* not for `evaluate finetune`"),
        ({"method": "supervisd"}, "did you mean `supervised`"),
        ({"method": "triplet"}, "learns without action unit labels"),
        ({"method": "supervised:smoke/supervised", "target": "emotion"}, "learns action units"),
        ({"model": "random", "workers": 0}, "must be at least 1"),
        ({}, "name at least one model"),
    ],
)
def test_what_is_refused(fields, message, faces, tmp_path):
    fields = {"protocol": "finetune", "folds": 2, "quiet": True, "baselines": False, **fields}
    with pytest.raises(UsageError, match=message):
        evaluate(data=faces, out=tmp_path / "out", **fields)


def test_on_the_command_line(faces, small, tmp_path, capsys):
    words = ["evaluate", "finetune", "--model", small, "--data", str(faces), "--out", str(tmp_path / "out")]
    words += ["--epochs", "1", "--batch-size", "16", "--tune", "bn", "--layer-decay", "0.5", "--patience", "1"]
    words += ["--folds", "2", "--sample-faces", "0", "--no-baselines", "--quiet"]
    assert main(words) == 0
    assert "AUC" in capsys.readouterr().out


def test_namesakes_of_other_data_sets_stay_together():
    subjects = ["bp4d:F001", "bp4d:F002", "bp4d_plus:F001", "bp4d_plus:F009", "bp4d:M001", "disfa:SN001"] * 3
    for seed in range(5):
        fold = k_fold(subjects, 3, seed=seed)
        assert fold[0] == fold[2]
        check_apart(from_assignment(fold), pd.Series(subjects, dtype="string"))


def test_nobody_lies_on_both_sides():
    subjects = pd.Series(["disfa:SN001", "disfa:SN002", "disfa_plus:SN001", None], dtype="string")
    here = np.array([True, False, False, True])
    with pytest.raises(InputError, match=r"1 names lie on both sides of fold 1 \(first: SN001\)"):
        check_apart([Fold(train=here & False, test=here), Fold(train=here, test=~here)], subjects)
    check_apart([Fold(train=np.array([True, False, True, True]), test=np.array([False, True, False, True]))], subjects)


def test_namesakes_are_held_out_together_for_early_stopping(make_faces, small, tmp_path, monkeypatch):
    parts = [make_faces(tmp_path / name, subjects=6, name=name) for name in ("one", "two")]
    names = people_of(Prepared(parts).subject_names()).to_numpy()
    original, held_out = finetune.tune_encoder, []

    def tune(encoder, forward, data, rows, labels, settings, *, held, **rest):
        held_out.append(set(names[held[0]]))
        assert held_out[-1]
        assert not held_out[-1] & set(names[rows])
        return original(encoder, forward, data, rows, labels, settings, held=held, **rest)

    monkeypatch.setattr(finetune, "tune_encoder", tune)
    evaluate("finetune", model=small, data=parts, out=tmp_path / "out", folds=2, patience=1, **{**FAST, "epochs": 1})
    assert len(held_out) == 2


def test_folds_of_ones_own_that_part_namesakes_are_refused(make_faces, tmp_path):
    parts = [make_faces(tmp_path / name, subjects=2, name=name) for name in ("one", "two")]
    folds = tmp_path / "folds.csv"
    folds.write_text("subject,fold\none:S0,0\none:S1,1\ntwo:S0,1\ntwo:S1,0\n")
    with pytest.raises(InputError, match=r"2 names lie on both sides of fold 0 \(first: S0\)"):
        duchenne.evaluate(model="pixels", data=parts, out=tmp_path / "out", folds=str(folds), quiet=True)


def test_the_check_runs_before_every_training(faces, small, tmp_path, monkeypatch):
    """Folds that share a person never reach a training, wherever they come from."""
    both = [Fold(train=np.ones(168, dtype=bool), test=np.ones(168, dtype=bool))]
    monkeypatch.setattr("duchenne.evaluation.setup.make_plans", lambda *rest, **more: {0: both})
    monkeypatch.setattr(finetune, "tune_encoder", lambda *rest, **more: pytest.fail("trained"))
    with pytest.raises(InputError, match="6 names lie on both sides of fold 0"):
        evaluate("finetune", model=small, data=faces, out=tmp_path / "out", **FAST)
