"""SimCLR, MoCo, SimSiam and CVC: losses against loops, what their memories hold, and exact resume with queues."""

import math

import pytest
import torch
from tests.methods.made import SMALL, random_batch, small_method
from tests.training.made import moving_squares
from torch.nn import functional

import duchenne
from duchenne.errors import UsageError
from duchenne.losses.info_nce import info_nce_loss
from duchenne.methods.simclr.loss import nt_xent_loss
from duchenne.methods.simsiam.loss import prediction_similarity_loss
from duchenne.training.checkpoints import load_checkpoint
from duchenne.training.loop import Trainer


def unit(*shape, seed=0, dtype=torch.float64):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return functional.normalize(drawn, dim=-1)


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def naive_info_nce(query, key, negatives, t):
    total = 0.0
    for q, k in zip(query.tolist(), key.tolist(), strict=True):
        positive = math.exp(dot(q, k) / t)
        total -= math.log(positive / (positive + sum(math.exp(dot(q, n) / t) for n in negatives.tolist())))
    return total / len(query)


def naive_nt_xent(first, second, t):
    rows, number = [*first.tolist(), *second.tolist()], len(first)
    total = 0.0
    for place, row in enumerate(rows):
        others = [math.exp(dot(row, other) / t) for n, other in enumerate(rows) if n != place]
        total -= math.log(math.exp(dot(row, rows[(place + number) % (2 * number)]) / t) / sum(others))
    return total / len(rows)


def naive_prediction(prediction, target):
    pairs = zip(prediction.tolist(), target.tolist(), strict=True)
    return -sum(dot(p, z) / math.sqrt(dot(p, p) * dot(z, z)) for p, z in pairs) / len(prediction)


