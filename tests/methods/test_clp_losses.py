"""CLP's losses against loops written from Eqs. 1 to 4 in Python floats, and their closed forms."""

import math

import pytest
import torch
from torch.nn import functional

from duchenne.methods.clp.loss import cross_identity_reconstruction_loss, temporal_contrastive_loss
from duchenne.methods.temporal_ranking.loss import ranking_triplet_loss

LAMBDA = {
    "inverse_sqrt": lambda j: j**-0.5,
    "uniform": lambda j: 1.0,
    "inverse": lambda j: 1 / j,
    "exponential": lambda j: math.exp(-j),
}


def rows(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def unit(*shape, seed=0, dtype=torch.float64):
    return functional.normalize(rows(*shape, seed=seed, dtype=dtype), dim=-1)


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def cosine(x, y):
    return dot(x, y) / math.sqrt(dot(x, x) * dot(y, y))


def naive_temporal(clip, margin, weighting, offset, squared=False):
    total = 0.0
    for frames in clip.tolist():
        for order in (frames, frames[::-1]):
            d = [sum((a - b) ** 2 for a, b in zip(f, order[0], strict=True)) for f in order]
            d = d if squared else [math.sqrt(value) for value in d]
            for j in range(2, len(order)):  # the paper counts frames from 1
                total += LAMBDA[weighting](j + offset) * max(0.0, d[j - 1] - d[j] + margin)
    return total / len(clip)


def naive_reconstruction(query, key, support, negatives, t, same=None, same_negatives=None):
    total = 0.0
    support, negatives = support.tolist(), negatives.tolist()
    for number, (q, k) in enumerate(zip(query.tolist(), key.tolist(), strict=True)):
        used = [c for place, c in enumerate(support) if same is None or not same[number][place]]
        if not used:
            continue
        weights = [math.exp(cosine(q, c) / t) for c in used]
        made = [sum(w * c[d] for w, c in zip(weights, used, strict=True)) / sum(weights) for d in range(len(q))]
        positive = math.exp(cosine(made, k) / t)
        others = [c for place, c in enumerate(negatives) if same_negatives is None or not same_negatives[number][place]]
        total -= math.log(positive / (positive + sum(math.exp(cosine(made, c) / t) for c in others)))
    return total / len(query)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("offset", [0, -1, 2])
@pytest.mark.parametrize("weighting", LAMBDA)
def test_temporal_value(weighting, offset, squared):
    clip, distance = unit(4, 7, 5), "sqeuclidean" if squared else "euclidean"
    found = temporal_contrastive_loss(clip, margin=0.3, weighting=weighting, offset=offset, distance=distance)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(naive_temporal(clip, 0.3, weighting, offset, squared), rel=1e-12)


def test_temporal_closed_forms():
    """Collapsed rows cost every margin; rows in order cost nothing; both directions are one loss."""
    collapsed = unit(1, 1, 8).expand(3, 9, 8)
    assert float(temporal_contrastive_loss(collapsed)) == pytest.approx(2 * 0.03 * 3.372, abs=1e-4)
    assert float(temporal_contrastive_loss(collapsed, offset=-1)) == pytest.approx(2 * 0.03 * 4.018, abs=1e-4)
    angles = torch.linspace(0, 3, 9, dtype=torch.float64)
    ordered = torch.stack([angles.cos(), angles.sin()], dim=1)[None]
    assert float(temporal_contrastive_loss(ordered)) == 0.0
    shuffled = ordered[:, torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    assert float(temporal_contrastive_loss(shuffled)) > 0.5
    clip = unit(3, 9, 6)
    assert torch.allclose(temporal_contrastive_loss(clip), temporal_contrastive_loss(clip.flip(1)), rtol=1e-12)


def test_uniform_weights_are_temporal_ranking_in_both_directions():
    clip = unit(3, 8, 6)
    forward = ranking_triplet_loss(clip[:, 0], clip[:, 1:], distance="euclidean")
    backward = ranking_triplet_loss(clip[:, -1], clip.flip(1)[:, 1:], distance="euclidean")
    found = temporal_contrastive_loss(clip, weighting="uniform")
    assert float(found) == pytest.approx(float(forward + backward), rel=1e-12)


def masks():
    generator = torch.Generator().manual_seed(5)
    same, other = (torch.rand(4, number, generator=generator) < 0.4 for number in (6, 5))
    return {"same_identity": same, "same_identity_negatives": other}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_reconstruction_value(temperature, masked):
    tensors = rows(4, 5), rows(4, 5, seed=1), rows(6, 5, seed=2), rows(5, 5, seed=3)
    given = masks() if masked else {}
    found = cross_identity_reconstruction_loss(*tensors, temperature=temperature, **given)
    assert float(found) == pytest.approx(naive_reconstruction(*tensors, temperature, *given.values()), rel=1e-12)


def test_gradients_against_differences():
    def temporal(clip):
        return naive_temporal(clip, 0.3, "inverse_sqrt", 0)

    def reconstruction(query):
        others = rows(2, 3, seed=1), rows(4, 3, seed=2), rows(3, 3, seed=3)
        return naive_reconstruction(query, *others, 0.5)

    cases = [
        (temporal, lambda x: temporal_contrastive_loss(x, margin=0.3), unit(2, 5, 3)),
        (
            reconstruction,
            lambda x: cross_identity_reconstruction_loss(
                x, rows(2, 3, seed=1), rows(4, 3, seed=2), rows(3, 3, seed=3), temperature=0.5
            ),
            rows(2, 3),
        ),
    ]
    for naive, loss, start in cases:
        leaf = start.clone().requires_grad_()
        loss(leaf).backward()
        for place in torch.cartesian_prod(*(torch.arange(n) for n in start.shape)).tolist():
            values = []
            for shift in (1e-6, -1e-6):
                moved = start.clone()
                moved[tuple(place)] += shift
                values.append(naive(moved))
            assert float(leaf.grad[tuple(place)]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_gradient_reaches_the_query_only_and_only_through_the_attention():
    tensors = [rows(3, 5, seed=seed).requires_grad_() for seed in range(2)]
    tensors += [rows(number, 5, seed=number).requires_grad_() for number in (7, 6)]
    cross_identity_reconstruction_loss(*tensors).backward()
    assert float(tensors[0].grad.abs().sum()) > 0
    assert all(tensor.grad is None for tensor in tensors[1:])
    query = rows(3, 5).requires_grad_()
    cross_identity_reconstruction_loss(query, rows(3, 5, seed=1), rows(1, 5), rows(6, 5)).backward()
    assert float(query.grad.abs().max()) < 1e-12  # of one row the attention is 1, whatever the query


def test_one_support_row_is_the_reconstruction():
    key, support, negatives = unit(1, 5, seed=1), unit(1, 5, seed=2), unit(4, 5, seed=3)
    logits = torch.cat([(support * key).sum(1), (support @ negatives.T)[0]]) / 0.07
    expected = functional.cross_entropy(logits[None], torch.tensor([0]))
    for seed in (0, 4):
        found = cross_identity_reconstruction_loss(unit(1, 5, seed=seed), key, support, negatives)
        assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_masked_rows():
    query, key, support, negatives = unit(3, 5), unit(3, 5, seed=1), unit(8, 5, seed=2), unit(6, 5, seed=3)
    same = torch.zeros(3, 8, dtype=torch.bool)
    same[:, 3:] = True
    whole = cross_identity_reconstruction_loss(query, key, support, negatives, same_identity=same)
    part = cross_identity_reconstruction_loss(query, key, support[:3], negatives)
    assert float(whole) == pytest.approx(float(part), rel=1e-12)
    same[1] = True  # nobody else: that query adds 0
    leaf = query.clone().requires_grad_()
    found = cross_identity_reconstruction_loss(leaf, key, support, negatives, same_identity=same)
    found.backward()
    alone = [cross_identity_reconstruction_loss(query[[n]], key[[n]], support[:3], negatives) for n in (0, 2)]
    assert float(found.detach()) == pytest.approx(float(sum(alone)) / 3, rel=1e-12)
    assert torch.isfinite(leaf.grad).all()
    assert not leaf.grad[1].any()
    everything = torch.ones(3, 6, dtype=torch.bool)
    leaf.grad = None
    found = cross_identity_reconstruction_loss(leaf, key, support, negatives, same_identity_negatives=everything)
    found.backward()
    assert float(found.detach()) == 0.0
    assert torch.isfinite(leaf.grad).all()


def test_at_the_start_it_is_about_the_logarithm_of_the_negatives():
    support, negatives = unit(2000, 128, seed=2), unit(2000, 128, seed=3)
    found = cross_identity_reconstruction_loss(unit(64, 128), unit(64, 128, seed=1), support, negatives, temperature=1)
    assert float(found) == pytest.approx(math.log(2001), abs=0.05)


def test_no_copy_of_the_memory():
    """Two views of one memory in float32: what autograd keeps is as wide as the logits, never a copy of the rows."""
    memory = unit(4096, 128, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        query = unit(2, 128, dtype=torch.float32).requires_grad_()
        loss = cross_identity_reconstruction_loss(
            query, unit(2, 128, dtype=torch.float32), memory[:2048], memory[2048:]
        )
    loss.backward()
    storage = memory.untyped_storage().data_ptr()
    wide = [tensor for tensor in kept if tensor.numel() >= 2048 * 128]
    assert wide
    assert all(tensor.untyped_storage().data_ptr() == storage for tensor in wide)


def test_same_inside_autocast():
    clip = unit(4, 9, 64, dtype=torch.float32)
    tensors = [unit(n, 64, seed=n, dtype=torch.float32) for n in (4, 4, 32, 33)]
    outside = temporal_contrastive_loss(clip), cross_identity_reconstruction_loss(*tensors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = temporal_contrastive_loss(clip), cross_identity_reconstruction_loss(*tensors)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
    assert cross_identity_reconstruction_loss(*(tensor.bfloat16() for tensor in tensors)).dtype == torch.float32


def test_identical_and_zero_rows_have_finite_gradients():
    same = torch.ones(2, 4, 8, requires_grad=True)
    temporal_contrastive_loss(same).backward()
    assert torch.isfinite(same.grad).all()
    query = torch.zeros(2, 8, requires_grad=True)
    cross_identity_reconstruction_loss(query, torch.ones(2, 8), torch.ones(3, 8), torch.ones(3, 8)).backward()
    assert torch.isfinite(query.grad).all()


def test_wrong_shapes_and_names():
    with pytest.raises(ValueError, match="at least 3 frames"):
        temporal_contrastive_loss(unit(2, 2, 4))
    with pytest.raises(ValueError, match="no weighting 'linear'"):
        temporal_contrastive_loss(unit(2, 3, 4), weighting="linear")
    with pytest.raises(ValueError, match="offset"):
        temporal_contrastive_loss(unit(2, 3, 4), offset=-2)
    with pytest.raises(ValueError, match="query and key"):
        cross_identity_reconstruction_loss(unit(2, 4), unit(3, 4), unit(5, 4), unit(5, 4))
    with pytest.raises(ValueError, match="at least one row"):
        cross_identity_reconstruction_loss(unit(2, 4), unit(2, 4), unit(0, 4), unit(5, 4))
    with pytest.raises(ValueError, match="same_identity"):
        cross_identity_reconstruction_loss(
            unit(2, 4), unit(2, 4), unit(5, 4), unit(5, 4), same_identity=torch.zeros(2, 4, dtype=torch.bool)
        )
