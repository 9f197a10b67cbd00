"""A Dask cluster writes what one process writes, and says in one sentence when it cannot."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import LocalCluster

import duchenne
from duchenne import parallel
from duchenne.cli.main import main
from duchenne.detection import runner
from duchenne.detection.job import Job
from duchenne.detection.settings import DetectSettings
from duchenne.detectors.blendshapes import BlendshapeModel
from duchenne.errors import InputError, UsageError

Film = Callable[..., Path]


@pytest.mark.slow
def test_a_cluster_writes_what_one_process_writes(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "in"
    shutil.copytree(shared / "data" / "scikit-image", pictures)
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)  # paths are relative: the workers go there too
    assert main(["detect", "in", "-o", "alone/", "--quiet"]) == 1
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None, host="127.0.0.1") as cluster:
        words = ["--scheduler", cluster.scheduler_address, "--quiet"]
        assert main(["detect", "in", "-o", "together/", *words]) == 1
        merged = duchenne.detect("in/*.jpg", output="merged.csv", scheduler=cluster.scheduler_address)
    assert capsys.readouterr().err.count("broken.png") == 2
    names = sorted(path.name for path in Path("alone").glob("*.csv"))
    assert len(names) == 4
    assert sorted(path.name for path in Path("together").glob("*.csv")) == names
    for name in names:
        assert Path("together", name).read_bytes() == Path("alone", name).read_bytes()
    assert merged.source.tolist() == ["in/rocket.jpg"]


def test_no_scheduler_answers(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_ANSWER_S", 1)
    path = film("a.mov", [0])
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(InputError, match="no Dask scheduler answers"):
            duchenne.detect(path, scheduler=address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"duchenne\[cluster\]"):
        duchenne.detect(path, scheduler="tcp://127.0.0.1:9")


def test_a_worker_that_does_not_see_the_folder(film: Film, tmp_path: Path) -> None:
    run = runner.Run(BlendshapeModel(), DetectSettings(), None, None)
    before, call = os.getcwd(), (run, Job(film("a.mov", [0])), None)
    with pytest.raises(InputError, match="all machines share"):
        parallel._on_cluster((str(tmp_path / "elsewhere"), None), False, runner._in_worker, call)
    assert os.getcwd() == before
