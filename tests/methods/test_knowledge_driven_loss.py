"""The losses on areas against loops written from the equations, their gradients, and their identities."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from duchenne.methods.knowledge_driven import loss as module
from duchenne.methods.knowledge_driven.loss import inter_area_loss, intra_area_loss, prediction_loss

PHI = {0: (0,), 1: (1, 2), 2: (1, 2), 3: (3,), 4: (4, 5), 5: (4, 5), 6: (6,), 7: (7,)}
"""Areas from 0."""


def embeddings(images=3, dim=5, seed=0, dtype=torch.float64):
    return torch.randn(2 * images, 8, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def cosine(u, v):
    return sum(a * b for a, b in zip(u, v)) / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))


def naive_inter(rows, temperature):
    """Eqs. 1-3, term after term."""
    v, n = rows.tolist(), len(rows)
    every = [(i, p) for i in range(n) for p in range(8)]
    total = 0.0
    for i, p in every:
        below = sum(math.exp(cosine(v[i][p], v[k][r]) / temperature) for k, r in every if (k, r) != (i, p))
        terms = [
            -math.log(math.exp(cosine(v[i][p], v[j][q]) / temperature) / below)
            for j, q in every if (j, q) != (i, p) and q in PHI[p]
        ]  # fmt: skip
        assert len(terms) == (2 if len(PHI[p]) == 2 else 1) * n - 1  # 4N - 1 or 2N - 1
        total += sum(terms) / len(terms)
    return total / len(every)


def naive_intra(rows, temperature):
    """Eqs. 4-5."""
    v, n = rows.tolist(), len(rows)
    total = 0.0
    for m in range(8):
        for i in range(n):
            other = (i + n // 2) % n
            below = sum(math.exp(cosine(v[i][m], v[k][m]) / temperature) for k in range(n) if k != i)
            total -= math.log(math.exp(cosine(v[i][m], v[other][m]) / temperature) / below)
    return total / (8 * n)


def naive_prediction(rows, predicted):
    """Eq. 8."""
    pairs = [(u, v) for us, vs in zip(rows.tolist(), predicted.tolist()) for u, v in zip(us, vs)]
    return sum(1 - cosine(u, v) for u, v in pairs) / len(pairs)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("images", [1, 3])
def test_values(images, temperature):
    rows, predicted = embeddings(images), embeddings(images, seed=1)
    found = inter_area_loss(rows, temperature=temperature)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(naive_inter(rows, temperature), rel=1e-10)
    assert float(intra_area_loss(rows, temperature=temperature)) == pytest.approx(
        naive_intra(rows, temperature), rel=1e-10
    )
    assert float(prediction_loss(rows, predicted)) == pytest.approx(naive_prediction(rows, predicted), rel=1e-12)


@pytest.mark.parametrize("name", ["inter", "intra", "prediction"])
def test_gradients_against_differences(name):
    rows, predicted = embeddings(2, 3), embeddings(2, 3, seed=1)
    losses = {
        "inter": (lambda r, p: inter_area_loss(r, temperature=0.3), lambda r, p: naive_inter(r, 0.3)),
        "intra": (lambda r, p: intra_area_loss(r, temperature=0.3), lambda r, p: naive_intra(r, 0.3)),
        "prediction": (prediction_loss, naive_prediction),
    }
    loss, naive = losses[name]
    leaves = [rows.clone().requires_grad_(), predicted.clone().requires_grad_()]
    loss(*leaves).backward()
    places = list(np.ndindex(*rows.shape))[:: 5 if name == "inter" else 3]
    for place in places:
        values = []
        for shift in (1e-6, -1e-6):
            moved = rows.clone()
            moved[place] += shift
            values.append(naive(moved, predicted))
        assert float(leaves[0].grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)
    if name == "prediction":
        assert torch.autograd.gradcheck(prediction_loss, leaves)


@pytest.mark.parametrize("loss", [inter_area_loss, intra_area_loss])
def test_blocks_change_nothing(monkeypatch, loss):
    rows = embeddings(5)
    whole, blocks = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    value = loss(whole)
    value.backward()
    monkeypatch.setattr(module, "_BLOCK", 7 * 16)  # blocks of a row or a few, the last one shorter
    other = loss(blocks)
    other.backward()
    assert torch.allclose(value, other, rtol=1e-12)
    assert torch.allclose(whole.grad, blocks.grad, rtol=1e-10, atol=1e-14)


def supervised_contrast(rows, labels, temperature):
    """SupCon with the sum outside of the logarithm (Khosla et al., NeurIPS 2020, Eq. 2), with one full matrix."""
    logits = functional.normalize(rows, dim=1) @ functional.normalize(rows, dim=1).T / temperature
    others = ~torch.eye(len(rows), dtype=torch.bool)
    log_share = logits - torch.logsumexp(logits.masked_fill(~others, -torch.inf), 1, keepdim=True)
    positive = (labels[:, None] == labels) & others
    return -(log_share.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()


def test_inter_area_is_supervised_contrast_of_area_groups():
    rows = embeddings(6, 16)
    labels = torch.tensor([0, 1, 1, 2, 3, 3, 4, 5]).repeat(12)
    expected = supervised_contrast(rows.flatten(0, 1), labels, 0.07)
    assert float(inter_area_loss(rows)) == pytest.approx(float(expected), rel=1e-12)


def test_intra_area_is_nt_xent_of_each_area():
    rows = embeddings(6, 16)
    labels = torch.arange(6).repeat(2)
    expected = sum(supervised_contrast(rows[:, area], labels, 0.07) for area in range(8)) / 8
    assert float(intra_area_loss(rows)) == pytest.approx(float(expected), rel=1e-12)


def test_symmetric_areas_may_change_places():
    rows = embeddings(4)
    swapped = rows[:, [0, 2, 1, 3, 5, 4, 6, 7]]
    assert float(inter_area_loss(swapped)) == pytest.approx(float(inter_area_loss(rows)), rel=1e-12)
    other = rows[:, [1, 0, *range(2, 8)]]
    assert float(inter_area_loss(other)) != pytest.approx(float(inter_area_loss(rows)), rel=1e-6)


def test_other_symmetric_areas():
    rows = embeddings(3)[:, :4]
    none = inter_area_loss(rows, symmetric=(0, 1, 2, 3))
    labels = torch.arange(4).repeat(6)
    assert float(none) == pytest.approx(float(supervised_contrast(rows.flatten(0, 1), labels, 0.07)), rel=1e-12)
    assert float(inter_area_loss(rows, symmetric=(1, 0, 2, 3))) != pytest.approx(float(none), rel=1e-6)


def test_closed_forms():
    same = torch.ones(6, 8, 4, dtype=torch.float64)
    assert float(inter_area_loss(same)) == pytest.approx(math.log(47))  # all 48 alike: chance among the others
    assert float(intra_area_loss(same)) == pytest.approx(math.log(5))
    assert float(prediction_loss(same, same)) == pytest.approx(0, abs=1e-12)
    assert float(prediction_loss(same, -same)) == pytest.approx(2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_and_empty_rows_have_finite_gradients(value):
    rows = torch.full((6, 8, 4), value, requires_grad=True)
    (inter_area_loss(rows) + intra_area_loss(rows) + prediction_loss(rows, rows * 1)).backward()
    assert torch.isfinite(rows.grad).all()


def test_lengths_do_not_matter():
    rows = embeddings(3)
    lengths = 0.1 + torch.rand(6, 8, 1, dtype=torch.float64) * 5
    for loss in (inter_area_loss, intra_area_loss):
        assert float(loss(rows * lengths)) == pytest.approx(float(loss(rows)), rel=1e-10)


def test_same_inside_autocast():
    rows, predicted = embeddings(4, 128, dtype=torch.float32), embeddings(4, 128, seed=1, dtype=torch.float32)

    def values():
        return [inter_area_loss(rows), intra_area_loss(rows), prediction_loss(rows, predicted)]

    outside = values()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = values()
    assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in zip(inside, outside, strict=True))
    assert inter_area_loss(rows.bfloat16()).dtype == torch.float32


def test_wrong_shapes():
    for loss in (inter_area_loss, intra_area_loss):
        with pytest.raises(ValueError, match="two views"):
            loss(torch.rand(5, 8, 4))
        with pytest.raises(ValueError, match="two views"):
            loss(torch.rand(6, 8))
    with pytest.raises(ValueError, match="two views"):
        inter_area_loss(torch.rand(6, 7, 4))
    with pytest.raises(ValueError, match="one shape"):
        prediction_loss(torch.rand(6, 8, 4), torch.rand(6, 8, 5))
