"""Jobs over a Dask cluster, one of whose workers is killed in the middle: what comes out is what one process makes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import dask.config
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from tests.evaluation.conftest import make
from tests.evaluation.protocols.test_finetune import BUILDER, FAST
from tests.faces.conftest import portrait  # noqa: F401
from tests.faces.media import Image, write_video
from tests.training.made import moving_squares

import duchenne
from duchenne.cli.main import main
from duchenne.features import embed as embedding


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})  # a slow start is no end of a worker
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        yield cluster


@contextmanager
def killing(cluster: LocalCluster, when: Callable[[], bool]) -> Iterator[list[int]]:
    """Kills one worker that is at work, once `when` says so; gives the numbers of the processes killed."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(2)
            processes = client.run(os.getpid)
            while not over.wait(0.005):
                busy = [address for address, tasks in client.processing().items() if tasks and address in processes]
                if busy and when():
                    os.kill(processes[busy[0]], signal.SIGKILL)
                    killed.append(processes[busy[0]])
                    return

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "index/1/index.json"}  # holds times


@pytest.mark.slow
def test_prepare(cluster: LocalCluster, portrait: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)  # paths are relative: the workers go there too
    Path("in").mkdir()
    for number in range(8):
        pictures = [cv2.convertScaleAbs(portrait, alpha=1 - 0.02 * number, beta=frame) for frame in range(4)]
        write_video(tmp_path / "in" / f"{number}.mp4", pictures)
    job = {"root": "in", "size_px": 64, "quiet": True}
    duchenne.prepare("videos", out="alone", workers=1, **job)
    with killing(cluster, lambda: any(Path("together/parts").glob("*.parquet"))) as killed:
        done = duchenne.prepare("videos", out="together", scheduler=cluster.scheduler_address, **job)
    assert len(killed) == 1
    assert done.counts["files"] == 8
    alone, together = contents(Path("alone")), contents(Path("together"))
    assert together.keys() == alone.keys()
    assert {name for name in alone if alone[name] != together[name]} == set()
    rows = pq.read_table("together/frames.parquet", columns=["source", "frame"]).to_pandas()
    assert not rows.duplicated().any()


@pytest.mark.slow
def test_embed(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedding, "ROWS_IN_A_CALL", 64)
    moving_squares(Path("squares"), frames=250)
    job = ["embed", "--model", "random", "--data", "squares", "--quiet", "--device", "cpu"]
    assert main([*job, "--out", "alone.parquet"]) == 0
    with killing(cluster, lambda: True) as killed:
        assert main([*job, "--out", "together.parquet", "--scheduler", cluster.scheduler_address]) == 0
    assert len(killed) == 1
    assert pq.read_metadata("together.parquet").num_rows == 1500
    assert Path("together.parquet").read_bytes() == Path("alone.parquet").read_bytes()


@pytest.mark.slow
def test_evaluate(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own_nets.py").write_text(BUILDER)
    make(Path("faces"))
    job = {"model": "own_nets:build", "data": "faces", "folds": 3, **FAST, "epochs": 4}
    one = duchenne.evaluate("finetune", out="alone", **job)
    started = time.monotonic()
    with killing(cluster, lambda: time.monotonic() - started > 0.5) as killed:
        two = duchenne.evaluate("finetune", out="together", scheduler=cluster.scheduler_address, **job)
    assert len(killed) == 1
    pd.testing.assert_frame_equal(one, two)
