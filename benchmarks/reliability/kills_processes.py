"""How `kills.py` starts commands: as a user does, or as a fork of a process that has imported everything already.

Importing takes longer than most of the small commands, and nothing is written meanwhile. So most kills hit forks.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "DUCHENNE_KILLS"
"""Variable of the environment that all processes of a killed command have."""
_HEAVY: Final = (
    "mediapipe", "cv2", "av", "pandas", "pyarrow.parquet", "matplotlib.pyplot", "sklearn.linear_model", "onnx",
    "onnxruntime", "uvicorn", "starlette", "duchenne.detection.detect", "duchenne.detectors.fit",
    "duchenne.detectors.export", "duchenne.evaluation.evaluate", "duchenne.evaluation.protocols.frozen",
    "duchenne.evaluation.protocols.finetune", "duchenne.evaluation.comparing.compare", "duchenne.features.embed",
    "duchenne.features.retrieve", "duchenne.preparing.prepare", "duchenne.synthetic.synth", "duchenne.tables.agree",
    "duchenne.tables.summarize", "duchenne.training.pretrain", "duchenne.reviewing.server",
)  # fmt: skip


def import_everything() -> None:
    """What the commands import, before they are forked."""
    for name in _HEAVY:
        import_module(name)


class Process:
    """A command in a session of its own.

    Args:
        words: after `duchenne`.
        folder: that it works in; `stdout` and `stderr` are written there.
        mark: tells its processes from others'.
        cold: start Python anew, as a user does, in place of forking.
    """

    def __init__(self, words: Sequence[str], folder: Path, mark: str, *, cold: bool) -> None:
        self.returncode: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        if cold:
            with (folder / "stderr").open("w") as errors, (folder / "stdout").open("w") as said:
                self._popen = subprocess.Popen(
                    [sys.executable, "-m", "duchenne.cli.main", *words], cwd=folder, env={**os.environ, MARK: mark},
                    stdin=subprocess.DEVNULL, stdout=said, stderr=errors, start_new_session=True,
                )  # fmt: skip
            self.pid = self._popen.pid
            return
        self.pid = os.fork()
        if not self.pid:
            _become(words, folder, mark)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self._popen is not None:
            self.returncode = self._popen.poll()
        elif self.returncode is None:
            number, status = os.waitpid(self.pid, os.WNOHANG)
            if number:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float) -> int | None:
        """The same, waited for."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        return self.returncode

    def send(self, number: int, *, everyone: bool = False) -> None:
        """Sends a signal to it, or to all of its group."""
        if self.poll() is None:
            (os.killpg if everyone else os.kill)(self.pid, number)

    def left(self, mark: str) -> list[psutil.Process]:
        """The processes that it started and that are there, and itself."""
        found = []
        for one in psutil.process_iter():
            try:
                own = one.pid == self.pid or os.getsid(one.pid) == self.pid or one.environ().get(MARK) == mark
                if own and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except (psutil.Error, OSError):
                continue
        return found


def _become(words: Sequence[str], folder: Path, mark: str) -> None:
    """Turns a fork into the command; never returns."""
    status = 1
    try:
        os.setsid()
        for number, name, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, str(folder / "stdout"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, str(folder / "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            os.dup2(os.open(name, flags, 0o666), number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.chdir(folder)
        os.environ[MARK] = mark
        sys.argv = ["duchenne", *words]
        from duchenne.cli.main import main

        status = main()
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # as leaving does it: joblib ends its workers here,
        atexit._run_exitfuncs()  # other things end here; what the process that was forked is at goes on
        sys.stderr.flush()
        os._exit(status)
