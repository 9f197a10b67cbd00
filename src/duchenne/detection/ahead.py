"""Stages that overlap: an iterator that works ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")
_LOOK_EVERY_S: Final = 0.2


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
                waiting.put(entry, timeout=_LOOK_EVERY_S)
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
