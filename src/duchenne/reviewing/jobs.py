"""Commands that the page starts: one after the other, in processes of their own, until it cancels them."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from duchenne.errors import DuchenneError, UsageError
from duchenne.parallel import end_with

_LINES: Final = 40
_PATIENCE_S: Final = 5.0


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        what: in words, for the page.
        words: of the command.
        done: share of it that is done, 0 to 1; None where nobody knows.
        module: that takes the words, run as a program.
    """

    what: str
    words: Sequence[str]
    done: Callable[[], float | None] = lambda: None
    module: str = "duchenne.cli.main"


class Job:
    """Steps that run in the background; the first that fails ends them."""

    def __init__(self, name: str, steps: Sequence[Step], finish: Callable[[], Any] = lambda: None) -> None:
        """Starts.

        Args:
            name: what the page calls it.
            steps: in order.
            finish: called after the last step, in the background, where nobody cancelled it; what it gives is the
                result.
        """
        self.name, self._steps, self._finish = name, list(steps), finish
        self._lines: list[str] = []
        self._step = 0
        self._state = "running"
        self._result: Any = None
        self._began = time.monotonic()
        self._took: float | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it is not over yet."""
        return self._state == "running"

    def status(self) -> dict[str, Any]:
        """How far it is, as JSON."""
        step = self._steps[min(self._step, len(self._steps) - 1)]
        took = self._took if self._took is not None else time.monotonic() - self._began
        return {
            "name": self.name, "state": self._state, "step": self._step, "steps": [one.what for one in self._steps],
            "done": step.done() if self.is_running else None, "seconds": round(took, 1), "lines": self._lines[-_LINES:],
            "result": self._result,
        }  # fmt: skip

    def cancel(self) -> None:
        """Ends it, and everything that it started; waits until it is over."""
        with self._lock:
            if not self.is_running:
                return
            self._state = "cancelled"
            process = self._process
        if process is not None:
            _end(process)
        self._thread.join(2 * _PATIENCE_S)

    def _run(self) -> None:
        try:
            for number, step in enumerate(self._steps):
                self._step = number
                if not self._command(step):
                    return
            with self._lock:  # it is cancelled before it takes effect, or not at all
                if self.is_running:
                    self._result = self._finish()
                    self._over("done")
        except DuchenneError as error:
            self._lines.append(str(error))
            self._over("failed")
        except Exception as error:  # nobody else would say it
            self._lines.append(f"{type(error).__name__}: {error}")
            self._over("failed")

    def _command(self, step: Step) -> bool:
        """Runs one command; whether it went well."""
        command = [sys.executable, "-m", "duchenne.reviewing.jobs", str(os.getpid()), step.module, *step.words]
        with self._lock:
            if not self.is_running:
                return False
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="backslashreplace", start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip():
                self._lines.append(line.strip())
        status = self._process.wait()
        if status:
            self._over("failed")
        return status == 0

    def _over(self, state: str) -> None:
        with self._lock:
            if self.is_running:
                self._state = state
            self._took = time.monotonic() - self._began


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupts a process and its children; ends them where they do not stop."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(_PATIENCE_S)
            return
        except subprocess.TimeoutExpired:
            continue


class Jobs:
    """At most one job at a time."""

    def __init__(self) -> None:
        """None yet."""
        self._job: Job | None = None
        self._lock = threading.Lock()

    def start(self, name: str, steps: Callable[[], Sequence[Step]], finish: Callable[[], Any] = lambda: None) -> None:
        """Starts one.

        Args:
            name, finish: as in `Job`.
            steps: gives them; called only where no other job runs, so that it may write.

        Raises:
            UsageError: while another runs.
        """
        with self._lock:
            if self._job is not None and self._job.is_running:
                raise UsageError(f"{self._job.name} is still running; wait for it or cancel it.")
            self._job = Job(name, steps(), finish)

    def status(self) -> dict[str, Any] | None:
        """Of the last one; None where there was none."""
        return self._job.status() if self._job else None

    def cancel(self) -> None:
        """Ends what runs."""
        if self._job is not None:
            self._job.cancel()


def _become_step() -> None:
    """Runs a step's module in this process, which ends with the page's, however that ends."""
    threading.Thread(target=end_with, args=(int(sys.argv[1]),), daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _become_step()
