"""Triplet and N-pair losses against loops written from the equations; sampling as in the authors' code."""

import math

import numpy as np
import pytest
import torch
from tests.methods.made import random_batch, small_method
from torch.nn import functional

from duchenne.data.clip_samplers import Clip, Run
from duchenne.methods.n_pair.loss import n_pair_mc_loss
from duchenne.methods.triplet.config import TripletConfig
from duchenne.methods.triplet.loss import triplet_loss
from duchenne.methods.triplet.method import Triplet


def rows(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_triplet(anchor, positive, negative, margin, root):
    total = 0.0
    for a, p, n in zip(anchor.tolist(), positive.tolist(), negative.tolist(), strict=True):
        near, far = sum((x - y) ** 2 for x, y in zip(p, a)), sum((x - y) ** 2 for x, y in zip(n, a))
        if root:
            near, far = math.sqrt(near), math.sqrt(far)
        total += max(0.0, near - far + margin)
    return total / len(anchor)


def naive_n_pair(anchor, positive, negatives, weight):
    total, squares, count = 0.0, 0.0, 0
    for a, p, others in zip(anchor.tolist(), positive.tolist(), negatives.tolist(), strict=True):
        own = sum(x * y for x, y in zip(a, p))
        total += math.log(1 + sum(math.exp(sum(x * y for x, y in zip(a, n)) - own) for n in others))
        for row in (a, p, *others):
            squares += sum(x * x for x in row)
            count += 1
    return total / len(anchor) + weight * squares / count


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("margin", [0.0, 0.03, 2.0])
def test_triplet_value(distance, margin):
    anchor, positive, negative = (functional.normalize(rows(6, 5, seed=seed), dim=1) for seed in range(3))
    found = triplet_loss(anchor, positive, negative, margin=margin, distance=distance)
    expected = naive_triplet(anchor, positive, negative, margin, distance == "euclidean")
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.002, 0.5])
def test_n_pair_value(weight):
    anchor, positive, negatives = rows(4, 5, seed=0), rows(4, 5, seed=1), rows(4, 3, 5, seed=2)
    found = n_pair_mc_loss(anchor, positive, negatives, l2_weight=weight)
    assert float(found) == pytest.approx(naive_n_pair(anchor, positive, negatives, weight), rel=1e-12)


def test_gradients_against_differences():
    cases = {
        "triplet": (lambda t: triplet_loss(*t, margin=1.0), lambda t: naive_triplet(*t, 1.0, False), (2, 3)),
        "n_pair": (lambda t: n_pair_mc_loss(*t, l2_weight=0.1), lambda t: naive_n_pair(*t, 0.1), (2, 4, 3)),
    }
    for name, (loss, naive, last) in cases.items():
        tensors = [rows(2, 3, seed=0), rows(2, 3, seed=1), rows(*last, seed=2)]
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        loss(leaves).backward()
        for number, leaf in enumerate(leaves):
            for place in np.ndindex(*leaf.shape):
                values = []
                for shift in (1e-6, -1e-6):
                    moved = [tensor.clone() for tensor in tensors]
                    moved[number][place] += shift
                    values.append(naive(moved))
                expected = (values[0] - values[1]) / 2e-6
                assert float(leaf.grad[place]) == pytest.approx(expected, abs=1e-6), name


def test_large_products_stay_finite():
    anchor = torch.full((1, 4), 100.0, requires_grad=True)
    loss = n_pair_mc_loss(anchor, -torch.full((1, 4), 100.0), torch.full((1, 2, 4), 100.0))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(anchor.grad).all()


def test_identical_rows_have_finite_gradients():
    same = torch.ones(2, 4, requires_grad=True)
    for distance in ("sqeuclidean", "euclidean"):
        triplet_loss(same, same, same, distance=distance).backward()
    n_pair_mc_loss(same, same, same[:, None]).backward()
    assert torch.isfinite(same.grad).all()


def test_same_inside_autocast():
    anchor, positive, negatives = (rows(*s, seed=i).float() for i, s in enumerate([(4, 64), (4, 64), (4, 5, 64)]))
    outside = [n_pair_mc_loss(anchor, positive, negatives), triplet_loss(anchor, positive, negatives[:, 0])]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = [n_pair_mc_loss(anchor, positive, negatives), triplet_loss(anchor, positive, negatives[:, 0])]
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))


def test_wrong_shapes():
    with pytest.raises(ValueError, match="one shape"):
        triplet_loss(torch.rand(2, 3), torch.rand(2, 3), torch.rand(3, 3))
    with pytest.raises(ValueError, match="need anchor"):
        n_pair_mc_loss(torch.rand(2, 3), torch.rand(2, 3), torch.rand(2, 3))
    with pytest.raises(ValueError, match="at least one negative"):
        n_pair_mc_loss(torch.rand(2, 3), torch.rand(2, 3), torch.rand(2, 0, 3))


def clip(number=0):
    return Clip(number, 0, 1 / 25, (Run(np.arange(40), np.arange(40) / 25, 29),))


def test_triplet_keeps_anchor_sibling_and_any_later_frame():
    sampler = Triplet.sampler(TripletConfig())
    drawn = np.stack([sampler.draw(clip(), np.random.default_rng(seed)) for seed in range(400)])
    assert sampler.frames == 3
    assert set(drawn[:, 1] - drawn[:, 0]) == {1}
    assert set(drawn[:, 2] - drawn[:, 0]) == set(range(2, 12))


@pytest.mark.parametrize("name", ["temporal_ranking", "n_pair", "triplet"])
def test_official_sampler(name):
    method = small_method(name, official_sampler=True)
    sampler = method.sampler(method.config)
    drawn = {tuple(sampler.draw(clip(3), np.random.default_rng(seed))[:2]) for seed in range(20)}
    assert len(drawn) == 1
    other = {tuple(sampler.draw(clip(number), np.random.default_rng(0))[:2]) for number in range(20)}
    assert len(other) > 5
    torch.manual_seed(0)
    batch = method.augment(random_batch(method, 4))
    separate = method.embed(batch)
    together = small_method(name).embed(batch)
    assert separate.shape == together.shape
    assert not torch.allclose(separate, together, atol=1e-4)  # BatchNorm statistics of their own
    anchors = method.encoder(batch.images[:, 0])
    assert torch.allclose(separate[:, 0], anchors, atol=1e-5)
    alone = method.smallest_batch()
    assert alone == 2, "torch refuses one anchor of 32 px"
    assert math.isfinite(method.training_step(method.augment(random_batch(method, alone))).loss.detach())
    assert small_method(name).smallest_batch() == 1
