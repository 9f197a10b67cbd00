"""What is handed out: a source distribution with the whole repository, and a wheel that works by itself."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from duchenne import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RELATIVE = re.compile(r"\]\((?![a-z]+:|#)")


def tracked() -> set[str]:
    """The files of the repository; a copy of it without git has no list of them."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both distributions, built from a copy of the repository, so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("distribution")
    copy = folder / "duchenne"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    found = {}
    for kind in ("sdist", "wheel"):
        code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(folder)!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[kind] = folder / done.stdout.splitlines()[-1]
    return found


def test_the_source_distribution_is_the_repository(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as tar:
        names = {name.partition("/")[2] for name in tar.getnames() if not tar.getmember(name).isdir()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert names - made == tracked()


def test_the_wheel_holds_the_whole_package_and_no_more(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licences = {Path(name).name for name in wheel.namelist() if "/licenses/" in name}
    assert names == {name.removeprefix("src/") for name in tracked() if name.startswith("src/duchenne/")}
    assert licences == {"LICENSE", "THIRD_PARTY.md"}
    for needed in ("recipes/clp/voxceleb2.yaml", "weights/neutral.json", "weights/model_card.md", "py.typed"):
        assert f"duchenne/{needed}" in names


def description(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        message = email.message_from_bytes(opened.read(name))
    assert message["Description-Content-Type"] == "text/markdown"
    text = message.get_payload(decode=True)
    assert isinstance(text, bytes)
    return text.decode()


def test_links_work_on_the_page_of_an_index(built: dict[str, Path], tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    assert RELATIVE.search(readme), "there are links that would lead nowhere"
    text = description(built["wheel"])
    assert not RELATIVE.search(text)
    assert "Everything below runs from end to end and is tested" in text
    assert "objects in place of words and paths" in text, "the words of a link stay"

    copy = tmp_path / "copy"  # with an address, links lead there
    (copy / "src" / "duchenne").mkdir(parents=True)
    for name in ("README.md", "LICENSE", "THIRD_PARTY.md", "setup.py"):
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "src" / "duchenne" / "__init__.py").touch()
    project = (ROOT / "pyproject.toml").read_text()
    project = re.sub(r"\n\[project\.urls\]\n(?:.+\n)*", "\n", project)
    (copy / "pyproject.toml").write_text(f'{project}\n[project.urls]\nSource = "https://example.org/duchenne"\n')
    code = f"from setuptools import build_meta; print(build_meta.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=True)
    text = description(tmp_path / done.stdout.splitlines()[-1])
    assert not RELATIVE.search(text)
    assert "](https://example.org/duchenne/blob/HEAD/docs/commands.md)" in text
    assert "](https://example.org/duchenne/raw/HEAD/docs/pictures/report.png)" in text


def environment(folder: Path, wheel: Path) -> Path:
    """An environment that has the wheel, and beside it only the packages installed here, which it cannot fetch."""
    venv.create(folder, with_pip=False)
    place = next(folder.glob("lib*/python*/site-packages"), folder / "Lib" / "site-packages")
    (place / "packages.pth").write_text(sysconfig.get_path("purelib"))
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    done = subprocess.run(
        [*pip, "--no-index", "--no-deps", "--ignore-installed", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return programs


@pytest.mark.slow
def test_the_wheel_works_by_itself(built: dict[str, Path], tmp_path: Path) -> None:
    programs = environment(tmp_path / "environment", built["wheel"])
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    place = subprocess.run(
        [programs / "python", "-c", "import duchenne; print(duchenne.__file__)"], cwd=tmp_path, env=variables,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(place.stdout.strip()).is_relative_to(tmp_path / "environment"), "the wheel's, not the checkout's"

    def run(*words: str) -> str:
        done = subprocess.run(
            [programs / "duchenne", *words], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version").strip() == __version__
    assert "clp/voxceleb2" in run("info", "--all")
    run("demo", "--seed", "0", "--subjects", "4", "--clips", "1", "--steps", "2", "--labelled-steps", "2", "--quiet")
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    summary = json.loads((tmp_path / "demo" / "linear" / "summary.json").read_text())
    assert "pixels" in summary["models"]
    run("detect", "demo/clip.mp4", "-o", "aus.csv")
    assert "AU12" in (tmp_path / "aus.csv").read_text().partition("\n")[0]


def test_the_version_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"The first version, {__version__}," in changes or f"\n## [{__version__}]" in changes


def test_the_workflow_runs_what_the_project_says_that_it_supports() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(matrix["python"]) == named
    assert f">={min(named, key=lambda text: int(text[2:]))}" == PROJECT["requires-python"]
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            words = step.get("run", "").split()
            for word in words:
                if word.startswith("tests/"):
                    assert (ROOT / word).exists(), word
            if words[:1] == ["make"]:
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_site_has_every_page() -> None:
    """Links are checked by mkdocs itself (`make docs`); what has no place in the menu would only be a warning there."""
    text = (ROOT / "mkdocs.yml").read_text()
    docs = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    methods = {f"methods/{page.parent.name}.md" for page in (ROOT / "src/duchenne/methods").glob("*/README.md")}
    listed = re.findall(r"^ +- (?:.+: )?(\S+\.md)$", text, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("about/")} == docs | methods
