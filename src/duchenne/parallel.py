"""Work side by side: many calls in several processes or on a Dask cluster, and an iterator that works ahead.

What belongs here: how processes and threads are started and ended. What they do belongs to whoever calls.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final, TypeVar

from duchenne.errors import InputError, UsageError
from duchenne.plugins import BUILDERS_VARIABLE

T = TypeVar("T")
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_LOOK_EVERY_S: Final = 0.5
_ROOM_EVERY_S: Final = 0.2
_ANSWER_S: Final = 10
_WORKERS_S: Final = 60
_CALLS_AHEAD: Final = 2
"""Calls in the hands of a cluster, for each of its threads."""
_GOES_ON: Final = ", it goes on where it stopped"


class WorkerLost(InputError):
    """A process of this machine that was at work on a call was ended, or could not start."""


@contextmanager
def in_processes(
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    *,
    workers: int,
    lost: str,
    resumes: bool = True,
    ordered: bool = True,
    scheduler: str | None = None,
    alone: bool = False,
) -> Iterator[Iterator[Any]]:
    """Runs calls elsewhere, in the working folder of this process, and gives their results as they come.

    At the end of the `with` block, however it ends, no process of this machine is working on any of the calls; nor when
    this process is killed. A cluster finishes calls that it has begun, and nobody hears of them. Ctrl-C reaches this
    process alone.

    Args:
        function: importable by the processes, or picklable by cloudpickle. A cluster calls it again with the same
            arguments where a worker was lost, perhaps while the lost one is still at it.
        calls: the arguments of each call.
        workers: processes on this machine; the calls of a single one are made in this process.
        lost: whose processes they are, for the sentence on one that was ended from outside.
        resumes: whether the same command goes on where it stopped, for that sentence.
        ordered: give results in the order of the calls, not as they are ready.
        scheduler: address of a Dask cluster that takes the calls instead; None for this machine.
        alone: the function changes what belongs to the whole process (torch's random numbers, numbers of threads), so
            that a worker of a cluster, which may have several threads, must not run two at a time.

    Yields:
        The results.

    Raises:
        UsageError: when Dask is not installed.
        WorkerLost: when a process of this machine was ended, from outside or by a library.
        InputError: when no scheduler answers, a process of a cluster was ended, or the folder is not there.
    """
    if scheduler is not None:
        with _cluster(scheduler) as client:
            results = _from_cluster(client, function, calls, lost=lost, resumes=resumes, ordered=ordered, alone=alone)
            with closing(results):
                yield results
        return
    import joblib
    from joblib.externals.loky import get_reusable_executor

    parent, settings, folder = os.getpid(), _settings(), os.getcwd()
    kind = "generator" if ordered else "generator_unordered"
    watch: dict[str, Any] = {"initializer": _watch, "initargs": (parent,)}
    pool = joblib.Parallel(n_jobs=workers, return_as=kind, batch_size=1, max_nbytes=None, **watch)
    try:
        with _starting_safely():
            with _ignoring_interrupts():  # which the processes inherit
                results = pool(joblib.delayed(_watched)(parent, settings, folder, function, *call) for call in calls)
            try:
                yield results
            finally:
                with warnings.catch_warnings():  # that some calls were not wanted any more is nothing to tell a user
                    warnings.simplefilter("ignore", UserWarning)
                    results.close()
    except (BrokenProcessPool, BrokenPipeError) as error:
        again = "run the same command with fewer --workers"
        raise WorkerLost(
            f"{lost}: a worker process was ended, or not started, most likely for want of memory; {again}"
            f"{_GOES_ON if resumes else ''}."
        ) from error
    except BaseException:  # else joblib's resource tracker complains of what the ended processes left
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise


def _watched(
    parent: int, settings: Mapping[str, str], folder: str, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Calls a function in a worker process.

    joblib may also run it where it is asked for (in a thread, under another backend of the user's): that goes on.
    """
    if os.getpid() != parent == os.getppid():
        for name in _settings():  # joblib keeps workers, which know variables and folder of when they were started
            del os.environ[name]
        os.environ.update(settings)
        os.chdir(folder)
    return function(*arguments)


def _watch(parent: int) -> None:
    """Lets a worker process end with its parent from the first moment on, whether it gets a call or not."""
    threading.Thread(target=end_with, args=(parent,), daemon=True, name="duchenne parent").start()


def _from_cluster(
    client: Any,
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    *,
    lost: str,
    resumes: bool,
    ordered: bool,
    alone: bool,
) -> Generator[Any, None, None]:
    """The results of calls that a Dask cluster takes; see `in_processes`.

    Why not through joblib's backend: it waits for ever for a call that Dask has given up, gives cancelled calls out as
    results, and keeps large arguments on a single worker, with which they are lost.
    """
    from distributed import as_completed

    done: Any = as_completed(loop=client.loop, with_results=True, raise_errors=False)  # type: ignore[no-untyped-call]
    waiting, place = enumerate(calls), (os.getcwd(), os.environ.get(BUILDERS_VARIABLE))
    numbers: dict[Any, int] = {}
    held: dict[int, Any] = {}
    following = count()

    def fill() -> None:
        """Hands out calls so that every thread has its next one, and results do not pile up."""
        room = _CALLS_AHEAD * max(1, sum(client.nthreads().values()))
        for number, call in islice(waiting, max(0, room - len(numbers))):
            future = client.submit(_on_cluster, place, alone, function, call, pure=False)
            numbers[future] = number
            done.add(future)

    try:
        fill()
        expected = next(following)
        for future, result in done:
            number = numbers.pop(future)
            if isinstance(result, tuple):
                raise _given_up(result[1], lost, resumes)
            if not isinstance(result, _Answer):
                raise InputError(
                    f"{lost}: the Dask cluster gave up its work ({future.status}); see whether its scheduler runs, and "
                    f"run the same command again{_GOES_ON if resumes else ''}."
                )
            fill()
            if not ordered:
                yield result.value
                continue
            held[number] = result.value
            while expected in held:
                yield held.pop(expected)
                expected = next(following)
    finally:
        client.cancel(list(numbers))


def _given_up(error: BaseException, lost: str, resumes: bool) -> BaseException:
    """The error of a call; where Dask has given it up, as a sentence."""
    if type(error).__name__ != "KilledWorker":
        return error
    sentence = InputError(
        f"{lost}: several workers of the cluster ended while they were at the same piece of work, most likely for want "
        f"of memory; give them more, and run the same command again{_GOES_ON if resumes else ''}."
    )
    sentence.__cause__ = error
    return sentence


@dataclass(frozen=True)
class _Answer:
    """What a call gave. The status of its future may be another one again, where the worker is lost afterwards."""

    value: Any


_GATE: Final = threading.Condition()
_inside: Final[list[bool]] = []
"""Of the calls that are running in this process: whether each must be alone."""


def _on_cluster(
    place: tuple[str, str | None], alone: bool, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> _Answer:
    """Calls a function in a thread of a cluster's worker.

    Args:
        place: working folder and `DUCHENNE_BUILDERS` of whoever asks, which are those of all calls in the worker. Other
            variables are not handed over: they name folders of a machine.
        alone: see `in_processes`.
        function: to call.
        arguments: its own.
    """
    folder, builders = place
    with _GATE:
        while _inside and (alone or any(_inside) or (os.getcwd(), os.environ.get(BUILDERS_VARIABLE)) != place):
            _GATE.wait()
        try:
            os.chdir(folder)
        except OSError as error:
            raise InputError(
                f"{folder}: a worker does not see this folder ({error.strerror}); work in one that all machines share."
            ) from error
        if builders is None:
            os.environ.pop(BUILDERS_VARIABLE, None)
        else:
            os.environ[BUILDERS_VARIABLE] = builders
        _inside.append(alone)
    try:
        return _Answer(function(*arguments))
    finally:
        with _GATE:
            _inside.remove(alone)
            _GATE.notify_all()


def _settings() -> dict[str, str]:
    """The environment's variables that are ours."""
    return {name: value for name, value in os.environ.items() if name.startswith("DUCHENNE_")}


def end_with(parent: int) -> None:
    """Ends this process as soon as the one that started it is gone, however that ended; never returns."""
    import psutil  # here: only workers need it

    while os.getppid() == parent and psutil.pid_exists(parent):  # on Windows the number of a dead parent stays
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


@contextmanager
def _starting_safely() -> Iterator[None]:
    """Processes that start meanwhile do not look for modules in the working folder: a `random.py` there is nobody's.

    Python's `-m` and `-c`, by which joblib starts them, put the folder before the standard library.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Any]:
    """A client of a Dask cluster that has workers."""
    try:
        from distributed import Client
        from distributed.comm.addressing import resolve_address
    except ImportError as error:
        raise UsageError("--scheduler needs the extra: pip install 'duchenne[cluster]'.") from error
    try:
        resolve_address(scheduler)  # what is none would leave a client that cannot end
        client = Client(scheduler, timeout=_ANSWER_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: no Dask scheduler answers there; check the address (tcp://HOST:8786), and "
            "whether it runs."
        ) from error
    remarks = logging.getLogger("distributed.client")
    level = remarks.level
    remarks.setLevel(logging.ERROR)  # no word of a lost worker whose work another one does
    try:
        with client:
            try:
                client.wait_for_workers(1, timeout=_WORKERS_S)
            except TimeoutError as error:
                raise InputError(
                    f"--scheduler {scheduler}: has no workers; start some with `dask worker {scheduler}`."
                ) from error
            yield client
    finally:
        remarks.setLevel(level)


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The same items, made in another thread while the earlier ones are used.

    Decoding, MediaPipe, OpenCV and encoding release Python's lock, so stages joined by this run at the same time.

    Args:
        items: used in the other thread only, also closed there.
        depth: how many are kept waiting at most; the other thread pauses at that.

    Raises:
        Exception: whatever `items` raises, after everything that came before it was given.
        MemoryError: when the other thread ended without a word: what it had to say did not fit into memory.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=depth)
    over = threading.Event()

    def hand(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not over.is_set():
            try:
                waiting.put(entry, timeout=_ROOM_EVERY_S)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        iterator: Any = iter(items)
        try:
            for item in iterator:
                if not hand((item, None, False)):
                    return
            hand((None, None, True))
        except BaseException as error:
            hand((None, error, True))
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=work, daemon=True, name="duchenne ahead")
    thread.start()
    try:
        while True:
            try:
                item, error, is_last = waiting.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                if thread.is_alive() or not waiting.empty():
                    continue
                raise MemoryError from None
            if error is not None:
                raise error
            if is_last:
                return
            yield item  # type: ignore[misc]
    finally:
        over.set()
        thread.join()
