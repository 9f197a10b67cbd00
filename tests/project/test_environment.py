"""What is installed: exactly what constraints.txt pins, one OpenCV, no torchvision."""

import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tools" / "check_system.sh"
# What a CUDA build of torch brings along and pins itself; it differs by platform.
FROM_TORCH = re.compile(r"nvidia-|cuda-|triton$")
OURSELVES = {"pip", "setuptools", "wheel", "duchenne"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines), "name==version only"
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def installed() -> dict[str, str]:
    found = {canonical(item.name): item.version.partition("+")[0] for item in importlib.metadata.distributions()}
    return {name: version for name, version in found.items() if name not in OURSELVES and not FROM_TORCH.match(name)}


def test_constraints_are_what_is_installed() -> None:
    pinned, found = pins(), installed()
    assert {name: pinned.get(name) for name in found} == found
    assert set(pinned) - set(found) <= left_out(), "of extras that [dev] leaves out"


def left_out() -> set[str]:
    """The packages of extras that `[dev]` does not have, as THIRD_PARTY.md lists them."""
    text = (ROOT / "THIRD_PARTY.md").read_text()
    section = text.partition("## Packages of the extras `[docs]` and `[wandb]`")[2].partition("\n## ")[0]
    names = {canonical(name) for name in re.findall(r"^\| ([A-Za-z0-9._-]+) \|", section, re.MULTILINE)}
    assert {"mkdocs", "wandb"} <= names
    return names - {"package", "---"}


def test_constraints_are_sorted_and_unique() -> None:
    names = [canonical(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().split()]
    assert len(names) == len(set(names))


def test_torch_is_pinned_without_a_build() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().split()


def test_no_torchvision_and_one_opencv() -> None:
    owners = importlib.metadata.packages_distributions()
    assert "torchvision" not in owners
    assert owners["cv2"] == ["opencv-contrib-python"]


def check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(["sh", CHECK, *arguments], capture_output=True, text=True, env=variables, check=False)


def hide(folder: Path, *libraries: str) -> str:
    for name in libraries:
        (folder / name).touch()  # the loader finds it first and refuses it: not a library
    return str(folder)


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libGL.so.1", "libgl1"),
        ("libgthread-2.0.so.0", "libglib2.0-0"),
        ("libEGL.so.1", "libegl1"),
        ("libGLESv2.so.2", "libgles2"),
    ],
)
def test_a_hidden_library_is_named_with_its_package(tmp_path: Path, library: str, package: str) -> None:
    result = check(LD_LIBRARY_PATH=hide(tmp_path, library))
    assert result.returncode == 1
    first, second = result.stderr.splitlines()
    assert library in first
    assert re.fullmatch(rf" +(sudo )?apt-get install {re.escape(package)}", second)


def test_all_hidden_libraries_make_one_line(tmp_path: Path) -> None:
    hidden = hide(tmp_path, "libGL.so.1", "libglib-2.0.so.0", "libgthread-2.0.so.0", "libEGL.so.1", "libGLESv2.so.2")
    assert check("--packages", LD_LIBRARY_PATH=hidden).stdout.split() == [
        "libgl1",
        "libglib2.0-0",
        "libegl1",
        "libgles2",
    ]


def test_nothing_hidden_says_nothing() -> None:
    result = check()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_missing_or_old_python_is_named(tmp_path: Path) -> None:
    missing = check(PYTHON="python3.999")
    assert missing.returncode == 1
    assert "apt-get install python3 python3-venv libgl1 libglib2.0-0 libegl1 libgles2" in missing.stderr
    old = tmp_path / "old-python"
    old.write_text(
        '#!/bin/sh\nexec python3 -c \'import sys; sys.version_info = (3, 9); sys.version = "3.9.2"; sys.argv.pop(0); '
        'exec(sys.stdin.read())\' "$@"\n'
    )
    old.chmod(0o755)
    refused = check(PYTHON=str(old))
    assert refused.returncode == 1
    assert "needs Python 3.11 or newer" in refused.stderr
    assert "3.9.2" in refused.stderr


def test_make_checks_first(tmp_path: Path) -> None:
    variables = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": hide(tmp_path, "libGL.so.1")}
    result = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, env=variables, check=False)
    assert result.returncode == 2
    assert "apt-get install libgl1" in result.stderr
    assert "pytest" not in result.stdout


def test_every_pinned_package_has_its_licence_listed() -> None:
    rows = re.findall(r"^\| ([A-Za-z0-9._-]+) \| ([^|]+) \|$", (ROOT / "THIRD_PARTY.md").read_text(), re.MULTILINE)
    assert {canonical(name) for name, _ in rows} - {"package", "---"} == set(pins())


def test_the_container_can_be_run_by_anybody() -> None:
    """`docker run --user` with a number that the image has no user of: 1777 is open to all, as /tmp is."""
    text = (ROOT / "Dockerfile").read_text()
    opened = re.search(r"^RUN .*\bmkdir -p (?P<made>[^&]+) && chmod 1777 (?P=made)$", text, re.MULTILINE)
    assert opened is not None
    (works,) = re.findall(r"^WORKDIR (\S+)\nENTRYPOINT", text, re.MULTILINE)
    (keeps,) = re.findall(r"^ENV .*\bXDG_CACHE_HOME=(\S+)", text, re.MULTILINE)
    assert {works, keeps} == set(opened["made"].split())
