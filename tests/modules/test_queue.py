"""The memory of keys against a list that forgets its oldest entries."""

from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duchenne.modules.queue import Queue


def rows_of(numbers, dim=2):
    return torch.tensor(numbers, dtype=torch.float32)[:, None].expand(-1, dim)


def contents(queue, place=()):
    """The rows of a memory (or of one class) from the oldest to the newest, by their first number, and their ids."""
    filled, start = int(queue.filled[place]), int(queue.place[place])
    order = [(start - filled + n) % queue.size for n in range(filled)]
    return queue.rows[place][order, 0].tolist(), queue.ids("subject")[place][order].tolist()


@given(st.integers(1, 7), st.lists(st.integers(0, 9), max_size=8))
def test_first_in_first_out(size, batches):
    queue, expected, number = Queue(size, 2, ids=["subject"]), deque(maxlen=size), 0
    for batch in batches:
        numbers = list(range(number, number + batch))
        number += batch
        expected.extend(numbers)
        queue.push(rows_of(numbers).reshape(batch, 2), subject=10 * torch.tensor(numbers, dtype=torch.int64))
        found, ids = contents(queue)
        assert found == list(expected)
        assert ids == [10 * value for value in expected]
        assert int(queue.valid().sum()) == len(expected)


@given(st.integers(1, 4), st.lists(st.lists(st.integers(0, 2), max_size=9), max_size=6))
def test_classes_do_not_touch_each_other(size, batches):
    queue, number = Queue(size, 2, ids=["subject"], classes=3), 0
    expected = [deque(maxlen=size) for _ in range(3)]
    for labels in batches:
        numbers = list(range(number, number + len(labels)))
        number += len(labels)
        for label, value in zip(labels, numbers, strict=True):
            expected[label].append(value)
        ids = torch.tensor(numbers, dtype=torch.int64)
        queue.push(rows_of(numbers).reshape(-1, 2), labels=torch.tensor(labels, dtype=torch.int64), subject=ids)
        for label in range(3):
            assert contents(queue, label)[0] == list(expected[label])
            assert contents(queue, label)[1] == list(expected[label])
            assert int(queue.valid()[label].sum()) == len(expected[label])


def test_starts_as_unit_vectors_that_nobody_wrote():
    queue = Queue(50, 8, ids=["clip"])
    assert torch.allclose(queue.rows.norm(dim=1), torch.ones(50))
    assert not queue.valid().any()
    assert set(queue.ids("clip").tolist()) == {-1}
    assert abs(float((queue.rows @ queue.rows.T).fill_diagonal_(0).mean())) < 0.1


def test_state_is_everything():
    queue, other = Queue(5, 2, ids=["subject"]), Queue(5, 2, ids=["subject"])
    queue.push(rows_of([1, 2, 3]), subject=torch.tensor([1, 2, 3]))
    other.load_state_dict(queue.state_dict())
    for memory in (queue, other):
        memory.push(rows_of([4, 5, 6]), subject=torch.tensor([4, 5, 6]))
    assert contents(other) == contents(queue) == ([2, 3, 4, 5, 6], [2, 3, 4, 5, 6])
    assert torch.equal(other.rows, queue.rows)


def test_halved_storage():
    queue = Queue(4, 8, dtype=torch.bfloat16)
    keys = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    queue.push(keys)
    assert queue.rows.dtype == torch.bfloat16
    assert torch.equal(queue.rows[:3], keys.bfloat16())


def test_rows_are_stored_without_their_graph():
    keys = torch.randn(3, 8, requires_grad=True)
    queue = Queue(4, 8)
    queue.push(keys * 2)
    assert not queue.rows.requires_grad
    assert not list(queue.parameters())


def test_wrong_use():
    with pytest.raises(ValueError, match="at least 1"):
        Queue(0, 2)
    with pytest.raises(ValueError, match=r"takes no labels and the ids \('subject',\)"):
        Queue(4, 2, ids=["subject"]).push(rows_of([1]))
    with pytest.raises(ValueError, match="takes labels"):
        Queue(4, 2, classes=2).push(rows_of([1]))
    with pytest.raises(ValueError, match="takes no labels"):
        Queue(4, 2).push(rows_of([1]), labels=torch.tensor([0]))
