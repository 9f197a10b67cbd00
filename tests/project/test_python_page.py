"""The lines of docs/python.md about single parts run as they stand, and what they use does what it says."""

from __future__ import annotations

import ast
import importlib
import logging
import pickle
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.made import moving_squares

import duchenne
from duchenne.detection.results import DetectedFace
from duchenne.errors import UsageError
from duchenne.faces.find import Face
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.training.pretrain import PretrainResult
from duchenne.training.runs import EncoderRecord, LoadedEncoder, TrainedOn

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text()


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> duchenne.Prepared:
    monkeypatch.chdir(tmp_path)
    return moving_squares(tmp_path / "faces", clips=8, frames=6)


def test_the_parts_by_themselves(faces: duchenne.Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    part = PAGE.partition("## The parts by themselves")[2]
    blocks = re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    assert all(len(block.splitlines()) <= 11 for block in blocks), "ten lines each, or so"
    known: dict[str, object] = {}
    for block in blocks:
        exec(compile(block.replace("aus=[6, 12]", "aus=[1, 12]"), "docs/python.md", "exec"), known)
    said = capsys.readouterr().out
    assert "torch.Size([8, 3, 64, 64]) torch.Size([8, 2])" in said
    assert "torch.Size([4, 3, 3, 64, 64])" in said
    assert np.shape(known["features"])[0] == 4
    areas = [float(number) for number in re.findall(r"0\.\d+", said.split("[")[-2])]
    assert len(areas) == 4
    assert min(areas) > 0.9, "sixteen copies of what is to be told, with noise"
    assert repr(known["done"]).startswith("<run run2: 3 steps, ")
    assert [line["step"] for line in known["seen"] if "loss" in line] == [3]  # type: ignore[attr-defined]


def test_every_loss_is_named() -> None:
    from duchenne import losses

    assert [name for name in losses.__all__ if f"`{name}`" not in PAGE and f"{name}(" not in PAGE] == []


def public_names() -> dict[str, set[str]]:
    """Module -> names that docs/python.md promises; of a row with several modules each has its part, in their order."""
    found: dict[str, set[str]] = {"duchenne": {*duchenne.__all__}}
    for line in PAGE.partition("## What is public")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `duchenne"):
            modules, names = (cell.strip() for cell in line.strip("| ").split(" | "))
            parts = names.split("; ")
            for module, part in zip(re.findall(r"`([^`]+)`", modules), parts, strict=True):
                found[module] = set(re.findall(r"`(\w+)`", part))
    return found


def test_what_is_public_is_there_and_all_that_is_shown_is_public() -> None:
    from duchenne import losses

    public = public_names()
    public["duchenne.losses"] |= {*losses.__all__}
    for module, names in public.items():
        assert names, module
        missing = [name for name in names if not hasattr(importlib.import_module(module), name)]
        assert not missing, f"{module}: {missing}"
    texts = [
        block for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for block in re.findall(r"^ *```python\n(.*?)^ *```", path.read_text(), re.MULTILINE | re.DOTALL)
    ]  # fmt: skip
    texts += [path.read_text() for path in (ROOT / "examples").rglob("*.py")]
    shown = {
        (node.module, name.name)
        for text in texts for node in ast.walk(ast.parse(textwrap.dedent(text)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "duchenne"
        for name in node.names
    }  # fmt: skip
    assert len(shown) > 20
    assert sorted(f"{module}.{name}" for module, name in shown if name not in public.get(str(module), ())) == []


def test_faces_one_by_one_are_the_prepared_ones(faces: duchenne.Prepared) -> None:
    found = duchenne.FaceDataset(faces, rows=[7, 3], aus=[12])
    assert len(found) == 2
    one = found[0]
    np.testing.assert_array_equal(one["image"].numpy(), faces.image(7).transpose(2, 0, 1).astype(np.float32) / 255)
    assert one["aus"].tolist() == [float(faces.occurrence([12])[7, 0])]
    assert (int(one["row"]), int(one["subject"])) == (7, int(faces.subject_ids()[7]))
    again = pickle.loads(pickle.dumps(found))  # as for another process
    assert torch.equal(again[1]["image"], found[1]["image"])
    assert len(duchenne.FaceDataset("faces")) == len(faces)
    assert duchenne.FaceDataset("faces", size_px=16)[0]["image"].shape == (3, 16, 16)


def test_encode_is_what_the_encoder_gives(faces: duchenne.Prepared) -> None:
    loaded = duchenne.pretrain("simclr", data=faces, out="run", recipe="smoke/simclr", quiet=True).load_encoder()
    with torch.inference_mode():
        picture = torch.from_numpy(faces.image(2)).permute(2, 0, 1)[None].float() / 255
        wanted = loaded.encoder(picture).numpy()
    np.testing.assert_allclose(loaded.encode(faces.image(2)), wanted, rtol=1e-3, atol=1e-4)
    assert loaded.encode([faces.image(2, 64), faces.image(3)]).shape == (2, wanted.shape[1])
    assert re.fullmatch(r"<encoder run/encoder\.safetensors: simclr, resnet18, 32 px, 3 steps>", repr(loaded))
    for wrong in (faces.image(2) / 255, faces.image(2)[:, :, 0], [], ["a.png"]):
        with pytest.raises(UsageError, match="encode: "):
            loaded.encode(wrong)
    for wrong in (np.zeros((480, 640, 3), np.uint8), np.zeros((0, 0, 3), np.uint8)):
        with pytest.raises(UsageError, match=rf"encode: takes square crops .* not \({wrong.shape[0]}, "):
            loaded.encode([faces.image(2), wrong])


def test_data_and_encoders_are_tables_in_notebooks_and_nothing_in_them_is_markup(tmp_path: Path) -> None:
    moving_squares(tmp_path / "<b>a</b>", clips=2, frames=3)
    data = duchenne.Prepared([tmp_path / "<b>a</b>"])
    assert "<td>6</td>" in data._repr_html_()
    seen = (TrainedOn(dataset="<script>", subjects=("a:1", "a:2"), labels=True, licence="<i>"),)
    record = EncoderRecord(
        method="simclr", spec=EncoderSpec(), size_px=64, alignment="", weights="none", steps=3, duchenne="1",
        trained_on=seen,
    )  # fmt: skip
    page = LoadedEncoder(Encoder(EncoderSpec(backbone="compact")), record, Path("<u>"))._repr_html_()
    assert "&lt;encoder &lt;u&gt;: simclr, resnet18, 64 px, 3 steps&gt;" in page
    assert "<td>2</td>" in page
    run = PretrainResult(Path("<u>"), 3, True, ("<b> people are few",))
    assert "<li>&lt;b&gt; people are few</li>" in run._repr_html_()
    for text in (page, data._repr_html_(), run._repr_html_()):
        assert not re.search("<(b|script|i|u)>", text)


@pytest.mark.parametrize(("name", "number"), [("duchenne", 18), ("blendshapes", 16)])
def test_models_are_tables_in_notebooks_that_say_what_they_may_claim(name: str, number: int) -> None:
    model = duchenne.load_model(name)
    rows = re.findall(r"<tr>\s*" + 4 * r"<td>(.*?)</td>\s*", model._repr_html_())
    assert repr(model) == f"<model {name}: {len(rows)} action units>"
    assert sorted(column for row in rows for column in row[2].split(", ")) == sorted(model.columns)
    assert len(rows) == number
    assert {row[0]: row for row in rows}["AU12"][1::2] == ("lip corner puller", "")
    empty = {row[0] for row in rows if row[3] == "empty: not judged on real faces"}
    assert ("AU17" in empty, "AU12" in empty) == (name == "duchenne", False)


def test_encode_holds_a_batch_at_a_time(faces: duchenne.Prepared) -> None:
    spec = EncoderSpec(backbone="compact")
    sizes: list[int] = []
    record = EncoderRecord(
        method="simclr", spec=spec, size_px=64, alignment="none", weights="none", steps=0, duchenne="1"
    )
    loaded = LoadedEncoder(Encoder(spec).eval(), record, Path("encoder.safetensors"))
    loaded.encoder.register_forward_hook(lambda module, given, features: sizes.append(len(features)))
    crops = faces.images(np.arange(150) % len(faces), 64)
    found = loaded.encode(crops)
    assert (found.shape, max(sizes)) == ((150, 128), 64)
    np.testing.assert_allclose(found[[70, 149]], loaded.encode(crops[[70, 149]]), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_logging_is_quiet_unless_asked_for(faces: duchenne.Prepared, caplog: pytest.LogCaptureFixture, capfd) -> None:
    how = {"data": faces, "recipe": "smoke/simclr", "quiet": True, "size_px": 64}
    done = duchenne.pretrain("simclr", out="a", **how)
    assert capfd.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, logger="duchenne"):
        duchenne.pretrain("simclr", out="b", **how)
    assert [record.getMessage() for record in caplog.records if record.name == "duchenne"] == list(done.notes)
    assert any("are enlarged to 64 px" in sentence for sentence in done.notes)
    caplog.clear()
    told: list[str] = []
    with caplog.at_level(logging.INFO, logger="duchenne"):
        duchenne.pretrain("simclr", out="c", tell=told.append, **how)
    assert told == list(done.notes)
    assert not [record for record in caplog.records if record.name == "duchenne"]


def test_results_are_short() -> None:
    face = Face((10.0, 20.0, 30.0, 40.0), 0.9, np.zeros((68, 2), np.float32), np.zeros(52, np.float32))
    one = DetectedFace(2, face, np.array([1.5, np.nan], np.float32), ("AU06_s", "AU12_s"))
    assert repr(one) == "<face 2 at 10, 20 (30 x 40 px): AU06 1.50>"
    assert "1.50" in one._repr_html_()
    table = duchenne.compare(published="gft")
    assert re.fullmatch(r"<comparison: \d+ rows, 10 items, 0 warnings>", repr(table))
    assert "<table" in table._repr_html_()
    plan = duchenne.reproduce("clp/table3", dry_run=True)
    assert re.fullmatch(r"<reproduction reproduction: nothing run, \d+ commands>", repr(plan))
