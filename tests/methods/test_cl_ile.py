"""CL-ILE: its losses against loops over the equations, its three stages, and what is kept of it."""

import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.methods import cl_ile_worker
from tests.methods.made import RUN, random_batch, small_config, small_method
from tests.training.made import changed, moving_squares

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.methods.base import Method
from duchenne.methods.cl_ile.figures import figures_of
from duchenne.methods.cl_ile.loss import (
    identity_label_loss,
    label_contrastive_loss,
    label_likeness,
    orthogonality_loss,
)
from duchenne.methods.cl_ile.method import ClIle
from duchenne.training.runs import load_encoder, stored_method


def cos(a, b):
    return sum(x * y for x, y in zip(a, b)) / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))


def naive_identity(table, direction):
    n, c = len(table), len(table[0])
    unit = [[[x / math.sqrt(sum(v * v for v in row)) for x in row] for row in rows] for rows in table.tolist()]
    own = label = 0.0
    for i in range(n):
        for j in range(c):
            subject = [sum(unit[i][k][d] for k in range(c)) / c for d in range(len(unit[0][0]))]
            au = [sum(unit[k][j][d] for k in range(n)) / n for d in range(len(unit[0][0]))]
            own += abs(cos(unit[i][j], subject))
            label += abs(cos(unit[i][j], au))
    return math.log(own / label) if direction == "as_printed" else math.log(label / own)


def naive_orthogonality(identity, general, eps):
    pairs = zip(identity.tolist(), general.tolist())
    return sum(math.log(abs(cos(a, b)) + eps) for a, b in pairs) / len(identity)


def naive_contrast(features, table, labels, temperature):
    total = 0.0
    for f, y in zip(features.tolist(), labels.tolist()):
        known = [c for c in range(len(y)) if y[c] >= 0]
        present = [c for c in known if y[c] == 1]
        if present:
            likeness = {c: cos(f, table[c].tolist()) / temperature for c in known}
            below = math.log(sum(math.exp(likeness[c]) for c in known))
            total += sum(below - likeness[c] for c in present) / len(present)
    return total / len(features)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [-1, 1, 0, -1], [-1, -1, -1, -1]])
