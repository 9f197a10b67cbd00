"""The code of docs/onnx.md, run without this library, gives what `Detector` gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.detection.made import random_encoder, write_detector

import duchenne
from duchenne.detectors.base import AuModel
from duchenne.faces.align import _TEMPLATE, RIGID_POINTS
from duchenne.faces.landmarks import MESH_TO_68
from duchenne.features.columns import ColumnSource, PixelSource

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "onnx.md").read_text()


def outside(picture: Path, detector: Path, models: Path, folder: Path) -> list[dict[str, float]]:
    """What the code of the page prints; importing duchenne is an error in it."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    script = folder / "script.py"
    script.write_text(f"import sys\nsys.modules['duchenne'] = sys.modules['torch'] = None\n{code}")
    files = [models / "face_detection_yunet_2026may.onnx", models / "face_landmarker.task"]
    done = subprocess.run(
        [sys.executable, script, picture, detector, *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def inside(picture: Path, model: str | AuModel, **options: bool) -> list[dict[str, float]]:
    image = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    with duchenne.Detector(model, **options) as detector:
        return [dict(face.au) for face in detector(image).faces]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from duchenne.demonstration.job import smiling_clip

    path = tmp_path_factory.mktemp("picture") / "face.png"
    cv2.imwrite(str(path), cv2.cvtColor(smiling_clip(2)[0][30], cv2.COLOR_RGB2BGR))
    return path


@pytest.mark.slow
def test_the_detector_of_the_package(rendered: Path, shared: Path, tmp_path: Path) -> None:
    file = duchenne.export(model="duchenne", out=tmp_path / "duchenne.onnx")
    (ours,) = inside(rendered, "duchenne", all_aus=True)
    (theirs,) = outside(rendered, file, shared / "models", tmp_path)
    assert theirs == pytest.approx(ours, abs=2e-3)
    assert max(abs(value) for value in theirs.values()) > 1, "there is something to compare"


@pytest.mark.slow
def test_every_kind_of_input(rendered: Path, shared: Path, tmp_path: Path) -> None:
    parts = (ColumnSource("blendshapes"), ColumnSource("landmarks"), PixelSource(), random_encoder())
    folder = write_detector(tmp_path / "d", *parts, widths=(52, 136, 1024, 8), crop_px=64)
    file = duchenne.export(model=str(folder), out=tmp_path / "d.onnx")
    (ours,) = inside(rendered, str(folder))
    (theirs,) = outside(rendered, file, shared / "models", tmp_path)
    assert theirs.keys() == ours.keys() == {"AU01", "AU06", "AU12"}
    assert theirs == pytest.approx(ours, abs=2e-3)


@pytest.mark.slow
def test_a_photograph_that_is_searched_in_a_copy(shared: Path, tmp_path: Path) -> None:
    """Boxes differ a little there, as `detect` searches at several sizes; scores are standard deviations."""
    picture = shared / "data" / "london" / "london-004_smiling.jpg"
    file = duchenne.export(model="duchenne", out=tmp_path / "duchenne.onnx")
    (ours,) = inside(picture, "duchenne", all_aus=True)
    (theirs,) = outside(picture, file, shared / "models", tmp_path)
    assert theirs["AU12"] == pytest.approx(ours["AU12"], abs=0.5)
    assert np.abs([theirs[name] - ours[name] for name in ours]).mean() < 0.3


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^ +\| .+? \| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(RIGID_POINTS)
    assert [int(row[1]) for row in rows] == [MESH_TO_68[point] for point in RIGID_POINTS]
    assert [(float(x), float(y)) for *_, x, y in rows] == [pytest.approx(place, abs=1e-9) for place in _TEMPLATE]
    (listed,) = re.findall(r"MESH_TO_68 = \[(.*?)\]", PAGE, re.DOTALL)
    assert tuple(int(number) for number in listed.replace(",", " ").split()) == MESH_TO_68
