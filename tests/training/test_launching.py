"""Several machines: which processes train together, that they train as one, and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.training import slurm
from tests.training.agents import agents, together

import duchenne
from duchenne.errors import UsageError
from duchenne.training.launching import fabric
from duchenne.training.launching.fabric import make_fabric
from duchenne.training.launching.started import SlurmStep, Started, started, torchruns_apart
from duchenne.training.runs import load_encoder

ROOT = Path(__file__).parents[2]
FIELDS = {"size_px": 32, "batch_size": 4, "max_steps": 2, "precision": "float32", "crop_min": 1.0, "crop_max": 1.0,
          "validation_share": 0.0}  # fmt: skip
"""Without crops nothing but the split of the batch differs between one process and two."""
CPU = torch.device("cpu")


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment in which SLURM's programs are found."""
    return slurm.install(tmp_path / "bin")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs inside the job that runs the tests."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_"))]:
        monkeypatch.delenv(name)


def words(data: Path, out: Path, **fields: object) -> list[str]:
    given = [word for key, value in fields.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return [
        "pretrain",
        "temporal_ranking",
        "--data",
        str(data),
        "--out",
        str(out),
        "--quiet",
        "--device",
        "cpu",
        *given,
    ]


@pytest.fixture(scope="module")
def alone(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights that one process ends with whose BatchNorm runs in two splits."""
    out = tmp_path_factory.mktemp("alone") / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, bn_splits=2, quiet=True, device="cpu", **FIELDS)
    return load_encoder(out).encoder.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("by", ["torchrun", "srun"])
def test_two_machines_train_like_one_process(
    by: str, squares: Path, alone: dict[str, torch.Tensor], cluster: dict[str, str], tmp_path: Path
) -> None:
    """Two agents of torchrun, and two tasks of one srun on two machines, each with one process."""
    job = words(squares, tmp_path / "two", num_nodes=2, **FIELDS)
    commands = agents(["duchenne.cli.main", *job]) if by == "torchrun" else [["srun", "-N", "2", "duchenne", *job]]
    done = together(commands, env=cluster)
    assert [status for status, _, _ in done] == [0] * len(commands), done
    assert "".join(text for _, text, _ in done) == f"{tmp_path / 'two'}: 2 steps\n"  # once, not by each process
    found = load_encoder(tmp_path / "two").encoder.state_dict()
    for key, value in alone.items():
        assert torch.allclose(found[key].float(), value.float(), atol=1e-5), key


@pytest.mark.slow
def test_the_group_ends_before_python_does(tmp_path: Path) -> None:
    """Otherwise a thread of gloo that is late aborts a process whose work is done."""
    (tmp_path / "late.py").write_text(
        "import atexit, torch\n"
        "from duchenne.training.config import TrainingConfig\n"
        "from duchenne.training.launching.fabric import make_fabric\n"
        "atexit.register(lambda: print('there' if torch.distributed.is_initialized() else 'ended'))\n"
        "make_fabric(TrainingConfig(num_nodes=2), torch.device('cpu')).barrier()\n"
    )
    done = together(agents(["late"]), env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert [(status, said) for status, said, _ in done] == [(0, "ended\n")] * 2, done


@pytest.mark.slow
def test_two_tasks_do_not_train_alone_into_one_folder(squares: Path, cluster: dict[str, str], tmp_path: Path) -> None:
    job = words(squares, tmp_path / "run", **FIELDS)
    ((status, said, complaint),) = together([["srun", "-n", "2", "duchenne", *job]], env=cluster)
    assert status == 2
    assert said == ""
    assert complaint.splitlines() == [
        "duchenne pretrain: --devices 1 --num-nodes 1: srun started 2 processes on each of one machine; give "
        "--devices 2 --num-nodes 1, or start one process alone."
    ] * 2  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_machines_that_differ_are_refused(squares: Path, cluster: dict[str, str], tmp_path: Path) -> None:
    """The second machine was given another rate, by someone who typed the command twice."""
    commands = agents(["duchenne.cli.main", *words(squares, tmp_path / "run", num_nodes=2, **FIELDS)])
    commands[1] += ["--lr", "0.5"]
    for status, _, complaint in together(commands, env=cluster):
        assert status == 1  # torchrun's, whatever the process's
        assert "process 1 of 2 was started with another lr than the first" in complaint
    assert not (tmp_path / "run").exists()


def sbatch_file() -> str:
    """The file that docs/clusters.md shows."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    return next(text for text in re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S) if text.startswith("#!"))


@pytest.mark.slow
def test_the_batch_file_of_the_page_trains_saves_in_time_and_goes_on(
    squares: Path, cluster: dict[str, str], tmp_path: Path
) -> None:
    """SIGTERM reaches the tasks as `--signal=TERM@300` sends it; the job asks to be queued again, and goes on."""
    (tmp_path / "faces").symlink_to(squares)
    (tmp_path / "job.sbatch").write_text(sbatch_file())
    steps = 150
    fields = {
        "size_px": 64,
        "backbone": "compact",
        "batch_size": 4,
        "max_steps": steps,
        "log_every": 1,
        "device": "cpu",
        "memory": 8,
        "bn_splits": 1,
    }
    job = [word for key, value in fields.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    log = tmp_path / "runs" / "moco" / "log.jsonl"
    command = ["sbatch", "--nodes=2", "--ntasks-per-node=1", "job.sbatch", *job]
    running = subprocess.Popen(command, cwd=tmp_path, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while not log.exists() or log.read_text().count("\n") < 3:
            assert running.poll() is None, running.stdout and running.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for task in tasks_of(running.pid):
            os.kill(task, signal.SIGTERM)
        said = running.communicate(timeout=240)[0].decode()
    finally:
        running.kill()
    assert running.returncode == 0, said
    assert said.count("state saved; go on with --resume") == 1
    assert f"{Path('runs/moco')}: {steps} steps" in said
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, steps + 1))


def tasks_of(process: int) -> list[int]:
    """The processes of `duchenne` below a process."""
    import psutil

    below = psutil.Process(process).children(recursive=True)
    return [each.pid for each in below if "duchenne.cli.main" in each.cmdline()]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "rank"), [(4, 0), (0, 1)])
