"""Work side by side: many calls in several processes or on a Dask cluster, and an iterator that works ahead.

What belongs here: how processes and threads are started and ended. What they do belongs to whoever calls.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from duchenne.errors import InputError, UsageError

T = TypeVar("T")
_LOOK_EVERY_S: Final = 0.5
_WATCH: Final = "duchenne parent"
_ROOM_EVERY_S: Final = 0.2
_ANSWER_S: Final = 10


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
) -> Iterator[Iterator[Any]]:
    """Runs calls elsewhere and gives their results as they come.

    At the end of the `with` block, however it ends, no process is working on any of the calls; nor when this process is
    killed. Ctrl-C reaches this process alone.

    Args:
        function: importable by the processes, or picklable by cloudpickle.
        calls: the arguments of each call.
        workers: processes on this machine.
        lost: whose processes they are, for the sentence on one that was ended from outside.
        resumes: whether the same command goes on where it stopped, for that sentence.
        ordered: give results in the order of the calls, not as they are ready.
        scheduler: address of a Dask cluster that takes the calls instead; None for this machine.

    Yields:
        The results.

    Raises:
        UsageError: when Dask is not installed.
        InputError: when no scheduler answers, or a process was ended from outside.
    """
    import joblib
    from joblib.externals.loky import get_reusable_executor

    parent, settings = (None, {}) if scheduler else (os.getpid(), _settings())
    kind = "generator" if ordered else "generator_unordered"
    with _cluster(scheduler):
        pool = joblib.Parallel(
            n_jobs=-1 if scheduler else workers, return_as=kind, batch_size=1, max_nbytes=None
        )  # fmt: skip
        try:
            with _ignoring_interrupts():  # which the processes inherit
                results = pool(joblib.delayed(_watched)(parent, settings, function, *call) for call in calls)
            try:
                yield results
            finally:
                with warnings.catch_warnings():  # that some calls were not wanted any more is nothing to tell a user
                    warnings.simplefilter("ignore", UserWarning)
                    results.close()
        except (BrokenProcessPool, BrokenPipeError) as error:
            raise InputError(_said(lost, resumes)) from error
        except BaseException as error:
            if type(error).__name__ == "KilledWorker":  # Dask's, which need not be installed
                raise InputError(_said(lost, resumes)) from error
            if scheduler is None:  # else its resource tracker complains of what the ended processes left
                get_reusable_executor().shutdown(wait=True, kill_workers=True)
            raise


def _said(lost: str, resumes: bool) -> str:
    return (
        f"{lost}: a worker process was ended, or not started, most likely for want of memory; run the same command "
        f"with fewer --workers{', it goes on where it stopped' if resumes else ''}."
    )


def _watched(parent: int | None, settings: Mapping[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a worker process, which ends with the process that waits for it.

    joblib may also run it where it is asked for (in a thread, under another backend of the user's): that goes on.
    """
    if os.getpid() != parent == os.getppid():
        for name in _settings():  # joblib keeps workers, which know the variables of when they were started
            del os.environ[name]
        os.environ.update(settings)
        if not any(thread.name == _WATCH for thread in threading.enumerate()):
            threading.Thread(target=end_with, args=(parent,), daemon=True, name=_WATCH).start()
    return function(*arguments)


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
def _cluster(scheduler: str | None) -> Iterator[None]:
    """Has joblib use a Dask cluster; where `scheduler` is None, whatever it uses already."""
    if scheduler is None:
        yield
        return
    import joblib

    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--scheduler needs the extra: pip install 'duchenne[cluster]'.") from error
    try:
        client = Client(scheduler, timeout=_ANSWER_S, set_as_default=True)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers there; check the address.") from error
    with client, joblib.parallel_config(backend="dask"):
        if not client.scheduler_info()["workers"]:
            raise InputError(f"--scheduler {scheduler}: has no workers; start some with `dask worker {scheduler}`.")
        yield


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The same items, made in another thread while the earlier ones are used.

    Decoding, MediaPipe, OpenCV and encoding release Python's lock, so stages joined by this run at the same time.

    Args:
        items: used in the other thread only, also closed there.
        depth: how many are kept waiting at most; the other thread pauses at that.

    Raises:
        Exception: whatever `items` raises, after everything that came before it was given.
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
            item, error, is_last = waiting.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item  # type: ignore[misc]
    finally:
        over.set()
        thread.join()
