"""The ranking triplet loss against a loop written from Eq. 2, and its properties."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from duchenne.methods.temporal_ranking.loss import ranking_triplet_loss


def naive(anchor, sequence, margin, distance):
    """Eq. 2, one triplet after the other, in Python floats."""
    total = 0.0
    for a, frames in zip(anchor, sequence, strict=True):
        d = []
        for frame in frames:
            squared = sum((float(x) - float(y)) ** 2 for x, y in zip(frame, a, strict=True))
            d.append(squared if distance == "sqeuclidean" else squared**0.5)
        for n in range(1, len(d)):
            total += max(0.0, d[n - 1] - d[n] + margin)
    return total / len(anchor)


def unit(*shape, seed=0, dtype=torch.float64):
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=-1)


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("margin", [0.0, 0.03, 0.5])
def test_value(distance, margin):
    anchor, sequence = unit(5, 7), unit(5, 11, 7, seed=1)
    found = ranking_triplet_loss(anchor, sequence, margin=margin, distance=distance)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(naive(anchor, sequence, margin, distance), rel=1e-12)


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
def test_gradient_against_differences(distance):
    anchor, sequence = unit(2, 4).requires_grad_(), unit(2, 5, 4, seed=1).requires_grad_()
    ranking_triplet_loss(anchor, sequence, margin=0.2, distance=distance).backward()
    for tensor in (anchor, sequence):
        for place in np.ndindex(*tensor.shape):
            values = []
            for shift in (1e-6, -1e-6):
                moved = tensor.detach().clone()
                moved[place] += shift
                pair = (moved, sequence.detach()) if tensor is anchor else (anchor.detach(), moved)
                values.append(naive(*pair, 0.2, distance))
            assert float(tensor.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_same_inside_autocast():
    anchor, sequence = unit(4, 256, dtype=torch.float32), unit(4, 11, 256, seed=1, dtype=torch.float32)
    outside = ranking_triplet_loss(anchor, sequence)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = ranking_triplet_loss(anchor, sequence)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)
    assert ranking_triplet_loss(anchor.bfloat16(), sequence.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("distance", ["sqeuclidean", "euclidean"])
def test_collapsed_rows_cost_the_margins_and_have_finite_gradients(distance):
    rows = unit(1, 8).expand(3, 8).clone().requires_grad_()
    loss = ranking_triplet_loss(rows, rows[:, None].expand(3, 11, 8), distance=distance)
    assert float(loss.detach()) == pytest.approx(10 * 0.03)
    loss.backward()
    assert torch.isfinite(rows.grad).all()


def test_ordered_rows_cost_nothing():
    angles = torch.linspace(0, 3, 12, dtype=torch.float64)
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert float(ranking_triplet_loss(rows[:1], rows[None, 1:])) == 0.0
    assert float(ranking_triplet_loss(rows[:1], rows[None, 1:].flip(1))) > 1.0


def test_wrong_shapes_and_names():
    with pytest.raises(ValueError, match="need anchor"):
        ranking_triplet_loss(unit(3, 4), unit(2, 5, 4))
    with pytest.raises(ValueError, match="at least one more"):
        ranking_triplet_loss(unit(3, 4), unit(3, 1, 4))
    with pytest.raises(ValueError, match="no distance"):
        ranking_triplet_loss(unit(3, 4), unit(3, 5, 4), distance="cosine")
