"""What the page starts ends with the page, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.reviewing.made import eventually

PAGE = """
import signal, sys, time
from duchenne.reviewing.jobs import Job, Step
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup pytest` would have it ignored
job = Job("long", [Step("long", ["-c", "never reached"], module="waiting")])
while job._process is None:
    time.sleep(0.01)
print(job._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_a_step_does_not_outlive_the_page(tmp_path: Path, number: int) -> None:
    (tmp_path / "waiting.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    page = subprocess.Popen(
        [sys.executable, "-c", PAGE], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=variables
    )
    try:
        assert page.stdout is not None
        step = int(page.stdout.readline())
        eventually((tmp_path / "begun").exists, 30)
        time.sleep(0.1)
        assert psutil.pid_exists(step)
        page.send_signal(number)
        page.wait()
        eventually(lambda: not psutil.pid_exists(step) or psutil.Process(step).status() == psutil.STATUS_ZOMBIE)
    finally:
        page.kill()
        page.wait()
