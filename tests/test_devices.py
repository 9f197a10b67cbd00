"""What computes, against what other programs say of this machine."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from duchenne.devices import processor_name


@pytest.mark.skipif(not shutil.which("lscpu"), reason="lscpu is a program of Linux")
def test_the_processor_is_called_as_lscpu_calls_it() -> None:
    said = subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    names = [line["data"] for line in json.loads(said)["lscpu"] if line["field"] == "Model name:"]
    if platform.machine() == "x86_64":
        assert processor_name() == names[0]
    else:  # /proc/cpuinfo has no name there
        assert processor_name()


def test_without_proc_it_is_at_least_the_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", no_file)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor_name() == platform.machine()
