"""An installation without the extra `train`: detection works, and all else says in a sentence what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pandas as pd
import pytest

from duchenne.errors import TRAINING, lacks_training

ROOT = Path(__file__).parents[2]
WITHOUT = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAINING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
COMMAND = f"{WITHOUT}from duchenne.cli.main import main\nsys.exit(main(sys.argv[1:]))"


def run(*words: str, code: str = COMMAND, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered face, in which detection finds one."""
    from duchenne.demonstration.job import smiling_clip

    path = tmp_path_factory.mktemp("picture") / "face.png"
    cv2.imwrite(str(path), cv2.cvtColor(smiling_clip(2)[0][30], cv2.COLOR_RGB2BGR))
    return path


@pytest.mark.slow
@pytest.mark.shared  # the files of the face models
def test_detection_needs_no_training(face: Path, tmp_path: Path) -> None:
    done = run("detect", str(face), "-o", "aus.csv", "--report", "page.html", "--overlay", "face.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "aus.csv")
    assert len(table) == 1
    assert table.filter(regex="^AU12").notna().all(axis=None)
    assert {"page.html", "face.png"} <= set(os.listdir(tmp_path))
    done = run("detect", str(face), "--model", "blendshapes", "-o", "b.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (["summarize", "aus.csv"], ["agree", "aus.csv", "aus.csv", "--out", "same"], ["review", "--help"]):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_tables_need_no_training(tmp_path: Path) -> None:
    """Those of two coders whose events are paired, and what is said where one of its pages needs more."""
    table = pd.DataFrame({"source": "x.mp4", "frame": range(9), "time_s": [n / 25 for n in range(9)]})
    for name, coded in (("a", [0, 1, 1, 0, 0, 1, 1, 1, 0]), ("b", [0, 0, 1, 1, 0, 0, 1, 1, 0])):
        table.assign(AU12=coded).to_csv(tmp_path / f"{name}.csv", index=False)
    for words in (["agree", "a.csv", "b.csv", "--out", "both"], ["compare", "--help"], ["summarize", "a.csv"]):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "both" / "agreement.csv")["event_f1"].tolist() == [1]
    done = run("summarize", "a.csv", "--report", "page.html", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        'duchenne summarize: it needs scipy, which is not installed; pip install "duchenne[train]".'
    )
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
@pytest.mark.shared
def test_the_detector_in_a_program_needs_no_training(face: Path) -> None:
    code = f"""{WITHOUT}
import cv2, duchenne
picture = cv2.cvtColor(cv2.imread({str(face)!r}), cv2.COLOR_BGR2RGB)
print(len(duchenne.Detector("duchenne")(picture).faces))
try:
    duchenne.pretrain
except duchenne.errors.UsageError as error:
    print(error)
"""
    done = run(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1", 'duchenne.pretrain needs torch, which is not installed; pip install "duchenne[train]".',
    ]  # fmt: skip


@pytest.mark.shared  # the files of the face models
def test_prepare_says_what_it_needs(face: Path, tmp_path: Path) -> None:
    done = run(
        "prepare", "videos", "--root", str(face.parent), "--sequence", "25", "--out", "a", "--quiet", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    said = 'duchenne prepare: it needs torch, which is not installed; pip install "duchenne[train]".'
    assert done.stderr.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("page", "after", "extras"),
    [
        ("first_ten_minutes", "## 1. Install", {"review", "train"}),  # review; and prepare and fit, which *teach* runs
        ("clusters", "## Dask", {"cluster", "train"}),  # --scheduler; prepare, embed, evaluate
        ("commands", "## export", {"onnx", "train"}),
    ],
)
def test_pages_install_what_their_steps_need(page: str, after: str, extras: set[str]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text().partition(after)[2]
    line = re.search(r"pip install [^']*'[.\w]*\[([\w,]+)\]'", text)
    assert line is not None
    assert set(line[1].split(",")) == extras


@pytest.mark.parametrize(
    "words",
    [
        ["pretrain", "clp", "--data", "a", "--out", "b"],
        ["evaluate", "linear", "--model", "a", "--data", "b", "--out", "c"],
        ["fit", "--model", "blendshapes", "--data", "a", "--out", "b"],
        ["export", "--model", "duchenne", "--out", "a.onnx"],
        ["synth", "--out", "a"],
        ["demo", "--out", "a"],
    ],
    ids=lambda words: words[0],
)
def test_other_commands_say_what_they_need(words: list[str], tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    package = rf"({'|'.join(TRAINING)})"
    said = rf'duchenne {words[0]}: it needs {package}, which is not installed; pip install "duchenne\[train\]"\.'
    assert re.fullmatch(said, done.stderr.strip()), done.stderr


def test_info_says_what_is_missing() -> None:
    done = run("info")
    assert done.returncode == 0, done.stderr
    assert 'torch  not installed; pip install "duchenne[train]"' in re.sub("  +", "  ", done.stdout)


def test_other_missing_packages_stay_errors() -> None:
    assert lacks_training(ModuleNotFoundError("no", name="mediapipe.tasks")) is None
    assert lacks_training(ModuleNotFoundError("no", name="torch.nn")) is not None


def test_the_extra_names_what_is_left_out() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in project["optional-dependencies"]["train"]}
    called = {"lightning_fabric": "lightning-fabric", "sklearn": "scikit-learn"}
    assert names == {called.get(name, name) for name in TRAINING}
    assert not names & {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in project["dependencies"]}
