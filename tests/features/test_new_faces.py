"""Sources and faces just found: what a detector stores of them, and what comes back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.detection.made import points
from torch import nn

from duchenne.data.shards import encode_jpeg
from duchenne.errors import InputError, UsageError
from duchenne.faces.batch import FaceBatch
from duchenne.features.encoder import EncoderSource
from duchenne.features.resolve import resolve, source_of, stored_source
from duchenne.features.source import Context
from duchenne.modules.encoder import Encoder, EncoderSpec
from duchenne.plugins import BUILDERS_VARIABLE

CPU = Context(device=torch.device("cpu"))
SPEC = {
    "kind": "encoder", "method": "simclr", "backbone": "resnet18", "file": "encoder.safetensors", "steps": 2,
    "weights": "none", "alignment": "similarity from eye corners and nose, per frame", "source": "encoder",
    "spec": {
        "backbone": "resnet18", "embedding_dim": 4, "unit_rows": False, "backbone_config": None, "last_stage": None,
        "view": 1.0, "token_layers": 0, "token_heads": 8, "token_hidden": 2048, "token_dropout": 0.0, "token_side": 7,
        "token_pooling": "mean",
    },
    "tuned": True, "input_px": 32,
}  # fmt: skip
"""As `fit` wrote it before sources looked at new faces themselves; older files lack the later keys."""


def batch(count: int = 3) -> FaceBatch:
    draw = np.random.default_rng(0)
    crops = np.stack([draw.integers(0, 255, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(count)])
    shapes = draw.random((count, 52)).astype(np.float32)
    return FaceBatch(points() + draw.normal(0, 0.5, (count, 68, 2)).astype(np.float32), shapes, crops)


def encoder() -> Encoder:
    torch.manual_seed(5)
    return Encoder(EncoderSpec(backbone="resnet18", embedding_dim=4)).eval()


def shown(faces: FaceBatch, side: int) -> torch.Tensor:
    """The crops after JPEG, averaged over areas, in [0, 1]."""
    import cv2

    assert faces.crops is not None
    stored = [cv2.imdecode(np.frombuffer(encode_jpeg(crop), np.uint8), cv2.IMREAD_COLOR_RGB) for crop in faces.crops]
    small = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in stored])
    return torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255


OLDER = {"kind": "encoder", "spec": {"backbone": "resnet18", "embedding_dim": 4}, "input_px": 32}


@pytest.mark.parametrize("spec", [SPEC, OLDER])
def test_encoders_of_detectors_written_before_are_read(spec: dict[str, Any]) -> None:
    module = encoder()
    source = stored_source(spec, module.state_dict(), "detector.json")
    with torch.no_grad():
        expected = module(shown(batch(), 32)).numpy()
    np.testing.assert_allclose(source.features_of(batch(), CPU), expected, atol=1e-5)
    again = source.to_spec()
    if spec is SPEC:
        assert again == spec
    assert again["spec"]["embedding_dim"] == 4
    assert source.tensors().keys() == module.state_dict().keys()
    assert source.input_shape() == (3, 32, 32)
    assert source.sees_pictures


@pytest.mark.parametrize(("kind", "width"), [("blendshapes", 52), ("landmarks", 136), ("pixels", 1024)])
def test_sources_without_weights_are_read_by_their_kind(kind: str, width: int) -> None:
    source = stored_source({"kind": kind}, {}, "detector.json")
    assert source.to_spec() == {"kind": kind}
    assert source.features_of(batch(), CPU).shape == (3, width)
    assert source.input_shape() == (width,)
    assert source.sees_pictures == (kind == "pixels")
    if kind == "pixels":
        grey = shown(batch(), 32).numpy().transpose(0, 2, 3, 1) @ np.array([0.299, 0.587, 0.114])
        assert np.abs(source.features_of(batch(), CPU) - grey.reshape(3, -1)).max() < 0.01
    if kind == "blendshapes":
        np.testing.assert_array_equal(source.features_of(batch(), CPU), batch().blendshapes)


def test_foreign_specs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = encoder().state_dict()
    for spec, sentence in (
        ({"kind": "audio"}, "unknown kind `audio`"),
        ({}, "unknown kind `None`"),
        ({**SPEC, "input_px": "32"}, "says no `input_px`"),
        ({**SPEC, "spec": {"backbone": "resnet18", "embedding_dim": 9}}, "does not fit its weights"),
        ({**SPEC, "spec": {"backbone": "resnet18", "depth": 9}}, "cannot be built"),
        ({"kind": "builder", "builder": "pixels", "input_px": 32}, "is not package.module:builder"),
        ({"kind": "builder", "builder": None, "input_px": 32}, "is not package.module:builder"),
    ):
        with pytest.raises(InputError, match=f"detector.json: .*{sentence}"):
            stored_source(spec, state, "detector.json")
    monkeypatch.delenv(BUILDERS_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=BUILDERS_VARIABLE):
        stored_source({"kind": "builder", "builder": "os:getcwd", "input_px": 32}, {}, "detector.json")


def test_an_untrained_encoder_is_settled_by_its_seed() -> None:
    source = resolve("random")
    one, other = (source.for_new_faces(crop_px=48, seed=seed).members[0] for seed in (1, 2))
    assert not one.seeded
    assert one.to_spec()["input_px"] == 48
    assert one.to_spec()["source"] == "random"
    again = stored_source(one.to_spec(), one.tensors(), "detector.json")
    wanted = one.features_of(batch(), CPU)
    np.testing.assert_array_equal(again.features_of(batch(), CPU), wanted)
    assert np.abs(other.features_of(batch(), CPU) - wanted).max() > 0.01


def test_several_lie_side_by_side() -> None:
    source = resolve("landmarks+pixels+blendshapes").for_new_faces(crop_px=48, seed=0)
    faces = batch()
    faces.blendshapes[1] = np.nan
    found = source.features_of(faces, CPU)
    assert found.shape == (3, 136 + 1024 + 52)
    np.testing.assert_array_equal(found[:, -52:], faces.blendshapes)
    assert source.network is None
    assert [member.name for member in source.members] == ["landmarks", "pixels", "blendshapes"]


def test_what_cannot_look_at_new_faces_says_so(tmp_path: Path) -> None:
    pd.DataFrame({"subject": ["a"], "clip": ["b"], "frame": [0], "feature": [[1.0]]}).to_parquet(tmp_path / "f.parquet")
    for name in (f"features:{tmp_path / 'f.parquet'}", f"pixels+features:{tmp_path / 'f.parquet'}"):
        with pytest.raises(UsageError, match="holds the features of stored faces only"):
            resolve(name).for_new_faces(crop_px=48, seed=0)
    with pytest.raises(UsageError, match="a detector cannot hold"):
        source_of(nn.Flatten()).for_new_faces(crop_px=48, seed=0)


def test_a_module_keeps_its_place() -> None:
    module = encoder().train()
    reader = EncoderSource.of_module(module).for_new_faces(crop_px=48, seed=0)
    assert reader.network is not None
    assert reader.network.build(0) is not module
    assert module.training
