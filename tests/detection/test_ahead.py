"""Working ahead in a thread changes nothing but the time it takes."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.detection.ahead import ahead


def named_threads() -> int:
    return sum(thread.name == "duchenne ahead" for thread in threading.enumerate())


@given(st.lists(st.one_of(st.none(), st.integers())), st.integers(1, 5))
def test_the_same_items_in_order(items: list[int | None], depth: int) -> None:
    assert list(ahead(items, depth)) == items
    assert named_threads() == 0


def test_an_error_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(iter(ahead(items(), 1)))
    iterator = ahead(items(), 3)
    assert [next(iterator), next(iterator)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(iterator)


def test_it_never_runs_further_ahead_than_asked() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    iterator = ahead(items(), 3)
    next(iterator)
    deadline_s = time.monotonic() + 10
    while len(taken) < 5 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(taken) == 5  # one used, three waiting, one in hand
    iterator.close()
    assert named_threads() == 0


def test_leaving_early_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    for item in ahead(items(), 2):
        if item == 3:
            break
    assert closed.wait(5)