CASES = {
    "identity": (lambda x: identity_label_loss(x), lambda x: naive_identity(x, "by_subject"), drawn(3, 4, 5)),
    "printed": (
        lambda x: identity_label_loss(x, direction="as_printed"), lambda x: naive_identity(x, "as_printed"),
        drawn(3, 4, 5),
    ),
    "orthogonality": (
        lambda x: orthogonality_loss(drawn(5, 6, seed=1).to(x), x, eps=0.01),
        lambda x: naive_orthogonality(drawn(5, 6, seed=1), x, 0.01), drawn(5, 6),
    ),
    "contrast, features": (
        lambda x: label_contrastive_loss(x, drawn(4, 6, seed=2).to(x), LABELS, temperature=0.7),
        lambda x: naive_contrast(x, drawn(4, 6, seed=2), LABELS, 0.7), drawn(5, 6),
    ),
    "contrast, labels": (
        lambda x: label_contrastive_loss(drawn(5, 6, seed=3).to(x), x, LABELS, temperature=2.0),
        lambda x: naive_contrast(drawn(5, 6, seed=3), x, LABELS, 2.0), drawn(4, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_losses_against_loops(name):
    loss, naive, x = CASES[name]
    assert float(loss(x)) == pytest.approx(naive(x), rel=1e-10)
    leaf = x.clone().requires_grad_()
    loss(leaf).backward()
    step = 1e-6
    for place in [(0,) * x.ndim, tuple(s - 1 for s in x.shape), (1, 2, 3)[: x.ndim]]:
        up, down = x.clone(), x.clone()
        up[place] += step
        down[place] -= step
        assert float(leaf.grad[place]) == pytest.approx((naive(up) - naive(down)) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_the_same_under_autocast(name):
    loss, _, x = CASES[name]
    plain = loss(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(x.float()), plain)
    assert loss(x).dtype == torch.float64


def test_losses_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="N, C, D"):
        identity_label_loss(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="no direction 'sideways'"):
        identity_label_loss(torch.ones(2, 2, 2), direction="sideways")
    with pytest.raises(ValueError, match="one shape"):
        orthogonality_loss(torch.zeros(3, 4), torch.zeros(4, 4))
    with pytest.raises(ValueError, match="labels"):
        label_contrastive_loss(torch.zeros(3, 4), torch.zeros(5, 4), torch.zeros(3, 4))


def test_one_direction_per_subject_is_the_least_by_subject_and_the_most_as_printed():
    rows = torch.eye(6)[:, None].expand(6, 4, 6)
    own, label = label_likeness(rows)
    assert torch.allclose(own, torch.ones(6, 4))
    assert torch.allclose(label, torch.full((6, 4), 1 / math.sqrt(6)))
    for seed in range(5):
        other = drawn(6, 4, 6, seed=seed).float()
        assert identity_label_loss(rows) < identity_label_loss(other)
        assert identity_label_loss(rows, direction="as_printed") > identity_label_loss(other, direction="as_printed")


@pytest.mark.parametrize(("direction", "gathered"), [("by_subject", "subject"), ("as_printed", "label")])
def test_the_printed_equation_does_the_opposite_of_the_text(direction, gathered):
    """Minimised, Eq. 1 as printed gathers the embeddings of an action unit and parts those of a subject."""
    table = torch.nn.Parameter(torch.randn(8, 5, 32, generator=torch.Generator().manual_seed(0)))
    optimiser = torch.optim.Adam([table], lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        identity_label_loss(table, direction=direction).backward()
        optimiser.step()
    own, label = (float(value.mean()) for value in label_likeness(table.detach()))
    more, less = (own, label) if gathered == "subject" else (label, own)
    assert more > 0.6
    assert less < 0.25


def test_copied_encoders_have_no_gradient_of_orthogonality():
    who = drawn(4, 8)
    copied = who.clone().requires_grad_()
    orthogonality_loss(who, copied).backward()
    assert float(copied.grad.abs().max()) < 1e-12
    nearly = (who + 0.01 * drawn(4, 8, seed=1)).requires_grad_()
    orthogonality_loss(who, nearly).backward()
    assert float(nearly.grad.abs().max()) > 1e-4


def test_orthogonal_rows_reach_the_floor_that_eps_gives():
    one, other = torch.eye(2)[:1].double(), torch.eye(2)[1:].double().requires_grad_()
    loss = orthogonality_loss(one, other, eps=1e-4)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(1e-4))
    assert torch.isfinite(other.grad).all()
    zero = torch.zeros(3, 4, requires_grad=True)
    orthogonality_loss(zero, torch.zeros(3, 4)).backward()
    assert torch.isfinite(zero.grad).all()


def test_frames_that_show_nothing_add_nothing():
    features, table = drawn(3, 6).requires_grad_(), drawn(4, 6, seed=1)
    empty = torch.zeros(3, 4, dtype=torch.int64)
    loss = label_contrastive_loss(features, table, empty)
    loss.backward()
    assert float(loss.detach()) == 0
    assert (features.grad == 0).all()
    one = empty.clone()
    one[0, 2] = 1
    alone = label_contrastive_loss(features[:1], table, one[:1])
    assert float(label_contrastive_loss(features, table, one)) == pytest.approx(float(alone) / 3)


def test_bounds_of_the_contrast_at_the_papers_temperature():
    """12 action units, one present, cosines in [-1, 1] over 2: between 1.62 and 3.43, ln 12 where all are alike."""
    axis = torch.eye(2)
    own = torch.zeros(1, 12)
    own[0, 0] = 1
    best = torch.cat([axis[:1], -axis[:1].expand(11, 2)])
    assert float(label_contrastive_loss(axis[:1], best, own)) == pytest.approx(math.log(1 + 11 / math.e))
    assert float(label_contrastive_loss(-axis[:1], best, own)) == pytest.approx(math.log(1 + 11 * math.e))
    assert float(label_contrastive_loss(axis[:1], axis[:1].expand(12, 2), own)) == pytest.approx(math.log(12))


def at_stage(number, **fields):
    method = small_method("cl_ile", **fields)
    for stage in range(number + 1):
        method.start_stage(stage)
    return method.train()


def one_step(method, clips=4):
    torch.manual_seed(0)
    return method.training_step(method.augment(random_batch(method, clips)))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_stage_reaches_its_parameters_and_no_others(number):
    method = at_stage(number, dropout=0.1)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    output = one_step(method)
    output.loss.backward()
    grouped = [parameter for group in method.parameter_groups() for parameter in group["params"]]
    trained = {key for key, parameter in method.named_parameters() if parameter.requires_grad}
    assert sum(key in trained for key, _ in method.named_parameters()) == len(grouped)
    for key, parameter in method.named_parameters():
        assert (parameter.grad is not None) == (key in trained), key
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
    prefixes = {
        0: ("encoder.backbone.", "classifier."),
        1: ("identity.", "identity_labels"),
        2: ("encoder.tokens.", "label_embeddings"),
    }
    assert all(key.startswith(prefixes[number]) for key in trained)
    moved = {key for key, value in method.state_dict().items() if not torch.equal(value, before[key])}
    assert bool(moved) == (number == 0)  # BatchNorm statistics of the frozen network rest
    assert not any(value.requires_grad for value in output.logs.values())


def test_the_general_encoder_starts_as_a_copy_or_afresh():
    copied, fresh = at_stage(2), at_stage(2, init_from_id=False)
    for name, value in copied.identity.state_dict().items():
        assert torch.equal(value, copied.encoder.tokens.state_dict()[name])
    assert any(
        not torch.equal(value, fresh.encoder.tokens.state_dict()[name])
        for name, value in fresh.identity.state_dict().items()
    )
    logs = one_step(copied).logs
    assert float(logs["likeness"]) == pytest.approx(1, abs=1e-5)
    assert float(logs["orthogonality"]) == pytest.approx(math.log(1 + 1e-4), abs=1e-5)
    assert float(one_step(fresh).logs["likeness"]) < 0.999


def test_stages_follow_the_ablations():
    names = lambda **fields: [stage.name for stage in small_method("cl_ile", **fields).stages()]  # noqa: E731
    assert names() == ["backbone", "identity", "general"]
    assert names(orthogonality_weight=0.0) == ["backbone", "general"]
    assert names(backbone_epochs=0, backbone_steps=None) == ["identity", "general"]
    assert "contrast" not in one_step(at_stage(2, contrast_weight=0.0)).logs
    assert "identity" not in one_step(at_stage(1, bce_share=1.0)).logs
    assert "orthogonality" not in one_step(at_stage(1, orthogonality_weight=0.0)).logs


def test_label_embeddings_have_their_own_optimiser():
    own = at_stage(1).parameter_groups()[1]
    assert (own["optimiser"], own["lr"]) == ("adam", 1e-3)
    assert "optimiser" not in at_stage(1, literal_sgd=True).parameter_groups()[1]
    assert len(at_stage(0).parameter_groups()) == 1


def test_scores_of_stage_identity_for_people_without_embeddings():
    method = at_stage(1).eval()
    images = torch.rand(2, 3, 32, 32)
    mean = torch.nn.functional.normalize(method.identity_labels, dim=-1).mean(0)
    with torch.no_grad():
        features = method.identity(method.encoder.feature_map(images))
        expected = [[float(f @ (row / row.norm())) for row in mean] for f in features]
        assert np.allclose(method.scores(images), expected, atol=1e-5)


def test_a_subject_without_embeddings_is_an_error():
    method = at_stage(1, subject_numbers=(0, 2))
    with pytest.raises(ValueError, match="not among subject_numbers"):
        one_step(method)


@pytest.mark.parametrize("pooling", ["mean", "token"])
def test_tokens_of_pictures_of_other_sizes(pooling):
    method = small_method("cl_ile", pooling=pooling, size_px=64).eval()
    with torch.no_grad():
        assert method.encoder(torch.rand(2, 3, 64, 64)).shape == (2, 512)
        assert method.encoder(torch.rand(2, 3, 96, 96)).shape == (2, 512)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder, clips=9, frames=8)
    return folder


JOB = {
    "size_px": 32, "batch_size": 6, "backbone_steps": 2, "max_steps": 2, "hidden": 16, "quiet": True,
    "schedule": "plateau", "validation_share": 0.3, "validate_every": 1, "plateau_patience": 1, "log_every": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    duchenne.pretrain("cl_ile", data=squares, out=out, **JOB)
    return out


def test_what_a_run_holds_of_it(run, squares):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    steps = [(line["step"], line["stage"]) for line in lines if "loss" in line]
    assert steps == [(n + 1, name) for n, name in enumerate(np.repeat(["backbone", "identity", "general"], 2))]
    assert [line["step"] for line in lines if "validation" in line] == [1, 2, 3, 4, 5, 6]
    assert {path.name for path in (run / "figures").iterdir()} == {"au_relations.png", "label_embeddings.png"}
    kept = load_file(run / "encoder.safetensors")
    assert {key.split(".")[0] for key in kept} == {"backbone", "tokens", "mean", "std"}
    loaded = load_encoder(run / "encoder.safetensors")
    assert loaded.encoder(torch.rand(2, 3, 32, 32)).shape == (2, 512)
    assert loaded.record.trained_on[0].labels
    config = (run / "config.yaml").read_text()
    assert config.count("subject_numbers") == 1
    assert "backbone_lr" in config


def test_figures_see_faces_as_large_as_in_training_and_one_subject_with_one_action_unit(squares):
    """40 px are one cell and a quarter: pictures of two whole cells would show all faces 1.6 times as large."""
    sizes = []

    class Seen(Prepared):
        def images(self, rows, size_px):
            sizes.append(size_px)
            return super().images(rows, size_px)

    method = small_method(
        "cl_ile", size_px=40, token_side=2, aus=(1,), positive_shares=(0.5,), subject_numbers=(0,)
    ).eval()
    figures = figures_of(method, Seen([squares]), np.arange(30))
    assert set(sizes) == {40}
    (axes, *_) = figures["label_embeddings"].axes
    assert axes.get_xlabel() == "principal component 1 (0% of the variance)"


def test_only_the_last_stage_decides_which_encoder_is_best(run):
    record = json.loads((run / "encoder_best.json").read_text())
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    last = [line["validation"] for line in lines if "validation" in line and line["stage"] == "general"]
    assert record["validation"] == max(last)
    assert record["steps"] > 4


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_ctrl_c_in_any_stage_resumes_exactly(steps, run, squares, tmp_path, monkeypatch):
    """Stopped within a stage, or exactly between two: afterwards all is, bit for bit, as if nothing had happened."""
    after_step, taken = Method.after_step, []

    def press(self):
        taken.append(self)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        after_step(self)

    monkeypatch.setattr(Method, "after_step", press)
    part = tmp_path / "part"
    stopped = duchenne.pretrain("cl_ile", data=squares, out=part, **JOB)
    assert not stopped.finished
    assert stopped.steps == steps
    assert duchenne.pretrain("cl_ile", data=squares, out=part, resume=True, **JOB).finished
    whole, again = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (run, part))
    assert all(torch.equal(value, again["method"][key]) for key, value in whole["method"].items())
    assert whole["plateau"] == again["plateau"]

    def results(folder):
        text = (folder / "log.jsonl").read_text().splitlines()
        timing = {"images_per_s", "waiting"}
        return [{key: value for key, value in json.loads(line).items() if key not in timing} for line in text]

    assert results(part) == results(run)


def test_stages_that_are_over_keep_their_length(run, squares, tmp_path):
    import shutil

    part = tmp_path / "part"
    shutil.copytree(run, part)
    with pytest.raises(InputError, match="earlier stages had other numbers of steps"):
        duchenne.pretrain("cl_ile", data=squares, out=part, resume=True, **{**JOB, "max_steps": 3})


def test_images_of_nobody_known_are_refused(squares, tmp_path):
    prepared = changed(squares, tmp_path / "nobody", lambda frames: frames.assign(subject=None))
    with pytest.raises(InputError, match="learns who is who"):
        ClIle.complete(small_config("cl_ile"), prepared, np.arange(len(prepared)), RUN)


def test_the_text_for_a_paper_names_the_rate_of_every_stage(run):
    text = " ".join((run / "methods.txt").read_text().split())
    embeddings = "label embeddings with adam, learning rate 0.001"
    assert (
        "for 6 steps of 6 clips at 32 px, in 3 stages: backbone, 2 steps with sgd, learning rate 0.0001 (plateau); "
        f"identity, 2 steps with sgd, learning rate 1e-05 (plateau), {embeddings}; "
        f"general, 2 steps with sgd, learning rate 1e-05 (plateau), {embeddings}; weight decay 0 in each."
    ) in text
    literal = ClIle(small_config("cl_ile", literal_sgd=True))
    assert not any(stage.beside for stage in literal.stages())


def test_its_labels_are_remembered(run, squares, tmp_path):
    with pytest.raises(UsageError, match="was trained with the labels of"):
        duchenne.evaluate("linear", model=str(run), data=squares, out=tmp_path / "scores", folds=3, quiet=True)


@pytest.mark.slow
def test_three_stages_in_two_processes_are_those_of_one(tmp_path):
    """Real gloo processes, each with half of every batch; stopped and resumed they end bit for bit where they would."""
    squares = tmp_path / "squares"
    moving_squares(squares, clips=18, frames=14)
    command = [sys.executable, "-m", "tests.methods.cl_ile_worker", str(squares), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    duchenne.pretrain("cl_ile", data=squares, out=tmp_path / "one", bn_splits=2, **cl_ile_worker.JOB)
    one, whole, part = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "whole", "part")
    )
    start = stored_method(tmp_path / "one" / "config.yaml")[1].state_dict()
    moved = {key: float((value.float() - start[key].float()).abs().max()) for key, value in one["method"].items()}
    trained = ["encoder.backbone.conv1", "classifier.", "identity.", "identity_labels", "encoder.tokens.", "label_emb"]
    for name in trained:
        assert max(far for key, far in moved.items() if key.startswith(name)) > 1e-4, name
    for key, value in one["method"].items():  # a gradient of the wrong half, or of twice the size, is off by far more
        apart = float((whole["method"][key].float() - value.float()).abs().max())
        assert apart < 2e-3 * moved[key] + 1e-6, key
        assert torch.equal(whole["method"][key], part["method"][key]), key
    assert one["ends"] == whole["ends"] == [2, 4, 6]
    assert one["method"]["identity_labels"].shape == (4, 2, 512)

    def validations(name):
        lines = map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())
        return [(line["step"], line["stage"], line["validation"]) for line in lines if "validation" in line]

    for name in ("whole", "part"):
        for (step, stage, score), (*place, other) in zip(validations("one"), validations(name), strict=True):
            assert [step, stage] == place
            assert score == pytest.approx(other, abs=0.02)
    assert [stage for _, stage, _ in validations("one")] == ["backbone", "identity", "general"]
