"""Calls that a Dask cluster takes: each is answered once, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask.config
import pytest
from distributed import Client, LocalCluster

from duchenne.errors import InputError, UsageError
from duchenne.parallel import in_processes


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A cluster of two workers, each with two threads."""
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})  # a slow start is no end of a worker
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None, host="127.0.0.1") as cluster:
        yield cluster.scheduler_address


def numbered(folder: Path, number: int) -> tuple[int, str, int]:
    """The call of number 7 ends its worker at the first try."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    if number == 7 and not (folder / "ended").exists():
        (folder / "ended").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number, os.getcwd(), os.getpid()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(
    ordered: bool, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls = [(tmp_path, number) for number in range(60)]
    with in_processes(numbered, calls, workers=1, lost="this", scheduler=scheduler, ordered=ordered) as results:
        found = list(results)
    assert (tmp_path / "ended").exists()
    numbers = [number for number, _, _ in found]
    assert (numbers if ordered else sorted(numbers)) == list(range(60))
    assert {folder for _, folder, _ in found} == {str(tmp_path)}  # the workers were started elsewhere
    assert len(list(tmp_path.glob("7-*"))) == 2
    assert os.getpid() not in {process for _, _, process in found}


def ended(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_call_that_ends_every_worker_is_one_sentence(scheduler: str) -> None:
    calls = [(number,) for number in range(4)]
    with (
        pytest.raises(InputError, match=r"this: several workers of the cluster ended .*goes on where it stopped"),
        in_processes(ended, calls, workers=1, lost="this", scheduler=scheduler) as results,
    ):
        list(results)


def refused(number: int) -> int:
    if number == 1:
        raise UsageError("--seed -1: must not be negative.")
    return number


def test_an_error_comes_through(scheduler: str) -> None:
    with (
        pytest.raises(UsageError, match="must not be negative"),
        in_processes(refused, [(0,), (1,), (2,)], workers=1, lost="this", scheduler=scheduler) as results,
    ):
        list(results)


def allowed(name: str = "DUCHENNE_BUILDERS") -> str | None:
    time.sleep(0.05)
    return os.environ.get(name)


def test_code_that_the_user_allows_is_allowed_to_workers(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For these calls alone; variables that name folders of a machine stay with it."""
    monkeypatch.setenv("DUCHENNE_MODELS", "/mine")
    for trusted in ("own.module:net,other:net", "third:net", None):
        if trusted is None:
            monkeypatch.delenv("DUCHENNE_BUILDERS")
        else:
            monkeypatch.setenv("DUCHENNE_BUILDERS", trusted)
        with in_processes(allowed, [()] * 8, workers=1, lost="this", scheduler=scheduler) as results:
            assert set(results) == {trusted}
    with in_processes(allowed, [("DUCHENNE_MODELS",)], workers=1, lost="this", scheduler=scheduler) as results:
        assert list(results) != ["/mine"]


def test_calls_of_two_users_are_not_mixed(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has one environment: a call waits there for those that are allowed other code."""
    monkeypatch.setenv("DUCHENNE_BUILDERS", "first:net")
    with in_processes(allowed, [()] * 12, workers=1, lost="this", scheduler=scheduler) as first:
        found = [next(first)]
        monkeypatch.setenv("DUCHENNE_BUILDERS", "second:net")
        with in_processes(allowed, [()] * 12, workers=1, lost="this", scheduler=scheduler) as second:
            assert set(second) == {"second:net"}
        found += first
    assert found == ["first:net"] * 12


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1", "carrier-pigeon://127.0.0.1:8786", "a b:1"])
def test_what_is_no_address_is_one_sentence_and_nothing_after_it(address: str) -> None:
    code = f"""
import gc
from duchenne.parallel import in_processes
try:
    with in_processes(print, [(1,)], workers=1, lost="this", scheduler={address!r}) as results:
        list(results)
except Exception as error:
    print(type(error).__name__, error)
gc.collect()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout == (
        f"InputError scheduler {address}: no Dask scheduler answers there; check the address (tcp://HOST:8786), and "
        "whether it runs.\n"
    )


def side_by_side(seconds: float) -> int:
    """How many such calls run in this process at the same time."""
    marks = sys.modules.setdefault("tests.marks", type(sys)("tests.marks"))
    lock = marks.__dict__.setdefault("lock", threading.Lock())
    with lock:
        marks.running = getattr(marks, "running", 0) + 1
        most = marks.running
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, marks.running)
        time.sleep(0.01)
    with lock:
        marks.running -= 1
    return most


@pytest.mark.parametrize("alone", [True, False])
def test_calls_that_change_their_process_run_one_at_a_time(alone: bool, scheduler: str) -> None:
    calls = [(0.3,)] * 8
    with in_processes(side_by_side, calls, workers=1, lost="this", scheduler=scheduler, alone=alone) as results:
        assert set(results) == {1} if alone else max(results) == 2


def test_a_folder_that_workers_do_not_see(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    calls = ((call,) for call in (0,))
    with in_processes(refused, calls, workers=1, lost="this", scheduler=scheduler) as results:
        assert list(results) == [0]
    monkeypatch.setattr("os.getcwd", lambda: str(tmp_path / "nowhere"))
    with (
        pytest.raises(InputError, match=r"a worker does not see this folder .*all machines share"),
        in_processes(refused, [(0,)], workers=1, lost="this", scheduler=scheduler) as results,
    ):
        list(results)


@pytest.mark.slow
def test_a_scheduler_that_ends_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of its own, as `dask scheduler` and `dask worker` start it."""
    command = [sys.executable, "-m", "dask"]
    environment = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3"}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    place = subprocess.Popen([*command, "scheduler", *options], stderr=subprocess.PIPE, text=True, env=environment)
    assert place.stderr is not None
    address = next(line.split()[-1] for line in place.stderr if "Scheduler at:" in line)
    worker = subprocess.Popen(
        [*command, "worker", address, "--no-dashboard", "--nthreads", "1"], stderr=subprocess.DEVNULL, env=environment
    )

    def use() -> None:
        calls = [(number / 4,) for number in range(1, 200)]
        with in_processes(side_by_side, calls, workers=1, lost="this", scheduler=address) as results:
            next(results)
            place.kill()
            list(results)

    monkeypatch.setitem(dask.config.config["distributed"]["comm"]["timeouts"], "connect", "3s")
    try:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        with pytest.raises(InputError, match=r"this: the Dask cluster gave up its work .*scheduler runs"):
            use()
    finally:
        for process in (worker, place):
            process.terminate()
        for process in (worker, place):
            process.wait(timeout=30)
        place.stderr.close()
