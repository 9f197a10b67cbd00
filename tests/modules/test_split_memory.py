"""The memory in two parts: dealing keeps every row once, deals evenly, and forgets the oldest first."""

from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duchenne.modules.split_memory import SplitMemory


def numbered(numbers):
    return torch.tensor(numbers, dtype=torch.float32)[:, None].expand(-1, 2).reshape(-1, 2)


@given(st.integers(2, 9), st.data())
def test_first_in_first_out_whatever_was_dealt(size, data):
    memory = SplitMemory(size, 2, data.draw(st.integers(1, size - 1)), ids=["subject"])
    expected, number = deque(maxlen=size), 0
    for batch in data.draw(st.lists(st.integers(0, 5), max_size=8)):
        numbers = list(range(number, number + batch))
        number += batch
        expected.extend(numbers)
        memory.push(numbered(numbers), subject=torch.tensor(numbers, dtype=torch.int64) * 10)
        memory.deal()
        written = memory.valid()
        assert torch.equal(written, memory.ids("subject") >= 0)
        assert sorted(memory.rows[written, 0].tolist()) == sorted(expected)
        assert torch.equal(memory.ids("subject")[written], 10 * memory.rows[written, 0].long())
        assert sorted(memory.order.tolist()) == list(range(size))


def test_parts_are_disjoint_views_of_everything():
    memory = SplitMemory(10, 3, 4, ids=["subject"])
    support, negatives = memory.split()
    assert (len(support), len(negatives)) == (4, 6)
    assert {part.untyped_storage().data_ptr() for part in (support, negatives)} == {
        memory.rows.untyped_storage().data_ptr()
    }
    assert torch.equal(torch.cat([support, negatives]), memory.rows)
    assert [len(part) for part in memory.split(memory.ids("subject"))] == [4, 6]


def test_every_row_is_in_the_support_equally_often():
    memory = SplitMemory(30, 1, 10)
    memory.push(torch.arange(30.0)[:, None])
    counts, together = torch.zeros(30), 0
    for _ in range(1500):
        memory.deal()
        support = memory.split()[0][:, 0].long()
        assert len(set(support.tolist())) == 10
        counts[support] += 1
        together += {3, 4} <= set(support.tolist())
    assert (counts / 1500 - 1 / 3).abs().max() < 0.05
    assert abs(together / 1500 - 10 * 9 / (30 * 29)) < 0.03


def test_state_is_everything():
    memory, other = SplitMemory(8, 2, 3), SplitMemory(8, 2, 3)
    for number in range(3):
        memory.push(numbered([2 * number, 2 * number + 1]))
        memory.deal()
    other.load_state_dict(memory.state_dict())
    for one in (memory, other):
        one.push(numbered([7, 8, 9]))
        one.deal()
    assert torch.equal(memory.rows, other.rows)
    assert torch.equal(memory.order, other.order)


def test_support_must_leave_negatives():
    with pytest.raises(ValueError, match="smaller than the memory"):
        SplitMemory(8, 2, 8)
