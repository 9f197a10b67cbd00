"""A detector as an ONNX file: the same probabilities as torch, everything `detect` needs inside, and no code in it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from tests.detection.made import points, random_encoder, write_detector

import duchenne
from duchenne.cli.main import main
from duchenne.detectors.onnx_model import DETECTOR_KEY
from duchenne.detectors.opening import load_model
from duchenne.errors import DuchenneError, InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.columns import ColumnSource, PixelSource
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.runs import EncoderRecord, save_encoder

Film = Callable[..., Path]
SIDE = 48


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, landmarks and blendshapes side by side."""
    parts = (random_encoder(), ColumnSource("landmarks"), ColumnSource("blendshapes"))
    return write_detector(tmp_path_factory.mktemp("made") / "detector", *parts, widths=(8, 136, 52), crop_px=SIDE)


@pytest.fixture(scope="module")
def exported(detector: Path) -> Path:
    out = detector.parent / "detector.onnx"
    assert main(["export", "--model", str(detector), "--out", str(out)]) == 0
    return out


def faces(count: int) -> FaceBatch:
    draw = np.random.default_rng(0)
    shapes = draw.random((count, 52)).astype(np.float32)
    crops = np.stack([draw.integers(0, 255, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(count)])
    landmarks = points() + draw.normal(0, 0.5, (count, 68, 2)).astype(np.float32)
    return FaceBatch(landmarks, shapes, crops)


def test_probabilities_are_those_of_torch(detector: Path, exported: Path) -> None:
    ours, theirs = load_model(str(detector)), load_model(str(exported))
    assert theirs.columns == ours.columns
    assert theirs.crop_px == ours.crop_px == SIDE
    for count in (1, 7):
        batch = faces(count)
        wanted, found = ours.score(batch), theirs.score(batch)
        assert np.ptp(wanted[:, : len(ours.columns)]) > 0.05, "there is something to compare"
        assert np.abs(found - wanted).max() < 1e-3
    batch.blendshapes[2] = np.nan
    missing = np.isnan(theirs.score(batch)).all(axis=1)
    assert missing.tolist() == [row == 2 for row in range(7)]


def test_grey_pixels_are_a_graph_too(detector: Path) -> None:
    pixels = write_detector(detector.with_name("pixels"), PixelSource(), widths=(1024,))
    ours = load_model(str(pixels))
    theirs = load_model(str(duchenne.export(model=pixels, out=pixels.with_suffix(".onnx"))))
    assert np.abs(theirs.score(faces(5)) - ours.score(faces(5))).max() < 1e-3


def test_everything_is_in_the_one_file(detector: Path, exported: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(exported, tmp_path / "alone.onnx"))
    model = load_model(str(alone))
    assert model.describe()["aus"] == load_model(str(detector)).describe()["aus"]
    assert model.describe()["computed_by"] == "ONNX Runtime, cpu"
    graph = onnx.load(str(alone), load_external_data=False)
    onnx.checker.check_model(graph)
    stored = {item.key: item.value for item in graph.metadata_props}
    assert json.loads(stored[DETECTOR_KEY]) == json.loads((detector / "detector.json").read_text())


def test_nothing_of_the_computer_is_in_it(exported: Path) -> None:
    """Neither a path of a source file nor a line of one, which torch's exporter notes with every operation."""
    written = exported.read_bytes()
    for place in (Path(duchenne.__file__).parent, Path(torch.__file__).parent, exported.parent):
        assert os.fsencode(place) not in written
    assert b"export.py" not in written
    assert b"stack_trace" not in written


def test_it_can_be_sent_to_workers(exported: Path) -> None:
    model = load_model(str(exported))
    again = pickle.loads(pickle.dumps(model))
    assert (again.score(faces(3)) == model.score(faces(3))).all()


@pytest.mark.usefixtures("scripted")
def test_detect_gives_the_same_table(detector: Path, exported: Path, film: Film) -> None:
    path = film("a.mov", [20, 0, 40, 130, 200])
    ours, theirs = (duchenne.detect(path, model=str(model)) for model in (detector, exported))
    values = list(ours.filter(regex="AU.._p"))
    assert values
    pd.testing.assert_frame_equal(theirs.drop(columns=values), ours.drop(columns=values))
    np.testing.assert_allclose(theirs[values], ours[values], atol=1e-3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pretrain` leaves: an encoder of a run."""
    torch.manual_seed(0)
    folder, spec = tmp_path_factory.mktemp("run"), EncoderSpec(backbone="resnet18", embedding_dim=8, unit_rows=True)
    record = EncoderRecord(
        method="simclr", spec=spec, size_px=32, alignment="", weights="none", steps=1, duchenne=duchenne.__version__
    )
    save_encoder(folder, Encoder(spec), record)
    return folder


@pytest.mark.slow
def test_an_encoder_is_exported_too(run: Path, tmp_path: Path) -> None:
    out = duchenne.export(model=run, out=tmp_path / "new" / "encoder.onnx")
    session = onnxruntime.InferenceSession(str(out))
    x = np.random.default_rng(0).random((3, 3, 32, 32)).astype(np.float32)
    (features,) = session.run(["features"], {"faces": x})
    assert features.shape == (3, 8)
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored["duchenne_encoder"])["method"] == "simclr"
    with pytest.raises(InputError, match="encoder without action units"):
        load_model(str(out))


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, made = write_detector(tmp_path / "pixels", PixelSource(), widths=(1024,)), torch.onnx.export

    def other(module: torch.nn.Module, *rest: Any, **more: Any) -> object:
        changed = copy.deepcopy(module)
        changed.weight *= -1  # type: ignore[operator]
        return made(changed, *rest, **more)

    monkeypatch.setattr(torch.onnx, "export", other)
    with pytest.raises(DuchenneError, match="differs from torch"):
        duchenne.export(model=detector, out=tmp_path / "detector.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["pixels"]


def test_what_is_no_detector_is_refused(exported: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a graph\n")
    with pytest.raises(InputError, match="not an ONNX file"):
        load_model(str(text))
    (tmp_path / "half.onnx").write_bytes(exported.read_bytes()[:100_000])
    with pytest.raises(InputError, match="not an ONNX file"):
        load_model(str(tmp_path / "half.onnx"))
    graph = onnx.load(str(exported))
    for change, named in [
        ({DETECTOR_KEY: "{}"}, "format version"),
        ({"other": "x"}, "no detector of this library"),
        ({DETECTOR_KEY: _with_fewer_aus(exported)}, "does not fit its metadata"),
    ]:
        onnx.helper.set_model_props(graph, change)
        onnx.save(graph, str(tmp_path / "changed.onnx"))
        with pytest.raises(InputError, match=named):
            load_model(str(tmp_path / "changed.onnx"))


def _with_fewer_aus(exported: Path) -> str:
    stored = onnxruntime.InferenceSession(str(exported)).get_modelmeta().custom_metadata_map
    record = json.loads(stored[DETECTOR_KEY])
    record["aus"].popitem()
    return json.dumps(record)


def test_bad_use(exported: Path, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        duchenne.export(model=detector, out=tmp_path / "detector.pt")
    with pytest.raises(InputError, match="no such encoder"):
        duchenne.export(model=tmp_path / "missing", out=tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="computed on the processor"):
        load_model(str(exported), device="cuda")
    with pytest.raises(UsageError, match="precision"):
        load_model(str(exported), precision="bf16")
    with pytest.raises(UsageError, match="left from right"):
        load_model(str(exported), sides=True)
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UsageError, match=r"duchenne\[onnx\]"):
            duchenne.export(model=detector, out=tmp_path / "a.onnx")
    with pytest.raises(UsageError, match=r"duchenne\[onnx\]"):
        load_model(str(exported))


def test_device_and_precision_are_honoured_or_refused(detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="blendshapes is computed on the processor"):
        load_model("blendshapes", device="cuda")
    with pytest.raises(UsageError, match="precision 'half': is unknown"):
        load_model(str(detector), precision="half")  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="cuda"):
            load_model(str(detector), device="cuda")
    monkeypatch.setattr("duchenne.detectors.trained.computes_bf16", lambda device: False)
    with pytest.raises(UsageError, match="bfloat16"):
        load_model(str(detector), precision="bf16")
    monkeypatch.setattr("duchenne.detectors.trained.computes_bf16", lambda device: True)
    fast, usual = load_model(str(detector), precision="bf16"), load_model(str(detector))
    apart = np.abs(fast.score(faces(8)) - usual.score(faces(8)))[:, :5]
    assert 0 < apart.max() < 0.05
    assert fast.describe()["computed_by"] == "torch, cpu, bf16"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["blendshapes", "detector", "exported"])
def test_starting_imports_little(model: str, shared: Path, detector: Path, exported: Path, tmp_path: Path) -> None:
    """Neither Fabric nor scikit-learn nor kornia, and torch only where it computes."""
    code = (
        "import sys; from duchenne.cli.main import main; status = main(sys.argv[1:]); "
        "print(status, *sorted({'torch', 'sklearn', 'lightning_fabric', 'kornia'} & set(sys.modules)))"
    )
    picture = str(shared / "data" / "scikit-image" / "astronaut.png")
    named = {"blendshapes": "blendshapes", "detector": str(detector), "exported": str(exported)}[model]
    done = subprocess.run(
        [sys.executable, "-c", code, "detect", picture, "-o", str(tmp_path / "a.csv"), "--quiet", "--model", named],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == ("0 torch" if model == "detector" else "0")
