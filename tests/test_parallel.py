"""Working ahead, or elsewhere, changes nothing but the time it takes, and leaves nothing running."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import joblib
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.errors import InputError
from duchenne.parallel import ahead, in_processes


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


class Narrow(queue.Queue[object]):
    """A queue that there is no memory for anything in."""

    def put(self, *_: object, **__: object) -> None:
        raise MemoryError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_without_a_word_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "Queue", Narrow)
    with pytest.raises(MemoryError):
        next(ahead([1], 1))
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


def doubled(number: int, seconds: float = 0.0) -> tuple[int, int]:
    time.sleep(seconds)
    return 2 * number, os.getpid()


def ended(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_in_order_from_other_processes() -> None:
    with in_processes(doubled, [(1, 0.4), (2,), (3,)], workers=2, lost="this") as results:
        found = list(results)
    assert [value for value, _ in found] == [2, 4, 6]
    assert os.getpid() not in {process for _, process in found}


def test_a_process_that_was_ended_is_one_sentence() -> None:
    calls = [(number,) for number in range(4)]
    with (
        pytest.raises(InputError, match=r"this: a worker process was ended, .*fewer workers"),
        in_processes(ended, calls, workers=2, lost="this") as results,
    ):
        list(results)


def test_no_process_works_on_after_an_interruption() -> None:
    """Results are asked for one by one; then Ctrl-C comes while two calls that take a minute are running."""
    processes = []

    def use() -> None:
        calls = [(1,), (2,), (3, 60.0), (4, 60.0)]
        with warnings.catch_warnings(), in_processes(doubled, calls, workers=2, lost="this") as results:
            warnings.simplefilter("error")
            processes.extend(next(results)[1] for _ in range(2))
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        use()
    assert time.monotonic() - started < 50
    while any(map(is_running, processes)):
        assert time.monotonic() - started < 50
        time.sleep(0.05)


WAITING = """
import os, sys, time
sys.path[:0] = {path!r}
from duchenne.parallel import in_processes
from tests.test_parallel import doubled

with in_processes(doubled, [(1,), (2,), (3, 60.0), (4, 60.0)], workers=2, lost="this") as results:
    print(*(next(results)[1] for _ in range(2)), flush=True)
    next(results)
"""


def test_workers_end_with_their_parent() -> None:
    """It is killed while both are in a call that takes a minute."""
    code = WAITING.format(path=[str(Path(__file__).parents[1]), *sys.path])
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


IDLE = """
import sys
sys.path[:0] = {path!r}
from duchenne.parallel import in_processes
from tests.test_parallel import doubled

with in_processes(doubled, [(1, 60.0)], workers=2, lost="this") as results:
    next(results)
"""


def test_a_worker_without_a_call_ends_with_its_parent() -> None:
    """Two are started, and one is at a call; of itself the other would wait for five minutes."""
    code = IDLE.format(path=[str(Path(__file__).parents[1]), *sys.path])
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    workers: list[psutil.Process] = []
    while len(workers) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        workers = [one for one in psutil.Process(parent.pid).children() if "LokyProcess" in " ".join(one.cmdline())]
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=40)
    assert alive == []


def variable(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_know_variables_that_were_set_after_they_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("first", "second", None):
        if value is None:
            monkeypatch.delenv("DUCHENNE_TRIED")
        else:
            monkeypatch.setenv("DUCHENNE_TRIED", value)
        with in_processes(variable, [("DUCHENNE_TRIED",)] * 2, workers=2, lost="this") as results:
            assert list(results) == [value] * 2


def test_calls_in_this_process_do_not_end_it() -> None:
    """joblib runs them in threads where the user asks for that."""
    with (
        joblib.parallel_config(backend="threading"),
        in_processes(doubled, [(1, 0.7), (2, 0.7)], workers=2, lost="this") as results,
    ):
        assert [process for _, process in results] == [os.getpid()] * 2
    time.sleep(0.7)  # a watch would have looked by now


def test_scripts_in_the_working_folder_are_nobodys(tmp_path: Path) -> None:
    """Workers took them for modules of Python: they ran, and inputs were said to have failed for want of memory."""
    for name in ("random", "queue", "pickle", "joblib"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise RuntimeError('not mine')\n")
    code = (
        "from duchenne.parallel import in_processes\n"
        "with in_processes(len, [('ab',), ('c',)], workers=2, lost='two words') as found: print(list(found))"
    )
    # -P, because what Python runs by -c here is not what the installed command runs
    said = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[2, 1]"
    assert not (tmp_path / "ran").exists()
    assert "PYTHONSAFEPATH" not in os.environ
