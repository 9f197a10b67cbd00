"""The demonstration from end to end, small: every part runs for real, and a second call makes nothing again."""

import json
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.training.runs import load_encoder

SMALL = ["--subjects", "4", "--clips", "1", "--steps", "2", "--labelled-steps", "2", "--quiet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, shared):
    out = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--out", str(out), *SMALL]) == 0
    return out


def test_everything_is_there(made):
    names = {"faces", "faces_aus_off", "others", "run", "run_aus_off", "run_labelled", "linear", "detector", "clip.mp4",
             "clip_aus.csv", "report.html"}  # fmt: skip
    assert names <= {path.name for path in made.iterdir()}
    summary = json.loads((made / "linear" / "summary.json").read_text())
    runs = [str(made / name) for name in ("run_labelled", "run", "run_aus_off")]
    assert list(summary["models"]) == [*runs, f"random:{made / 'run'}", "pixels", "landmarks"]


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


def test_a_second_call_keeps_what_is_finished(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.glob("run*/*.safetensors")}
    shards = {path: path.stat().st_mtime_ns for path in made.rglob("*.tar")}
    assert main(["demo", "--out", str(made), *SMALL]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in made.glob("run*/*.safetensors")}
    assert shards == {path: path.stat().st_mtime_ns for path in made.rglob("*.tar")}
    assert "linear protocol on people that no encoder has seen" in capsys.readouterr().out


def test_another_demo_does_not_mix_with_it(made, capsys):
    assert main(["demo", "--out", str(made), "--subjects", "5", "--clips", "1", "--steps", "2", "--quiet"]) == 2
    assert "another job" in capsys.readouterr().err


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
