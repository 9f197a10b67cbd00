"""The demonstration from end to end, small: every part runs for real, and a second call makes nothing again."""

import json
import os
import re
import subprocess
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.demonstration.report import _verdicts
from duchenne.training.runs import load_encoder

SMALL = ["--seed", "0", "--subjects", "4", "--clips", "1", "--steps", "2", "--labelled-steps", "2", "--quiet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, shared):
    out = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--out", str(out), *SMALL]) == 0
    return out


@pytest.mark.slow
def test_everything_is_there(made):
    names = {"faces", "faces_aus_off", "others", "run", "run_aus_off", "run_labelled", "linear", "detector", "clip.mp4",
             "clip_aus.csv", "report.html"}  # fmt: skip
    assert names <= {path.name for path in made.iterdir()}
    summary = json.loads((made / "linear" / "summary.json").read_text())
    runs = [str(made / name) for name in ("run_labelled", "run", "run_aus_off")]
    assert list(summary["models"]) == [*runs, f"random:{made / 'run'}", "pixels", "landmarks"]


@pytest.mark.slow
def test_nobody_is_on_both_sides_and_the_control_has_no_expressions(made):
    runs = [load_encoder(made / name).record for name in ("run", "run_labelled")]
    seen = {name for record in runs for part in record.trained_on for name in part.subjects}
    tested = Prepared([made / "others"])
    assert seen
    assert not seen & {f"{name}" for name in tested.subject_names()}
    assert not seen & {name.split(":")[-1] for name in tested.subject_names()}
    assert tested.occurrence().max() == 1
    shown = pd.read_parquet(made / "faces_aus_off" / "synthetic.parquet").filter(regex=r"AU(?!45)\d+_right")
    assert shown.to_numpy().max() == 0


@pytest.mark.slow
def test_the_page_holds_everything_and_needs_no_network(made):
    page = (made / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=.https?://", page)
    for wanted in (
        "EmoCo",
        "EmoCo without AUs",
        "supervised",
        "untrained network",
        "pixels",
        "landmarks",
        "Cohen's kappa",
        "Mean correlation",
    ):
        assert wanted in page
    assert page.count("data:image/jpeg") >= 4 * 3
    for link in re.findall(r'href="([^"#:]+)"', page):
        assert (made / link).exists(), link


@pytest.mark.slow
def test_a_second_call_keeps_what_is_finished(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.glob("run*/*.safetensors")}
    shards = {path: path.stat().st_mtime_ns for path in made.rglob("*.tar")}
    assert main(["demo", "--out", str(made), *SMALL]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in made.glob("run*/*.safetensors")}
    assert shards == {path: path.stat().st_mtime_ns for path in made.rglob("*.tar")}
    assert "linear protocol on people that no encoder has seen" in capsys.readouterr().out


def compared(**leads):
    """A summary of the demonstration's models with leads in AUC, `FIRST__SECOND=(value, low, high)`."""
    models = {"run_labelled": "d/run_labelled", "run": "d/run", "off": "d/run_aus_off", "random": "random:d/run"}
    pairs = []
    for first, second in combinations(models, 2):
        auc = dict(zip(("value", "low", "high"), leads.get(f"{first}__{second}", (0.1, 0.05, 0.2))))
        pairs.append({"first": models[first], "second": models[second], "mean_of_folds": {"auc": auc}})
    return {"models": dict.fromkeys(models.values()), "differences": pairs}


CONTROL = "that of the same training with every action unit held at zero"


@pytest.mark.parametrize(
    ("lead", "learned", "ranked"),
    [
        (
            (0.087, 0.07, 0.108),
            f"EmoCo learned action units: its AUC less {CONTROL} is +.087 (+.070 to +.108).",
            "In AUC it is better than EmoCo without AUs and untrained network; is worse than supervised.",
        ),
        (
            (0.004, -0.01, 0.02),
            f"That EmoCo learned action units cannot be said: its AUC less {CONTROL} is +.004 (-.010 to +.020), which "
            "may be 0.",
            "In AUC it is better than untrained network; cannot be told apart from EmoCo without AUs; is worse than "
            "supervised.",
        ),
        (
            (-0.05, -0.08, -0.02),
            "EmoCo learned no action units and lost some of what shows them: its AUC less "
            f"{CONTROL} is -.050 (-.080 to -.020).",
            "In AUC it is better than untrained network; is worse than supervised and EmoCo without AUs.",
        ),
        (
            (None, None, None),
            f"EmoCo: what it learned cannot be said, because its AUC or {CONTROL} is undefined.",
            "In AUC it is better than untrained network; is worse than supervised; cannot be compared with EmoCo "
            "without AUs.",
        ),
    ],
)
def test_the_control_decides_what_was_learned(lead, learned, ranked):
    labelled, told = _verdicts(compared(run__off=lead))
    assert told == f"{learned} {ranked}"
    assert labelled.startswith("Supervised learned action units: its AUC less that of the untrained network is +.100 (")


@pytest.mark.slow
def test_another_demo_does_not_mix_with_it(made, capsys):
    assert main(["demo", "--out", str(made), "--subjects", "5", "--clips", "1", "--steps", "2", "--quiet"]) == 2
    assert "another job" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_in_a_browser(made, browser, tmp_path):
    shot = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,3000", f"--screenshot={shot}",
               (made / "report.html").as_uri()]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120, env={**os.environ})
    assert Path(shot).stat().st_size > 50_000


@pytest.mark.parametrize("flag", ["--seed", "--steps", "--labelled-steps"])
@pytest.mark.parametrize("number", ["-1", "9" * 30])
def test_a_number_out_of_range_is_refused_before_faces_are_rendered(tmp_path, capsys, flag, number):
    assert main(["demo", "--out", str(tmp_path / "demo"), flag, number]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"duchenne demo: {flag} {number}: must be at least ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
