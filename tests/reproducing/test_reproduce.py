"""A table in miniature from end to end, going on where it stopped, and what stops it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import InputError, UsageError
from duchenne.evaluation.comparing.summaries import read_summary
from duchenne.evaluation.protocols import linear_bn
from duchenne.reproducing import job
from duchenne.reproducing.plan import Step

TABLE = "ksrl/table5"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands run here, which saves a start of torch each, classifiers for an epoch; the list of what was run."""
    ran: list[str] = []
    monkeypatch.setattr(linear_bn, "EPOCHS", 1)

    def run(step: Step) -> None:
        ran.append(step.kind)
        assert main(list(step.words)) == 0

    monkeypatch.setattr(job, "_run", run)
    return ran


@pytest.mark.slow
def test_a_table_in_miniature(tmp_path: Path, in_process: list[str]) -> None:
    out, told = tmp_path / "out", []
    found = duchenne.reproduce(TABLE, miniature=True, out=out, quiet=True, tell=told.append)
    assert in_process == ["faces", "faces", "training", "evaluation", "evaluation", "comparison"]
    assert told == list(found.commands)
    assert found.table is not None
    rows = found.table.set_index("method")
    assert rows["note"].str.startswith("not made: ").sum() == 8
    summary = read_summary(out / "ksrl_table5" / "bp4d_areas+finetune")
    (ours,) = summary["models"].values()
    assert summary["protocol"]["weighting"] == "none"
    mean = ours["mean_of_folds"]["f1"]
    assert rows.loc["KSRL", ["ours", "low", "high"]].tolist() == pytest.approx(
        [100 * mean[key] for key in ("value", "low", "high")]
    )
    assert rows.loc["KSRL", "difference"] == pytest.approx(rows.loc["KSRL", "ours"] - rows.loc["KSRL", "printed"])
    assert rows.loc["KSRL", "differs"] == "data items", "these are no faces of BP4D, and it is said"
    written = pd.read_csv(found.out / "table.csv")
    assert written["method"].tolist() == found.table["method"].tolist()
    assert "numbers mean nothing" in (found.out / "table.md").read_text()
    config = (out / "runs" / "knowledge_driven_bp4d_plus" / "config.yaml").read_text()
    assert "intra_weight: 0.1" in config, "the paper's, in miniature"

    duchenne.reproduce(TABLE, miniature=True, out=out, quiet=True)
    assert len(in_process) == 6, "all of it was done"
    done = json.loads((out / "done.json").read_text())
    comparison = next(key for key in done if "comparison" in key)
    del done[comparison]
    (out / "done.json").write_text(json.dumps(done))
    duchenne.reproduce(TABLE, miniature=True, out=out, quiet=True)
    assert in_process[6:] == ["comparison"]
    with pytest.raises(UsageError, match="was made by another command"):
        duchenne.reproduce(TABLE, miniature=True, out=out, quiet=True, max_steps=2)


def test_what_was_made_from_a_training_is_made_again_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old evaluation stood beside a new training, and the table was written again from it."""
    data, run, other, scores, rows = (tmp_path / name for name in ("faces", "run", "run2", "scores", "rows"))
    steps = [
        Step("faces", ("synth", "--out", str(data)), data),
        Step("training", ("pretrain", "clp", "--data", str(data), "--out", str(run)), run),
        Step("training", ("pretrain", "clp", "--data", str(data), "--out", str(other)), other),
        Step("evaluation", ("evaluate", "--model", f"{run}+{other}", "--out", str(scores)), scores),
        Step("comparison", ("compare", str(scores), "--out", str(rows)), rows),
    ]
    ran: list[str] = []

    def made(step: Step) -> None:
        ran.append(step.out.name)
        step.out.mkdir(exist_ok=True)

    monkeypatch.setattr(job, "_run", made)

    def made_again(*gone: Path) -> list[str]:
        for folder in gone:
            folder.rmdir()
        ran.clear()
        job._run_all(steps, tmp_path, lambda _: None)
        return list(ran)

    everything = ["faces", "run", "run2", "scores", "rows"]
    assert [made_again(), made_again(), made_again(data), made_again(run)] == [
        everything, [], ["faces"], ["run", "scores", "rows"],
    ]  # fmt: skip
    assert [made_again(scores), made_again(rows), made_again(run, other)] == [
        ["scores", "rows"], ["rows"], ["run", "run2", "scores", "rows"],
    ]  # fmt: skip
    steps[1] = Step("training", (*steps[1].words, "--device", "cpu", "--quiet"), run)
    assert made_again() == [], "neither changes results"
    steps[1] = Step("training", (*steps[1].words, "--seed", "1"), run)
    with pytest.raises(UsageError, match="was made by another command"):
        made_again()


@pytest.mark.slow
def test_a_step_that_fails_stops_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    step = Step("faces", ("synth", "--subjects", "0", "--out", str(tmp_path / "faces")), tmp_path / "faces")
    with pytest.raises(InputError, match=r"`duchenne synth --subjects 0 .* ended with status 2"):
        job._run(step)
    assert "--subjects 0: must be at least 1" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    """The signal reaches this process alone, as in a batch system; the training ends with it, and is gone on with."""
    data, run = tmp_path / "faces", tmp_path / "run"
    duchenne.synth(data, subjects=4, clips=1, frames=4, size_px=32, quiet=True)
    words = f"pretrain simclr --data {data} --out {run} --recipe smoke/simclr --max-steps 100000 --save-every 1 --quiet"
    code = (
        "from pathlib import Path; from duchenne.reproducing import job; from duchenne.reproducing.plan import Step; "
        f"step = Step('training', {tuple(words.split())!r}, Path({str(run)!r}));\n"
        "with job._stopped_by_signals():\n try: job._run(step)\n except KeyboardInterrupt: print('stopped', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=120)[0].strip() == "stopped"
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    again = Step("training", tuple(words.replace("100000", str(max(steps, default=0) + 1000)).split()), run)
    started: list[list[str]] = []

    class Seen(Exception):
        pass

    def popen(command: list[str], **_: object) -> None:
        started.append(command)
        raise Seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job.subprocess, "Popen", popen)
        with pytest.raises(Seen):
            job._run(again)
    assert started[0][-1] == "--resume"


@pytest.mark.slow
@pytest.mark.parametrize("table", ["clp/raf-db", "cl_ile/bp4d", "tc/table4"])
def test_other_kinds_of_tables_in_miniature(table: str, tmp_path: Path) -> None:
    """In processes of their own: emotions and their recalls, methods trained in every fold, features side by side."""
    found = duchenne.reproduce(table, miniature=True, out=tmp_path, quiet=True)
    assert found.table is not None
    made = found.table[~found.table["note"].str.contains("not made")]
    assert made["ours"].notna().all()
    assert made["ours"].between(0, 100).all()
