"""The losses of EmoCo against loops written from the equations, their gradients, and their identities."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from duchenne.methods.emoco import loss as module
from duchenne.methods.emoco.loss import contrastive_rows, emotion_contrastive_loss, emotion_loss

CLASSES, K, DIM = 3, 5, 4


def unit(*shape, seed=0, dtype=torch.float64):
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=-1)


def case(batch=6, dim=DIM, size=K, seed=0, dtype=torch.float64):
    """query, key, queues, weight, labels; class 1 is absent."""
    labels = torch.tensor([0, 2, 2, 0, 2, 0, 2, 2])[:batch]
    weight = 3 * torch.randn(CLASSES, dim, generator=torch.Generator().manual_seed(seed + 9), dtype=dtype)
    return (
        unit(batch, dim, seed=seed, dtype=dtype), unit(batch, dim, seed=seed + 1, dtype=dtype),
        unit(CLASSES, size, dim, seed=seed + 2, dtype=dtype), weight, labels,
    )  # fmt: skip


def dot(u, v):
    return sum(a * b for a, b in zip(u, v))


def naive_contrast(query, key, queues, weight, labels, temperature, normalisation, valid=None):
    """Eqs. 4 and 5, one query after the other."""
    total = 0.0
    for i, y in enumerate(labels.tolist()):
        w = weight[y].tolist()
        w = [x / math.sqrt(dot(w, w)) for x in w]

        def seen(row, w=w):
            if normalisation == "l2":
                return row.tolist()
            shifted = [a - b for a, b in zip(row.tolist(), w)]
            return [x / math.sqrt(dot(shifted, shifted)) for x in shifted]

        q = seen(query[i])
        up = math.exp(dot(q, seen(key[i])) / temperature)
        below = up
        for j in range(queues.shape[1]):
            if valid is None or valid[i][j]:
                below += math.exp(dot(q, seen(queues[y, j])) / temperature)
        total -= math.log(up / below)
    return total / len(query)


def naive_emotion(query, weight, labels):
    total = 0.0
    for q, y in zip(query.tolist(), labels.tolist()):
        scores = [math.exp(dot(w, q)) for w in weight.tolist()]
        total -= math.log(scores[y] / sum(scores))
    return total / len(query)


@pytest.mark.parametrize("normalisation", ["intra_class", "l2"])
@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_values(normalisation, temperature):
    data = case()
    found = emotion_contrastive_loss(*data, temperature=temperature, normalisation=normalisation)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(naive_contrast(*data, temperature, normalisation), rel=1e-10)
    query, _, _, weight, labels = data
    assert float(emotion_loss(query, weight, labels)) == pytest.approx(naive_emotion(query, weight, labels), rel=1e-12)


@pytest.mark.parametrize("per", ["class", "query"])
def test_masked_negatives_do_not_count(per):
    query, key, queues, weight, labels = case()
    shape = (CLASSES, K) if per == "class" else (len(query), K)
    valid = torch.rand(*shape, generator=torch.Generator().manual_seed(4)) < 0.5
    valid[2 if per == "class" else 1] = False
    rows = valid[labels] if per == "class" else valid
    found = emotion_contrastive_loss(query, key, queues, weight, labels, valid=valid)
    expected = naive_contrast(query, key, queues, weight, labels, 0.2, "intra_class", rows.tolist())
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_both_masks_together():
    data = case()
    by_class = torch.rand(CLASSES, K, generator=torch.Generator().manual_seed(1)) < 0.7
    by_query = torch.rand(6, K, generator=torch.Generator().manual_seed(2)) < 0.7
    found = contrastive_rows(*data[:2], data[2].unbind(), *data[3:], by_class=by_class, by_query=by_query).mean()
    both = (by_class[data[4]] & by_query).tolist()
    assert float(found) == pytest.approx(naive_contrast(*data, 0.2, "intra_class", both), rel=1e-10)


def test_without_negatives_the_loss_and_its_gradient_are_zero():
    query, key, queues, weight, labels = case()
    query.requires_grad_()
    found = emotion_contrastive_loss(query, key, queues, weight, labels, valid=torch.zeros(CLASSES, K).bool())
    found.backward()
    assert float(found.detach()) == 0
    assert query.grad.abs().max() == 0


def test_as_many_queries_as_classes():
    """Where a mask could be both, it is one of classes."""
    query, key, queues, weight, labels = case(batch=3)
    valid = torch.rand(3, K, generator=torch.Generator().manual_seed(4)) < 0.5
    found = emotion_contrastive_loss(query, key, queues, weight, labels, valid=valid)
    expected = naive_contrast(query, key, queues, weight, labels, 0.2, "intra_class", valid[labels].tolist())
    assert float(found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("normalisation", ["intra_class", "l2"])
def test_gradients_against_differences(normalisation, detach):
    query, key, queues, weight, labels = case()
    leaves = [tensor.clone().requires_grad_() for tensor in (query, key, queues, weight)]
    emotion_contrastive_loss(*leaves, labels, normalisation=normalisation, detach_prototypes=detach).backward()
    assert leaves[1].grad is None
    assert leaves[2].grad is None
    learns = normalisation == "intra_class" and not detach
    assert (leaves[3].grad is not None and bool(leaves[3].grad.abs().max() > 0)) is learns
    for leaf, number in ((leaves[0], 0), (leaves[3], 3)) if learns else ((leaves[0], 0),):
        for place in np.ndindex(*leaf.shape):
            values = []
            for shift in (1e-6, -1e-6):
                moved = [query.clone(), key, queues, weight.clone()]
                moved[number][place] += shift
                values.append(naive_contrast(*moved, labels, 0.2, normalisation))
            assert float(leaf.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_gradient_of_the_emotion():
    query, _, _, weight, labels = case()
    leaves = (query.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(lambda q, w: emotion_loss(q, w, labels), leaves)


def test_length_of_the_prototypes_does_not_matter():
    query, key, queues, weight, labels = case()
    lengths = torch.tensor([[0.1], [7.0], [100.0]], dtype=torch.float64)
    expected = float(emotion_contrastive_loss(query, key, queues, weight, labels))
    assert float(emotion_contrastive_loss(query, key, queues, weight * lengths, labels)) == pytest.approx(expected)


@pytest.mark.parametrize("normalisation", ["intra_class", "l2"])
def test_random_embeddings_cost_the_log_of_the_candidates(normalisation):
    """ln(K + 1) for random keys, less where a key is close to its query (8.7 of 11.1 at cosine .97)."""
    size, dim = 4096, 128
    query, key, queues = unit(64, dim), unit(64, dim, seed=1), unit(2, size, dim, seed=2)
    weight, labels = 0.01 * unit(2, dim, seed=3), torch.arange(64) % 2
    found = emotion_contrastive_loss(query, key, queues, weight, labels, normalisation=normalisation)
    # The negatives' cosines have a variance of 1 / dim (half of that and a mean of 1/2 around a prototype).
    assert float(found) == pytest.approx(math.log(size + 1), abs=0.25)
    close = emotion_contrastive_loss(query, query, queues, weight, labels, normalisation=normalisation)
    assert float(close) < float(found) - 2
    assert float(emotion_loss(query, weight, labels)) == pytest.approx(math.log(2), abs=0.01)


def test_no_shifted_copy_of_a_queue(monkeypatch):
    """No tensor of the size of a queue is made in scoring (in float32, what is not saved for backward included)."""
    query, key, queues, weight, labels = case(batch=8, dim=64, size=4096, dtype=torch.float32)
    made = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            known = {queue.untyped_storage().data_ptr() for queue in (queues,)}
            for tensor in out if isinstance(out, tuple | list) else [out]:
                if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in known:
                    made.append(tensor.numel())
            return out

    with Watch():
        emotion_contrastive_loss(query.requires_grad_(), key, queues, weight, labels).backward()
    assert max(made) <= 8 * 4096 < 64 * 4096


def test_equal_to_one_queue_at_a_time():
    query, key, queues, weight, labels = case()
    whole = contrastive_rows(query, key, queues.unbind(), weight, labels)
    each = [
        contrastive_rows(query[i : i + 1], key[i : i + 1], queues.unbind(), weight, labels[i : i + 1]) for i in range(6)
    ]
    assert torch.allclose(whole, torch.cat(each), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_gradients_at_the_prototype(dtype):
    """A query, its key and a negative that have all reached the prototype."""
    query, key, queues, weight, labels = case(dtype=dtype)
    prototype = functional.normalize(weight, dim=1)
    query = prototype[labels].clone().requires_grad_()
    key, queues = prototype[labels].clone(), queues.clone()
    queues[:, 0] = prototype
    found = emotion_contrastive_loss(query, key, queues, weight.requires_grad_(), labels, detach_prototypes=False)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(query.grad).all()
    assert torch.isfinite(weight.grad).all()


def test_precision():
    data = case(dim=128, size=64, dtype=torch.float32)
    outside = [emotion_contrastive_loss(*data), emotion_loss(data[0], data[3], data[4])]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = [emotion_contrastive_loss(*data), emotion_loss(data[0], data[3], data[4])]
    assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in zip(inside, outside, strict=True))
    stored = (*data[:2], data[2].bfloat16(), *data[3:])
    assert emotion_contrastive_loss(*stored).dtype == torch.float32
    assert float(emotion_contrastive_loss(*stored)) == pytest.approx(float(outside[0]), abs=0.02)
    exact = [tensor.double() if tensor.is_floating_point() else tensor for tensor in data]
    assert float(outside[0]) == pytest.approx(float(emotion_contrastive_loss(*exact)), abs=1e-5)


def test_wrong_shapes():
    query, key, queues, weight, labels = case()
    with pytest.raises(ValueError, match="query and key"):
        emotion_contrastive_loss(query, key[:2], queues, weight, labels)
    with pytest.raises(ValueError, match="a queue"):
        emotion_contrastive_loss(query, key, queues[:2], weight, labels)
    with pytest.raises(ValueError, match="need valid"):
        emotion_contrastive_loss(query, key, queues, weight, labels, valid=torch.ones(2, K).bool())
    with pytest.raises(ValueError, match="no normalisation"):
        emotion_contrastive_loss(query, key, queues, weight, labels, normalisation="cosine")
    assert module._NEAREST > 0