def test_a_killed_process_costs_the_steps_since_the_last_checkpoint(seed: int, rank: int, tmp_path: Path) -> None:
    """One kill of `benchmarks/reliability/process_kills.py`, after which both are resumed."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "reliability" / "process_kills.py"),
        str(tmp_path / "kills"),
        "--kills",
        "1",
    ]
    command += ["--seed", str(seed), "--steps", "20", "--save-every", "3"]
    ((status, _, complaint),) = together([command])
    assert status == 0, complaint
    row = json.loads((tmp_path / "kills" / "kills.jsonl").read_text())
    assert row["rank"] == rank
    assert row["same"]
    assert row["lost"] <= 3
    (sentence,) = row["said"]  # of the other process
    assert "another process of this training ended" in sentence
    assert row["other"] == 1


def test_what_started_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started() is None
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert started() is None  # a script of sbatch, which srun did not start
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert started() is None
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "7")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2(x3),1")
    assert started() == Started("srun", (2, 2, 2, 1), 7)
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert started() == Started("torchrun", (2,), 4)  # within a step of srun


def test_the_place_where_tasks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    step = SlurmStep()
    found = set()
    for job, number in ((1234567, 0), (1234567, 1), (1234568, 0)):
        monkeypatch.setenv("SLURM_JOB_ID", str(job))
        monkeypatch.setenv("SLURM_STEP_ID", str(number))
        found.add(step.main_port)
    assert found == {19567, 20576, 19568}  # 15000 + 4567, + 1009, + 1
    monkeypatch.setenv("SLURM_NODELIST", "gpu[01-04]")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "gpu[03-04]")
    assert step.main_address == "gpu03"
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert (step.main_address, step.main_port) == ("10.0.0.1", 29500)


@pytest.mark.parametrize(
    ("launcher", "fields", "message"),
    [
        (Started("srun", (2, 2), 4), {"devices": 4}, "srun started 2 processes on each of 2 machines; give devices 2"),
        (Started("srun", (2, 1), 3), {"devices": 3}, r"srun started 3 processes \(2, 1 on the machines\)"),
        (Started("torchrun", (2,), 2), {}, "torchrun started 2 processes on each of one machine; give devices 2"),
        (Started("torchrun", (2,), 3), {}, "torchrun started 3 processes, 2 of them here"),
        (None, {"num_nodes": 2}, "start it on every machine with torchrun or srun"),
    ],
)
def test_other_processes_than_asked_for_are_refused(
    launcher: Started | None, fields: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from duchenne.training.config import TrainingConfig

    monkeypatch.setattr(fabric, "started", lambda: launcher)
    with pytest.raises(UsageError, match=message):
        make_fabric(TrainingConfig(**fields), CPU)
    assert launcher is None or make_fabric(TrainingConfig(), CPU, alone=True).world_size == 1


@pytest.mark.parametrize(("agents", "refused"), [("1", True), ("2", False), ("3", True)])
def test_torchruns_that_do_not_know_of_each_other_are_refused(
    agents: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tasks of srun, each of which starts a torchrun: of one machine, of both, or of others."""
    from duchenne.training.config import TrainingConfig

    ours = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": agents, "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": agents}
    for name, value in {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", **ours}.items():
        monkeypatch.setenv(name, value)
    assert torchruns_apart() == ((int(agents), 2) if refused else None)
    asked = TrainingConfig(num_nodes=int(agents))
    if refused:
        with pytest.raises(UsageError, match=rf"srun started 2 tasks, but this torchrun knows of {agents} agent"):
            make_fabric(asked, CPU)
        assert make_fabric(TrainingConfig(), CPU, alone=True).world_size == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert torchruns_apart() is None


def test_mpirun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from duchenne.training.config import TrainingConfig

    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"several processes were started .*use torchrun or srun"):
        make_fabric(TrainingConfig(), CPU)


def test_resuming_on_other_machines(squares: Path, tmp_path: Path) -> None:
    """As many processes may lie on other machines; another number is another training."""
    out = tmp_path / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, quiet=True, device="cpu", **FIELDS)
    text = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(text.replace("devices: 1", "devices: 2"))
    again = {"data": squares, "out": out, "quiet": True, "device": "cpu", "resume": True, **FIELDS}
    with pytest.raises(UsageError, match="was begun with another devices"):
        duchenne.pretrain("temporal_ranking", **again)
    with pytest.raises(UsageError, match="start it on every machine"):  # and not: was begun with others
        duchenne.pretrain("temporal_ranking", num_nodes=2, **again)