CASES = {
    "info_nce": (
        lambda x: info_nce_loss(x, unit(4, 5, seed=1), unit(7, 5, seed=2), temperature=0.2),
        lambda x: naive_info_nce(x, unit(4, 5, seed=1), unit(7, 5, seed=2), 0.2),
    ),
    "nt_xent": (
        lambda x: nt_xent_loss(x, unit(4, 5, seed=1), temperature=0.1),
        lambda x: naive_nt_xent(x, unit(4, 5, seed=1), 0.1),
    ),
    "prediction": (
        lambda x: prediction_similarity_loss(x, 3 * unit(4, 5, seed=1)),
        lambda x: naive_prediction(x, 3 * unit(4, 5, seed=1)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    loss, naive = CASES[name]
    leaf = unit(4, 5).requires_grad_()
    found = loss(leaf)
    assert float(found.detach()) == pytest.approx(naive(leaf.detach()), rel=1e-12)
    found.backward()
    for place in [(0, 0), (1, 3), (3, 4)]:
        values = []
        for shift in (1e-6, -1e-6):
            moved = leaf.detach().clone()
            moved[place] += shift
            values.append(naive(moved))
        assert float(leaf.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_at_the_start_it_is_the_logarithm_of_the_rows():
    found = info_nce_loss(unit(64, 128), unit(64, 128, seed=1), unit(4000, 128, seed=2), temperature=1.0)
    assert float(found) == pytest.approx(math.log(4001), abs=0.05)


def test_both_views_get_a_gradient_but_no_target():
    first, second = unit(3, 4).requires_grad_(), unit(3, 4, seed=1).requires_grad_()
    nt_xent_loss(first, second, temperature=0.5).backward()
    assert torch.isfinite(first.grad).all()
    assert float(second.grad.abs().sum()) > 0
    second.grad = None
    prediction_similarity_loss(first, second).backward()
    assert second.grad is None


def test_same_inside_autocast():
    one, two, many = (unit(n, 64, seed=n, dtype=torch.float32) for n in (4, 4, 30))
    calls = [
        lambda: info_nce_loss(one, two, many, temperature=0.07),
        lambda: nt_xent_loss(one, two, temperature=0.07),
        lambda: prediction_similarity_loss(one, two),
    ]
    for call in calls:
        outside = call()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(call(), outside)


def test_wrong_shapes():
    with pytest.raises(ValueError, match="negatives"):
        info_nce_loss(unit(2, 4), unit(2, 4), unit(3, 5), temperature=1)
    with pytest.raises(ValueError, match="one shape"):
        nt_xent_loss(unit(2, 4), unit(3, 4), temperature=1)
    with pytest.raises(ValueError, match="one shape"):
        prediction_similarity_loss(unit(2, 4), unit(3, 4))


def step(method, clips=4):
    torch.manual_seed(0)
    batch = method.augment(random_batch(method, clips))
    output = method.training_step(batch)
    return batch, output


@pytest.mark.parametrize("name", ["simclr", "moco", "simsiam"])
def test_two_views_of_one_frame(name):
    method = small_method(name)
    batch, _ = step(method)
    assert method.sampler(method.config).frames == 1
    assert batch.images.shape == (4, 2, 3, 32, 32)
    assert torch.equal(batch.rows[:, 0], batch.rows[:, 1])
    assert not torch.allclose(batch.images[:, 0], batch.images[:, 1], atol=0.05)


def test_cvc_sees_two_frames():
    method = small_method("cvc")
    batch, output = step(method)
    assert method.sampler(method.config).frames == 2
    assert not torch.equal(batch.rows[:, 0], batch.rows[:, 1])
    expected = float(output.logs["video"]) + 0.1 * float(output.logs["cycle"])
    assert float(output.loss.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["moco", "cvc"])
def test_keys_enter_the_memory_after_the_step(name):
    method = small_method(name)
    before = method.queue.rows.clone()
    _, output = step(method)
    assert torch.equal(method.queue.rows, before)
    keys = output.kept["keys" if name == "moco" else "key"]
    assert float((keys @ before.T).max()) < 0.999
    method.after_step()
    assert torch.equal(method.queue.rows[:4], keys)
    assert int(method.queue.filled) == 4


def test_the_predictor_keeps_its_learning_rate():
    method = small_method("simsiam")
    rest, predictor = method.parameter_groups()
    assert predictor["scheduled"] is False
    assert {id(parameter) for parameter in predictor["params"]} == {id(p) for p in method.predictor.parameters()}
    assert "scheduled" not in rest


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder, clips=15)
    return folder


FAST = {"size_px": 32, "batch_size": 4, "max_steps": 4, "lr": 0.01, "log_every": 1, "quiet": True}


def test_the_schedule_leaves_the_predictor_alone(squares, tmp_path):
    seen, original = [], Trainer._train_step

    def train_step(self, batch, meter):
        found = original(self, batch, meter)
        seen.append([group["lr"] for optimiser in self.optimisers for group in optimiser.param_groups])
        return found

    Trainer._train_step = train_step
    try:
        duchenne.pretrain("simsiam", data=squares, out=tmp_path / "run", **{**SMALL["simsiam"], **FAST})
    finally:
        Trainer._train_step = original
    assert [rates[1] for rates in seen] == [0.01] * 4
    assert seen[-1][0] < seen[0][0] == 0.01


def test_a_batch_of_more_pictures_than_there_are_clips_is_said(squares, tmp_path):
    for batch, said in ((10, False), (11, True)):
        fields = {**SMALL["simclr"], **FAST, "max_steps": 1, "batch_size": batch}
        result = duchenne.pretrain("simclr", data=squares, out=tmp_path / str(batch), **fields)
        assert (f"A batch of {batch} holds some of the 10 clips or frames more than once." in result.notes) is said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clp", "cvc"])
def test_resume_in_the_middle_of_an_epoch_is_exact_with_queues(name, squares, tmp_path):
    """10 clips, 4 a step: step 2 ends in the middle of the first epoch; at the end queues have wrapped."""
    fields = {**SMALL[name], **FAST}
    whole, part = tmp_path / "whole", tmp_path / "part"
    duchenne.pretrain(name, data=squares, out=whole, **fields)
    original = Trainer._train_step

    def train_step(self, batch, meter):
        if self.step >= 2:
            raise RuntimeError("power cut")
        return original(self, batch, meter)

    Trainer._train_step = train_step
    try:
        with pytest.raises(RuntimeError, match="power cut"):
            duchenne.pretrain(name, data=squares, out=part, **fields, save_every=1)
    finally:
        Trainer._train_step = original
    duchenne.pretrain(name, data=squares, out=part, resume=True, **fields, save_every=1)
    found, expected = (load_checkpoint(out / "checkpoint.pt")["method"] for out in (part, whole))
    assert any("_extra_state" in key for key in expected)
    for key, value in expected.items():
        same = torch.equal(found[key], value) if isinstance(value, torch.Tensor) else found[key] == value
        assert same, key


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("moco", {"memory": 3}, "memory 3 is smaller than the 4 keys of one step"),
        ("cvc", {"cycle_memory": 3, "support": 2}, "cycle_memory 3 is smaller than the 4 keys"),
        ("simclr", {"batch_size": 1}, "batch_size 1 is too small for simclr; it needs at least 2"),
        ("simsiam", {"batch_size": 1}, "batch_size 1 is too small for simsiam; it needs at least 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(name, fields, sentence, squares, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        duchenne.pretrain(name, data=squares, out=tmp_path / "run", **{**SMALL[name], **FAST, **fields})
    assert not (tmp_path / "run").exists()
